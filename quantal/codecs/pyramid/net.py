"""Pyramid transforms around an entropy model: the networks of `hyperprior` and `context-*`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from quantal.codecs.output import TrainingOutput
from quantal.codecs.sizes import Sizes
from quantal.entropy.models.base import EntropyModel
from quantal.entropy.models.side import SideInformationModel
from quantal.errors import ArgumentError
from quantal.transforms import (
    Kind,
    PyramidAnalysis,
    PyramidSynthesis,
    initialise_with_klt,
    rank_channels,
)

__all__ = ["EntropyNet", "PyramidConfig", "PyramidNet"]


@dataclass(frozen=True)
class PyramidConfig(Sizes):
    """Sizes of the networks: transforms at 1/4, 1/8 and 1/16, then the entropy model.

    Attributes:
        channels: widths at each level; the last is that of the latents.
        blocks: gated blocks at each level.
        z_channels: of the side latents.
        hyper_width: channels inside the hyper-analysis.
        mean_width: channels inside the networks of means.
        scale_width: channels inside the networks of scales.
        kind: of the blocks that follow the gated ones at each level (transforms/stages.py).
        extras: how many of that kind follow at each level.
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


class EntropyNet(nn.Module):
    """Networks with an entropy model, as weights files hold them.

    Attributes:
        layout: layout of the weights file; changes whenever the same integers are used in another
            way.
        config_type: type of `config`.
        config: sizes of the networks; what the class is called with.
        entropy: the entropy model.
    """

    layout: ClassVar[str]
    config_type: ClassVar[type[Sizes]]
    config: Any
    entropy: EntropyModel


class PyramidNet(EntropyNet, ABC):
    """All networks of a codec: analysis, synthesis and the entropy model between them."""

    #: Pixels that the sides of training crops are multiples of.
    stride = 64
    config: PyramidConfig
    entropy: SideInformationModel

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        transform = (config.channels, config.blocks, config.kind, config.extras)
        self.analysis = PyramidAnalysis(*transform)
        self.synthesis = PyramidSynthesis(*transform)
        self.entropy = self.entropy_model(config)

    @staticmethod
    @abstractmethod
    def entropy_model(config: PyramidConfig) -> SideInformationModel:
        """Return the untrained entropy model of a config."""

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of pictures [B, 3, H, W] in 0..1; H, W multiples of 16."""
        rms = initialise_with_klt(self.analysis, self.synthesis, pictures)
        self.calibrate(rms)

    def calibrate(self, rms: Tensor) -> None:
        """Prepare the entropy model for latents of these root mean squares [M]."""
        rms = rms.clamp_min(1e-3)
        self.entropy.calibrate(rms, rank_channels(self.synthesis, rms))

    def forward(
        self, pixels: Tensor, rate: Tensor, regions: Tensor | None = None
    ) -> TrainingOutput:
        """Code pictures for training.

        Args:
            pixels: [B, 3, H, W] in 0..1, H and W multiples of 64.
            rate: positions on the rate axis [B], 0..63.
            regions: labels int64 [B, H, W], in training, for transforms of kind "region".

        Returns:
            Reconstructed pixels, and the bits of y and z, [B] each.
        """
        y = self.analysis(pixels, regions).float()
        y_hat, bits = self.entropy(y, rate)
        return TrainingOutput(self.synthesis(y_hat, regions), bits)
