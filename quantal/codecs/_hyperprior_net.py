"""The networks of codec `hyperprior`: y's means and scales follow from z alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quantal.codecs._net import CodecNet, Coded, NetConfig
from quantal.entropy.exact import ExactNet
from quantal.entropy.hyperprior import MeanNet, ScaleNet
from quantal.entropy.quantise import round_through

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

    def code(self, y: Tensor, z_hat: Tensor, position: Tensor) -> Coded:
        with torch.autocast(y.device.type, enabled=False):
            index = self.scale(z_hat, position)
        gain = self.gain(position)
        mean = self.mean(z_hat, position).float() * gain
        residual = y * gain - mean
        y_hat = (round_through(residual) + mean) * self.ungain(position)
        return Coded(y_hat, residual, index)

    def exact_index(self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int) -> Tensor:
        return exact(z, rate_index)
