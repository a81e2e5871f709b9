"""What the networks of our codecs share: pyramid transforms, z, and gains that follow the rate.

One set of weights for every rate: y is multiplied by a gain per channel before rounding and by
another after it; both follow the rate position 0..63. How y is coded is each codec's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs._sizes import Sizes
from quantal.entropy.factorized import FactorizedPrior
from quantal.entropy.hyperprior import Z_BITS, Z_LIMIT, HyperAnalysis
from quantal.entropy.quantise import add_noise, round_through
from quantal.entropy.rates import ANCHORS, RATE_INDICES, RateCurve, rate_lambda
from quantal.entropy.scales import index_to_scale, logistic_bits
from quantal.errors import ArgumentError
from quantal.transforms import Kind, PyramidAnalysis, PyramidSynthesis, initialise_with_klt

__all__ = ["Coded", "CodecNet", "Estimate", "NetConfig", "Quantise", "pad_to"]

#: Quantiser step in 0..255 units at lambda 1: the step of best trade is near 3 / sqrt(lambda).
_STEP_AT_LAMBDA_ONE = 3.0

#: Residuals and their scale indices, of one shape, to symbols: as the picture is drawn from them,
#: and as what is coded later is told of them.
Quantise = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class NetConfig(Sizes):
    """Sizes of the networks: widths and gated blocks at 1/4, 1/8, 1/16, then the entropy model.

    kind, extras: what follows the gated blocks at each level (transforms/stages.py).
    """

    channels: tuple[int, int, int] = (64, 128, 320)
    blocks: tuple[int, int, int] = (2, 3, 1)
    z_channels: int = 128
    hyper_width: int = 192
    mean_width: int = 192
    scale_width: int = 192
    kind: Kind = "gated"
    extras: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        widths = (self.z_channels, self.hyper_width, self.mean_width, self.scale_width)
        if len(self.channels) != 3 or len(self.blocks) != 3 or min(*self.channels, *widths) < 1:
            raise ArgumentError(f"sizes need three channels, three blocks, widths >= 1: {self}")


@dataclass(frozen=True)
class Estimate:
    """What one training step sees: a reconstruction [B, 3, H, W] and bits per sample [B]."""

    pixels: Tensor
    y_bits: Tensor
    z_bits: Tensor


@dataclass(frozen=True)
class Coded:
    """y as an entropy model sees it.

    y_hat: [B, M, h, w]. residual, index: what is rounded to symbols, and their scale indices, not
    yet whole; of one shape, which is the codec's own.
    """

    y_hat: Tensor
    residual: Tensor
    index: Tensor


class CodecNet(nn.Module, ABC):
    """All networks of a codec. A subclass adds `scale`, `mean` and how y is coded by them."""

    stride = 64
    #: Pixels along a side of the crops that a start is taken of.
    start_size = 128
    #: Of the weights file; changes whenever the same integers would be used in another way.
    layout: ClassVar[str]
    config_type: ClassVar[type[NetConfig]]
    #: Of the integer networks that `scale` exports to.
    exact_type: ClassVar[Any]
    scale: Any

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        #: Whether training prices rounded symbols, as files do, instead of noisy ones.
        self.rounded = False
        latents = config.channels[-1]
        transform = (config.channels, config.blocks, config.kind, config.extras)
        self.analysis = PyramidAnalysis(*transform)
        self.synthesis = PyramidSynthesis(*transform)
        self.hyper_analysis = HyperAnalysis(latents, config.hyper_width, config.z_channels)
        self.prior = FactorizedPrior(config.z_channels)
        places = torch.linspace(0, RATE_INDICES - 1, ANCHORS)
        log_gain = torch.log(255 / _STEP_AT_LAMBDA_ONE * rate_lambda(places).sqrt())
        start = log_gain[:, None].expand(ANCHORS, latents)
        self.log_gain = RateCurve(start)
        self.log_ungain = RateCurve(-start)
        self.z_log_gain = RateCurve.ramp(config.z_channels, -0.5, 1.0)

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of pictures [B, 3, H, W] in 0..1; H, W multiples of 16."""
        rms = initialise_with_klt(self.analysis, self.synthesis, pictures).clamp_min(1e-3)
        self.set_spread(rms)

    @abstractmethod
    def set_spread(self, rms: Tensor) -> None:
        """Be told the root mean square of each latent [M], to work on numbers near 1."""

    def code(self, y: Tensor, z_hat: Tensor, position: Tensor) -> Coded:
        """Code latents [B, M, h, w], given dequantised z [B, N, h/4, w/4]."""
        return self.code_told(y, self.told(z_hat, position), position, _round)

    @abstractmethod
    def told(self, z_hat: Tensor, position: Tensor) -> tuple[Tensor, ...]:
        """What z tells of y before anything of y is known: for code_told() alone."""

    @abstractmethod
    def code_told(
        self, y: Tensor, told: tuple[Tensor, ...], position: Tensor, quantise: Quantise
    ) -> Coded:
        """Code latents [B, M, h, w], given what z tells; quantise: how residuals are rounded."""

    @abstractmethod
    def exact_index(self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int) -> Tensor:
        """The scale indices that exported networks give, int32, in the shape of Coded.

        z: int32, in units of 2^-Z_BITS; symbols: int32, in the shape of Coded.
        """

    @property
    def derived(self) -> frozenset[str]:
        """Names of the state that a weights file holds as integers only."""
        return frozenset()

    def export_exact(self, largest_input: int) -> Any:
        """The integer networks; largest_input: of z, in units of 2^-Z_BITS."""
        return self.scale.export(largest_input)

    def restore(self, exact: Any) -> None:
        """Set the derived state from the integer networks."""

    def gain(self, position: Tensor) -> Tensor:
        """Multiplier of y before rounding [B, M, 1, 1]."""
        return self.log_gain(position).exp()[:, :, None, None]

    def ungain(self, position: Tensor) -> Tensor:
        """Multiplier of y's symbols after parsing [B, M, 1, 1]."""
        return self.log_ungain(position).exp()[:, :, None, None]

    def z_gain(self, position: Tensor) -> Tensor:
        """Multiplier of z before rounding [B, N, 1, 1]; follows the whole rate index only."""
        return self.z_log_gain(position.floor()).exp()[:, :, None, None]

    def z_unit(self, position: Tensor) -> Tensor:
        """What one step of z is worth, in units of 2^-Z_BITS: whole numbers [B, N, 1, 1]."""
        return round_through(2.0**Z_BITS / self.z_gain(position)).clamp_min(1.0)

    def dequantise_z(self, symbols: Tensor, position: Tensor) -> Tensor:
        """z's symbols to its values, in steps of 2^-Z_BITS."""
        return symbols * self.z_unit(position) * 2.0**-Z_BITS

    def quantise_z(self, y: Tensor, position: Tensor) -> Tensor:
        """Latents [B, M, h, w] to z's symbols, not yet rounded; h and w multiples of 4."""
        return self.hyper_analysis(y, position).float() * self.z_gain(position)

    def blur(self, values: Tensor) -> Tensor:
        """What is priced: rounded values or, in training mode, noisy ones unless `rounded` says so.

        Noise has a gradient, but costs more where symbols are nearly always zero.
        """
        return add_noise(values) if self.training and not self.rounded else round_through(values)

    def forward(self, pixels: Tensor, position: Tensor, regions: Tensor | None = None) -> Estimate:
        """Code pixels [B, 3, H, W] (0..1, H and W multiples of 64) at rate positions [B].

        regions: labels int64 [B, H, W], in training, for transforms of kind "region".
        """
        y = self.analysis(pixels, regions).float()
        z = self.quantise_z(y, position)
        z_bits = self.prior.bits(self.blur(z), position)
        z_hat = self.dequantise_z(round_through(z).clamp(-Z_LIMIT, Z_LIMIT), position)
        coded = self.code(y, z_hat, position)
        y_bits = logistic_bits(self.blur(coded.residual), index_to_scale(coded.index))
        drawn = self.synthesis(coded.y_hat, regions)
        return Estimate(drawn, y_bits.flatten(1).sum(1), z_bits.flatten(1).sum(1))


def _round(residual: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    symbols = round_through(residual)
    return symbols, symbols


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Extend [B, C, H, W] at the right and the bottom by repeating its edge."""
    bottom, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
