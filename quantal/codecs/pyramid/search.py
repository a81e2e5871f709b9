"""A search for latents that code a picture better than those of the analysis; for encoders only.

The analysis gives latents that are good on average. For one picture at one rate, others need fewer
bits for the same error, and decoders do not depend on how symbols were chosen. The search follows
the gradient, through the synthesis, of the training loss (lambda * 255^2 * MSE + bpp): by one step,
or by many while soft rounding becomes hard (stochastic Gumbel annealing: Yang, Bamler and Mandt,
"Improving inference for neural image compression", 2020). z is not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.codecs.contract import Pixels, Progress
from quantal.codecs.pyramid.net import PyramidNet
from quantal.entropy.curves import rate_lambda
from quantal.entropy.frozen import FrozenModel
from quantal.entropy.frozen.hyperprior import Z_STRIDE
from quantal.entropy.prices import LARGEST_PRICED, price_list
from quantal.entropy.rounding import clamp_through
from quantal.layers import half_pays
from quantal.planes import window_spans

__all__ = [
    "ITERATIONS",
    "WORTH",
    "Method",
    "Prices",
    "Scene",
    "Window",
    "anneal",
    "improved",
    "step_once",
]

#: Iterations of the annealing, by effort.
ITERATIONS = {1: 0, 2: 40, 3: 200}
#: How many times lambda an error is worth. From one rate of a trained codec to the next, files grow
#: by about that much more than lambda says for the error that they save; a search at lambda itself
#: would mostly move along that curve.
SLOPE = 1.3
#: Bits that a squared error of one symbol is worth by default. Theory gives 6 / ln 2 = 8.7 for fine
#: steps; but symbols that are decided one by one change the picture together, and with less the
#: step overshoots.
WORTH = 15.6
#: How far beyond the least error a step may go: rounding undoes a part of it.
_BEYOND = 1.3


@dataclass(frozen=True)
class Prices:
    """Bits of symbols under the tables of a codec's y, as tensors: a search needs gradients.

    Attributes:
        list: price_list() of the tables [T, 511].
        certain: which tables are certain of their symbol [T].
    """

    list: Tensor
    certain: Tensor

    @classmethod
    def of(cls, frozen: FrozenModel, device: torch.device) -> Prices:
        """Return the prices of a frozen model on a device."""
        tables = frozen.y_tables
        bits, certain = price_list(tables), tables.certain
        return cls(torch.from_numpy(bits).to(device), torch.from_numpy(certain).to(device))

    def bits(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Return the bits of symbols under tables `index`, whole numbers of any type."""
        column = symbols.clamp(-LARGEST_PRICED, LARGEST_PRICED).int() + LARGEST_PRICED
        return self.list[index.int(), column]

    def rounded(self, residual: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Round residuals of floating-point networks to the nearest; a models.base.Quantise."""
        symbols = residual.detach().round()
        symbols[self.certain[index.round().int()]] = 0
        return symbols, symbols


@dataclass(frozen=True)
class Scene:
    """The input of a search: a picture at one rate, and the codec's networks.

    Attributes:
        net: the networks, on any device.
        prices: on the device of the networks.
        y: latents of the analysis [1, M, h, w], h and w multiples of 4, on the CPU.
        z_hat: [1, N, h / 4, w / 4], on the CPU.
        pixels: uint8 [H, W, 3], at most 16 times as large as y.
        rate: position on the rate axis [1].
    """

    net: PyramidNet
    prices: Prices
    y: Tensor
    z_hat: Tensor
    pixels: Pixels
    rate: Tensor

    def cost(self, data: bytes, drawn: Pixels) -> float:
        """Return the bits of the coded picture plus those that its error is worth."""
        squares = 0
        for row, other in zip(self.pixels, drawn, strict=True):
            difference = row.astype(np.int32) - other
            squares += int(np.square(difference).sum())
        return 8 * len(data) + squares / 255**2 * float(_error_price(self.rate))


@dataclass(frozen=True)
class Window:
    """A part of a scene where the networks run; pixels: [1, 3, H, W] in 0..1."""

    net: PyramidNet
    prices: Prices
    y: Tensor
    z_hat: Tensor
    pixels: Tensor
    rate: Tensor

    def side_information(self) -> tuple[Tensor, ...]:
        """Return the entropy model's side information, once for all iterations."""
        with torch.no_grad():
            return self.net.entropy.side_information(self.z_hat, self.rate)

    def error(self, y_hat: Tensor) -> Tensor:
        """Return the error of the picture drawn from y_hat, in the bits that it is worth."""
        return self.errors(y_hat).sum()

    def errors(self, y_hat: Tensor) -> Tensor:
        """Return the same at each place of the latents [1, 1, h, w]."""
        device, stride = y_hat.device, self.net.synthesis.stride
        with torch.autocast(device.type, torch.bfloat16, enabled=half_pays(device)):
            drawn = self.net.synthesis(y_hat)
        height, width = self.pixels.shape[-2:]
        # A decoder clips: a clipped sample may be exact though the drawn one is far off.
        seen = clamp_through(drawn[..., :height, :width].float(), 0.0, 1.0)
        squares = (seen - self.pixels).square().sum(1, keepdim=True)
        below, beside = drawn.shape[-2] - height, drawn.shape[-1] - width
        places = F.avg_pool2d(F.pad(squares, (0, beside, 0, below)), stride)
        return places * stride**2 * _error_price(self.rate)[0]


def _error_price(rate: Tensor) -> Tensor:
    """Return the bits that a squared error of one sample in 0..1 is worth [B]."""
    # lambda * 255^2 * MSE + bpp, times the pixels; the MSE is a mean over three samples a pixel.
    return SLOPE * rate_lambda(rate.cpu()).to(rate.device) * (255**2 / 3)


#: Finds better latents [1, M, h, w] for a window, and reports progress.
Method = Callable[[Window, Progress], Tensor]


def improved(scene: Scene, core: int, halo: int, method: Method, progress: Progress) -> Tensor:
    """Improve a scene's latents window by window.

    A window sees the results of earlier windows.

    Args:
        scene: the picture.
        core: of a window, in latents; a multiple of 4 and of the transforms' alignment.
        halo: around the core, likewise.
        method: improves a window.
        progress: called during the search.

    Returns:
        [1, M, h, w], on the CPU.
    """
    device, stride = scene.rate.device, scene.net.synthesis.stride
    y = scene.y.clone()
    places = [
        (*rows, *columns)
        for rows in window_spans(y.shape[-2], core, halo)
        for columns in window_spans(y.shape[-1], core, halo)
    ]
    for count, (outer_y, inner_y, place_y, outer_x, inner_x, place_x) in enumerate(places):

        def partly(part: float, before: int = count) -> None:
            progress((before + part) / len(places))

        z_y, z_x = (slice(s.start // Z_STRIDE, s.stop // Z_STRIDE) for s in (outer_y, outer_x))
        fine = tuple(slice(s.start * stride, s.stop * stride) for s in (outer_y, outer_x))
        pixels = torch.from_numpy(np.require(scene.pixels[fine], requirements=["C", "W"]))
        window = Window(
            scene.net,
            scene.prices,
            y[..., outer_y, outer_x].to(device),
            scene.z_hat[..., z_y, z_x].to(device),
            pixels.permute(2, 0, 1)[None].to(device).float().div_(255),
            scene.rate,
        )
        found = method(window, partly).cpu()
        y[..., place_y, place_x] = found[..., inner_y, inner_x]
    return y


def step_once(window: Window, progress: Progress) -> Tensor:
    """Return latents [1, M, h, w] whose rounding errors add up less than those of the analysis.

    One step of Newton's method from the picture as it would be coded, with one curvature for all
    symbols; where the error curves more than that, the step is shortened.
    """
    net, rate = window.net.entropy, window.rate
    with torch.no_grad():
        coded = net.code(window.y, window.side_information(), rate, window.prices.rounded)
    y_hat = coded.y_hat.detach().requires_grad_()
    with torch.enable_grad():
        errors = window.errors(y_hat)
        (slope,) = torch.autograd.grad(errors.sum(), y_hat)
    gain, ungain = net.gain(rate), net.ungain(rate)
    with torch.no_grad():
        way = -slope * ungain.square() / (2 * WORTH)
        fall = _around(-(slope * way).sum(1, keepdim=True))
        bend = _around(window.errors(y_hat + way) - errors) + fall
        # Along the way the error is a parabola, least at this part of it.
        best = torch.where(bend > 0, fall / (2 * bend), 1.0)
        progress(1.0)
        return (y_hat + (_BEYOND * best).clamp(0, 1) * way) / (ungain * gain)


def _around(places: Tensor) -> Tensor:
    """Return means over 3 x 3 places: neighbouring latents draw the same pixels."""
    return F.avg_pool2d(places, 3, 1, 1, count_include_pad=False)


class _Relaxed:
    """Soft rounding: down or up at random; the lower the temperature, the likelier the nearer.

    The probabilities are a softmax of -atanh(distance) / temperature, from which Gumbel noise
    samples with a gradient (Yang et al. 2020). `bits` collects the bits of the symbols.
    """

    def __init__(self, prices: Prices, temperature: float, generator: torch.Generator) -> None:
        self.prices, self.temperature, self.generator = prices, temperature, generator
        self.bits: list[Tensor] = []

    def __call__(self, residual: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        index = index.detach().round().int()
        down = residual.detach().floor()
        part = (residual - down).clamp(1e-4, 1 - 1e-4)
        chance = torch.rand(part.shape, generator=self.generator, device=part.device)
        # The difference of two Gumbel variables is logistic.
        noise = torch.logit(chance, eps=1e-6)
        leaning = torch.atanh(part) - torch.atanh(1 - part)
        up = torch.sigmoid((leaning / self.temperature + noise) / self.temperature)
        up = up.masked_fill(self.prices.certain[index], 0.0)
        down = down.masked_fill(self.prices.certain[index], 0.0)
        low, high = (self.prices.bits(symbols, index) for symbols in (down, down + 1))
        self.bits.append((low + (high - low) * up).sum())
        # Means of random symbols would be noise to later steps.
        return down + up, self.prices.rounded(residual, index)[0]


#: Of the annealing: temperatures, and how far a symbol drifts if its steps are random.
_HOT, _COLD = 0.5, 0.2
_REACH = 0.2


def anneal(window: Window, progress: Progress, iterations: int) -> Tensor:
    """Return latents [1, M, h, w] whose rounding, as it becomes hard, codes the picture best."""
    net, rate = window.net.entropy, window.rate
    generator = torch.Generator(rate.device).manual_seed(0)
    gain = net.gain(rate).detach()
    side = window.side_information()
    moved = torch.zeros_like(window.y, requires_grad=True)
    optimiser = torch.optim.Adam([moved], lr=_REACH / iterations**0.5, betas=(0.9, 0.99))
    for count in range(iterations):
        temperature = _HOT * (_COLD / _HOT) ** (count / max(iterations - 1, 1))
        relaxed = _Relaxed(window.prices, temperature, generator)
        with torch.enable_grad():
            coded = net.code(window.y + moved / gain, side, rate, relaxed)
            cost = window.error(coded.y_hat) + torch.stack(relaxed.bits).sum()
            (moved.grad,) = torch.autograd.grad(cost, moved)
        optimiser.step()
        progress((count + 1) / iterations)
    return (window.y + moved / gain).detach()
