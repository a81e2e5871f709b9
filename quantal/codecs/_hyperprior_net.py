"""The networks of codec `hyperprior`: y's means and scales follow from z alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quantal.codecs._net import CodecNet, Coded, NetConfig, Quantise
from quantal.entropy.exact import ExactNet
from quantal.entropy.hyperprior import MeanNet, ScaleNet

__all__ = ["HyperpriorConfig", "HyperpriorNet"]


@dataclass(frozen=True)
class HyperpriorConfig(NetConfig):
    """Sizes of the codec `hyperprior`."""


class HyperpriorNet(CodecNet):
    """All networks of the codec."""

    layout = "hyperprior layout 1"
    config_type = HyperpriorConfig
    exact_type = ExactNet

    def __init__(self, config: NetConfig) -> None:
        super().__init__(config)
        latents = config.channels[-1]
        self.mean = MeanNet(config.z_channels, config.mean_width, latents)
        self.scale = ScaleNet(config.z_channels, config.scale_width, latents)

    def set_spread(self, rms: Tensor) -> None:
        self.hyper_analysis.normaliser.copy_(1 / rms)
        self.mean.spread.copy_(rms)

    def told(self, z_hat: Tensor, position: Tensor) -> tuple[Tensor, ...]:
        """Means, in units of symbols, and scale indices."""
        with torch.autocast(z_hat.device.type, enabled=False):
            index = self.scale(z_hat, position)
        mean = self.mean(z_hat, position).float() * self.gain(position)
        return mean, index

    def code_told(
        self, y: Tensor, told: tuple[Tensor, ...], position: Tensor, quantise: Quantise
    ) -> Coded:
        mean, index = told
        residual = y * self.gain(position) - mean
        symbols, _ = quantise(residual, index)
        y_hat = (symbols + mean) * self.ungain(position)
        return Coded(y_hat, residual, index)

    def exact_index(self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int) -> Tensor:
        return exact(z, rate_index)
