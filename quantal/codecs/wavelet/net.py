"""The networks of codec `wavelet`: transforms on wavelet packets, and a model of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quantal.codecs.output import TrainingOutput
from quantal.codecs.pyramid.net import EntropyNet
from quantal.codecs.sizes import Sizes
from quantal.codecs.wavelet import LAYOUT
from quantal.entropy.models.classes import ClassModel
from quantal.errors import ArgumentError
from quantal.transforms.wavelet import WaveletAnalysis, WaveletSynthesis, initialise_with_packets

__all__ = ["WaveletConfig", "WaveletNet"]


@dataclass(frozen=True)
class WaveletConfig(Sizes):
    """Sizes of the networks.

    Attributes:
        channels: of the latents; 768 / channels is the reduction of dimensions.
        analysis_width: channels inside the analysis.
        analysis_blocks: gated blocks of the analysis.
        synthesis_width: channels of the synthesis at the latents' stride.
        synthesis_blocks: gated blocks of the synthesis at 1/16, 1/8 and 1/4.
        classes: of positions.
    """

    channels: int = 64
    analysis_width: int = 192
    analysis_blocks: int = 1
    synthesis_width: int = 256
    synthesis_blocks: tuple[int, ...] = (2, 1, 3)
    classes: int = 16

    def __post_init__(self) -> None:
        widths = (self.channels, self.analysis_width, self.synthesis_width, self.classes)
        if min(widths) < 1 or self.analysis_width < self.channels:
            raise ArgumentError(
                f"sizes need widths >= 1, and an analysis as wide as its latents: {self}"
            )


class WaveletNet(EntropyNet):
    """All networks of the codec."""

    layout = LAYOUT
    config_type = WaveletConfig
    config: WaveletConfig
    entropy: ClassModel
    #: Pixels that the sides of training crops are multiples of.
    stride = 16

    def __init__(self, config: WaveletConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = WaveletAnalysis(
            config.channels, config.analysis_width, config.analysis_blocks
        )
        self.synthesis = WaveletSynthesis(
            config.channels, config.synthesis_width, config.synthesis_blocks
        )
        self.entropy = ClassModel(config.channels, config.classes)

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of the packets of pictures [B, 3, H, W] in 0..1."""
        rms = initialise_with_packets(self.analysis, self.synthesis, pictures)
        self.entropy.calibrate(rms)
        self.entropy.choose_slow(self.analysis(pictures))

    def forward(self, pixels: Tensor, rate: Tensor) -> TrainingOutput:
        """Code pictures for training.

        Args:
            pixels: [B, 3, H, W] in 0..1, H and W multiples of 16.
            rate: positions on the rate axis [B], 0..63.

        Returns:
            Reconstructed pixels, and the bits of y and of the classes, [B] each.
        """
        y_hat, bits = self.entropy(self.analysis(pixels).float(), rate)
        return TrainingOutput(self.synthesis(y_hat), bits)
