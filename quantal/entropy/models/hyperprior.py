"""The exact hyperprior: scales and means of y follow from z alone.

Scales come from an integer network, because they decide how bits are read; means come from a
floating-point one, because they are needed only after every bit has been read (mean-scale
hyperprior: Minnen et al., "Joint autoregressive and hierarchical priors", 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.arguments import whole
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.hyperprior import FrozenHyperprior
from quantal.entropy.models.base import Quantise, Residual, Shape, round_both
from quantal.entropy.models.exact_runtime import TorchLayers
from quantal.entropy.models.networks import MeanNet, ScaleNet
from quantal.entropy.models.runtime import TorchNetworks
from quantal.entropy.models.side import SideInformationModel

__all__ = ["HyperpriorModel"]


class HyperpriorModel(SideInformationModel):
    """Means and scales from side latents; freezes to an exact hyperprior.

    Args:
        channels: C of the latents.
        z_channels: N of the side latents.
        hyper_width: channels inside the hyper-analysis.
        mean_width: channels inside the network of means.
        scale_width: channels inside the network of scales.
    """

    def __init__(
        self,
        channels: int,
        z_channels: int = 128,
        hyper_width: int = 192,
        mean_width: int = 192,
        scale_width: int = 192,
    ) -> None:
        super().__init__(channels, z_channels, hyper_width)
        channels, z_channels = self.channels, self.side.channels
        mean_width = whole("mean_width", mean_width, 1)
        scale_width = whole("scale_width", scale_width, 1)
        self.mean = MeanNet(z_channels, mean_width, channels)
        self.scale = ScaleNet(z_channels, scale_width, channels)
        self.quantise(True)

    @torch.no_grad()
    def calibrate(self, rms: Tensor, rank: Iterable[int] | None = None) -> None:
        self.hyper_analysis.normaliser.copy_(1 / rms)
        self.mean.spread.copy_(rms)

    def side_information(
        self, z_hat: Tensor, rate: Tensor, *condition: Tensor
    ) -> tuple[Tensor, ...]:
        """Return means, in units of symbols, and scale indices."""
        with torch.autocast(z_hat.device.type, enabled=False):
            index = self.scale(z_hat, rate)
        mean = self.mean(z_hat, rate).float() * self.gain(rate)
        return mean, index

    def code(
        self, y: Tensor, side: tuple[Tensor, ...], rate: Tensor, quantise: Quantise = round_both
    ) -> Residual:
        mean, index = side
        residual = y * self.gain(rate) - mean
        symbols, _ = quantise(residual, index)
        return Residual((symbols + mean) * self.ungain(rate), residual, index)

    def export_exact(self, largest_input: int) -> ExactNet:
        return self.scale.export(largest_input)

    def exact_index(
        self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int, *condition: Tensor
    ) -> Tensor:
        found = [exact(each, rate_index) for each in z.cpu().numpy()]
        return torch.from_numpy(np.stack(found))

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        return {**self.side_networks(), "mean": self.mean}

    def shapes(self) -> dict[str, list[Shape]]:
        return {**super().shapes(), "mean": [(self.side.channels, "h", "w")]}

    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> FrozenHyperprior:
        networks = TorchNetworks(self.networks(), device)
        frozen = FrozenHyperprior.from_arrays(arrays, self.channels, networks)
        frozen.scale.run_by(TorchLayers(frozen.scale))
        return frozen
