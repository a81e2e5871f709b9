"""The networks of codec `student`: an analysis and an entropy model, without a synthesis."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quantal.codecs.pyramid.net import EntropyNet
from quantal.codecs.sizes import Sizes
from quantal.codecs.student import LAYOUT
from quantal.entropy.models.classes import ClassModel
from quantal.errors import ArgumentError
from quantal.transforms.classifier import ClassifierAnalysis

__all__ = ["StudentConfig", "StudentNet"]


@dataclass(frozen=True)
class StudentConfig(Sizes):
    """Sizes of the networks.

    Attributes:
        channels: channels of the latents, at 1/16 of each side.
        backbone: name of a classifier of torchvision whose layers are its `features`.
        split: how many of its layers the encoder has.
        blocks: gated blocks behind them.
        classes: of positions.
    """

    channels: int = 56
    backbone: str = "mobilenet_v2"
    split: int = 3
    blocks: int = 1
    classes: int = 4

    def __post_init__(self) -> None:
        if min(self.channels, self.classes, self.split) < 1 or self.blocks < 0:
            raise ArgumentError(f"sizes need a split and widths >= 1, and blocks >= 0: {self}")


class StudentNet(EntropyNet):
    """All networks of the codec."""

    layout = LAYOUT
    config_type = StudentConfig
    config: StudentConfig
    entropy: ClassModel
    #: Pixels that the sides of training crops are multiples of.
    stride = ClassifierAnalysis.stride

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = ClassifierAnalysis(
            config.channels, config.backbone, config.split, config.blocks
        )
        self.entropy = ClassModel(config.channels, config.classes)

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of the features of pictures [B, 3, H, W] in 0..1."""
        self.entropy.calibrate(self.analysis.start_from(self.analysis.features(pictures)))
