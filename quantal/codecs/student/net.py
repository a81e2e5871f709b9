"""The networks of codec `student`: an analysis and an entropy model, without a synthesis."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quantal.codecs.pyramid.net import EntropyNet
from quantal.codecs.sizes import Sizes
from quantal.entropy.models.classes import ClassModel
from quantal.errors import ArgumentError
from quantal.transforms.wavelet import WaveletAnalysis, start_from_packets

__all__ = ["StudentConfig", "StudentNet"]


@dataclass(frozen=True)
class StudentConfig(Sizes):
    """Sizes of the networks.

    Attributes:
        channels: channels of the latents, at 1/16 of each side.
        analysis_width: channels inside the analysis.
        analysis_blocks: its gated blocks.
        classes: of positions.
    """

    channels: int = 48
    analysis_width: int = 104
    analysis_blocks: int = 2
    classes: int = 4

    def __post_init__(self) -> None:
        if min(self.channels, self.classes) < 1 or self.analysis_width < self.channels:
            raise ArgumentError(
                f"sizes need widths >= 1, and an analysis as wide as its latents: {self}"
            )


class StudentNet(EntropyNet):
    """All networks of the codec."""

    layout = "student layout 1"
    config_type = StudentConfig
    config: StudentConfig
    entropy: ClassModel
    #: Pixels that the sides of training crops are multiples of.
    stride = 16

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = WaveletAnalysis(
            config.channels, config.analysis_width, config.analysis_blocks
        )
        self.entropy = ClassModel(config.channels, config.classes)

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of the packets of pictures [B, 3, H, W] in 0..1."""
        self.entropy.calibrate(start_from_packets(self.analysis, pictures))
