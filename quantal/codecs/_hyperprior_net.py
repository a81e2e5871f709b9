"""The networks of codec `hyperprior` and how they train together; no bytes here.

One set of weights for every rate: y is multiplied by a gain per channel before rounding and by
another after it; both follow the rate position 0..63.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.factorized import FactorizedPrior
from quantal.entropy.hyperprior import Z_BITS, Z_LIMIT, HyperAnalysis, MeanNet, ScaleNet
from quantal.entropy.quantise import add_noise, round_through
from quantal.entropy.rates import ANCHORS, RATE_INDICES, RateCurve, rate_lambda
from quantal.entropy.scales import index_to_scale, logistic_bits
from quantal.errors import ArgumentError
from quantal.transforms import PyramidAnalysis, PyramidSynthesis, initialise_with_klt

__all__ = ["Estimate", "HyperpriorConfig", "HyperpriorNet"]

#: Quantiser step in 0..255 units at lambda 1: the step of best trade is near 3 / sqrt(lambda).
_STEP_AT_LAMBDA_ONE = 3.0


@dataclass(frozen=True)
class HyperpriorConfig:
    """Sizes of the networks: widths and gated blocks at 1/4, 1/8, 1/16, then the entropy model."""

    channels: tuple[int, int, int] = (64, 128, 320)
    blocks: tuple[int, int, int] = (2, 3, 1)
    z_channels: int = 128
    hyper_width: int = 192
    mean_width: int = 192
    scale_width: int = 192

    def __post_init__(self) -> None:
        widths = (self.z_channels, self.hyper_width, self.mean_width, self.scale_width)
        if len(self.channels) != 3 or len(self.blocks) != 3 or min(*self.channels, *widths) < 1:
            raise ArgumentError(f"sizes need three channels, three blocks, widths >= 1: {self}")

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HyperpriorConfig:
        """The reverse of to_dict, and what recipes say; raises TypeError for unknown names."""
        sizes: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**sizes)


@dataclass(frozen=True)
class Estimate:
    """What one training step sees: a reconstruction [B, 3, H, W] and bits per sample [B]."""

    pixels: Tensor
    y_bits: Tensor
    z_bits: Tensor


class HyperpriorNet(nn.Module):
    """All networks of the codec."""

    stride = 64

    def __init__(self, config: HyperpriorConfig) -> None:
        super().__init__()
        self.config = config
        latents = config.channels[-1]
        self.analysis = PyramidAnalysis(config.channels, config.blocks)
        self.synthesis = PyramidSynthesis(config.channels, config.blocks)
        self.hyper_analysis = HyperAnalysis(latents, config.hyper_width, config.z_channels)
        self.mean = MeanNet(config.z_channels, config.mean_width, latents)
        self.scale = ScaleNet(config.z_channels, config.scale_width, latents)
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
        self.hyper_analysis.normaliser.copy_(1 / rms)
        self.mean.spread.copy_(rms)

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

    def forward(self, pixels: Tensor, position: Tensor) -> Estimate:
        """Code pixels [B, 3, H, W] (0..1, H and W multiples of 64) at rate positions [B].

        Bits are those of rounded symbols or, in training mode, of noisy ones, which have a
        gradient but cost more where symbols are nearly always zero.
        """
        blur = add_noise if self.training else torch.round
        y = self.analysis(pixels).float()
        z = self.hyper_analysis(y, position).float() * self.z_gain(position)
        z_bits = self.prior.bits(blur(z), position)
        z_hat = round_through(z).clamp(-Z_LIMIT, Z_LIMIT) * self.z_unit(position) * 2.0**-Z_BITS
        with torch.autocast(z.device.type, enabled=False):
            scale = index_to_scale(self.scale(z_hat, position))
        gain = self.gain(position)
        mean = self.mean(z_hat, position).float() * gain
        residual = y * gain - mean
        y_bits = logistic_bits(blur(residual), scale)
        y_hat = (round_through(residual) + mean) * self.ungain(position)
        return Estimate(
            pixels=self.synthesis(y_hat),
            y_bits=y_bits.flatten(1).sum(1),
            z_bits=z_bits.flatten(1).sum(1),
        )


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Extend [B, C, H, W] at the right and the bottom by repeating its edge."""
    bottom, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
