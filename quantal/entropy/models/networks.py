"""The hyperprior's networks: z gives the scale of every latent exactly, and its mean approximately.

Scales come from an integer network, because they decide how bits are read; means come from a
floating-point one, because they are needed only after every bit has been read (mean-scale
hyperprior: Minnen et al., "Joint autoregressive and hierarchical priors", 2018).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.curves import RateCurve
from quantal.entropy.exact import ExactLayer, ExactNet
from quantal.entropy.fixed_point import FixedPoint
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.rounding import clamp_through
from quantal.entropy.scales import SCALES
from quantal.layers import GatedBlock

__all__ = ["HyperAnalysis", "MeanNet", "RateScaled", "ScaleNet"]


class RateScaled(nn.Module):
    """A 1x1 convolution whose outputs are scaled and shifted per channel by the rate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.log_gain = RateCurve.ramp(outputs, 0.0, 0.0)
        self.offset = RateCurve.ramp(outputs, 0.0, 0.0)

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        x = self.conv(x)
        gain = self.log_gain(rate).exp().to(x.dtype)[:, :, None, None]
        return x * gain + self.offset(rate).to(x.dtype)[:, :, None, None]


class HyperAnalysis(nn.Module):
    """Latents y [B, M, h, w] to z [B, N, h/4, w/4] before rounding; h, w multiples of 4."""

    reach = 1 + 2 + 4

    normaliser: Tensor

    def __init__(self, latents: int, width: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("normaliser", torch.ones(latents))
        self.enter = RateScaled(2 * latents, width)
        self.fine = GatedBlock(width)
        self.halve = nn.Conv2d(4 * width, width, 1)
        self.middle = GatedBlock(width)
        self.quarter = nn.Conv2d(4 * width, width, 1)
        self.coarse = GatedBlock(width)
        self.leave = nn.Conv2d(width, channels, 1)

    def forward(self, y: Tensor, rate: Tensor) -> Tensor:
        y = y * self.normaliser[:, None, None]
        # Magnitudes go in beside the values: z mostly serves to predict scales.
        x = self.fine(self.enter(torch.cat((y, y.abs()), dim=1), rate))
        x = self.middle(self.halve(F.pixel_unshuffle(x, 2)))
        x = self.coarse(self.quarter(F.pixel_unshuffle(x, 2)))
        return self.leave(x)


class MeanNet(nn.Module):
    """Dequantised z [B, N, h, w] to means of y [B, M, 4h, 4w], in the latents' own units."""

    reach = 1 + 1 + 1

    spread: Tensor

    def __init__(self, channels: int, width: int, latents: int) -> None:
        super().__init__()
        self.register_buffer("spread", torch.ones(latents))
        self.enter = RateScaled(channels, width)
        self.coarse = GatedBlock(width)
        self.to_half = nn.Conv2d(width, 4 * width, 1)
        self.middle = GatedBlock(width)
        self.to_full = nn.Conv2d(width, 4 * width, 1)
        self.fine = GatedBlock(width)
        self.leave = RateScaled(width, latents)

    def forward(self, z: Tensor, rate: Tensor) -> Tensor:
        x = self.coarse(self.enter(z, rate))
        x = self.middle(F.pixel_shuffle(self.to_half(x), 2))
        x = self.fine(F.pixel_shuffle(self.to_full(x), 2))
        mean = self.leave(x, rate)
        return mean * self.spread[:, None, None]


class ScaleNet(nn.Module):
    """Dequantised z to a scale index per latent, a float in training; exports to integers.

    Only 1x1 and depthwise convolutions, pixel-shuffle, ReLU and clamp, which an ExactNet can run.
    The rate enters as a bias that follows the rate index, at the first and at the last layer.
    """

    def __init__(self, channels: int, width: int, latents: int) -> None:
        super().__init__()
        layers = [
            FixedPoint(channels, width),
            FixedPoint.depthwise(width),
            FixedPoint(width, 4 * width, shuffle=2),
            FixedPoint.depthwise(width),
            FixedPoint(width, width),
            FixedPoint(width, 4 * width, shuffle=2),
            FixedPoint.depthwise(width),
            FixedPoint(width, width),
            FixedPoint(width, latents, relu=False),
        ]
        self.layers = nn.ModuleList(layers)
        self.first_offset = RateCurve.ramp(width, 0.0, 0.0)
        # At the lowest rate most latents are sure to be zero; at the highest few are.
        self.last_offset = RateCurve.ramp(latents, 2.0, 30.0)

    def _chain(self) -> list[FixedPoint]:
        return [layer for layer in self.layers if isinstance(layer, FixedPoint)]

    def forward(self, z: Tensor, rate: Tensor) -> Tensor:
        """Return scale indices [B, M, 4h, 4w], not yet rounded.

        Args:
            z: [B, N, h, w] float32 in steps of 2^-8.
            rate: positions on the rate axis [B].
        """
        index = rate.floor()
        x = self.layers[0](z, self.first_offset(index))
        for layer in self.layers[1:-1]:
            x = layer(x)
        x = self.layers[-1](x, self.last_offset(index))
        return clamp_through(x, 0.0, SCALES - 1.0)

    @torch.no_grad()
    def export(self, largest_input: int) -> ExactNet:
        """Return the integer network: z in units of 2^-8 to scale indices 0..63.

        Args:
            largest_input: the largest magnitude of z, in units of 2^-8.
        """
        rates = torch.arange(RATE_INDICES, dtype=torch.float32)
        last = len(self.layers) - 1
        layers: list[ExactLayer] = []
        for place, layer in enumerate(self._chain()):
            curve = {0: self.first_offset, last: self.last_offset}.get(place)
            offsets = None if curve is None else curve(rates).cpu()
            layers.append(layer.export(offsets, 0 if place == last else None))
        top = layers[-1]
        layers[-1] = ExactLayer(
            top.weight, top.bias, top.shift, 0, SCALES - 1, top.groups, top.shuffle
        )
        return ExactNet(layers, largest_input)
