"""Training of codec `student` with the stem that reads it; the export writes a file for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quantal.codecs.pyramid.weights import write_entropy_net_weights
from quantal.codecs.sizes import Sizes
from quantal.codecs.student.net import StudentConfig, StudentNet
from quantal.latents.recognisers import StemConfig, StemNet, write_recogniser
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler, read_pictures
from quantal.train.families.pyramid import samples
from quantal.train.families.stem import teacher_of
from quantal.train.objectives.supervision import (
    SupervisedNet,
    Supervision,
    SupervisionSettings,
)
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer
from quantal.transforms.classifier import ClassifierAnalysis

__all__ = ["TRAINER"]

#: Pixels along a side of the picture that multiplications are counted on.
_SIDE = 224


@dataclass(frozen=True)
class SupervisedConfig(Sizes):
    """Sizes of the codec and of the stem, and where the classifier is split between them.

    Attributes:
        channels: channels of the latents, at 1/16 of each side.
        backbone: name of a classifier of torchvision whose layers are its `features`.
        split: how many of its layers the encoder has; the server has the others.
        encoder_blocks: gated blocks of the encoder behind them.
        classes: of positions.
        width: channels inside the stem.
        blocks: gated blocks of the stem.
    """

    channels: int = 56
    backbone: str = "mobilenet_v2"
    split: int = 3
    encoder_blocks: int = 1
    classes: int = 4
    width: int = 192
    blocks: int = 3

    @property
    def codec(self) -> StudentConfig:
        """Sizes of the codec."""
        layers = self.backbone, self.split, self.encoder_blocks
        return StudentConfig(self.channels, *layers, self.classes)

    def stem(self, analysis: ClassifierAnalysis) -> StemConfig:
        """Return the sizes of the stem for the codec's analysis."""
        inside = self.width, self.blocks
        joint = self.backbone, self.split, *inside, analysis.seen, analysis.fold
        return StemConfig("student", self.channels, *joint)


class StudentTrainer(Trainer):
    """Trains a SupervisedNet on photographs without labels."""

    network = SupervisedNet
    sizes = SupervisedConfig
    settings = SupervisionSettings
    crop_multiple = 64
    start_crop = 192

    def build(self, sizes: SupervisedConfig) -> SupervisedNet:
        codec = StudentNet(sizes.codec)
        return SupervisedNet(codec, StemNet(sizes.stem(codec.analysis)))

    def part(self, parameter: str) -> str:
        """Return "stem", "analysis" or "entropy"."""
        return super().part(parameter.removeprefix("codec."))

    def read_data(self, paths: Sequence[str], smallest: int = 1) -> list[Tensor]:
        return read_pictures(paths, max(smallest, self.crop_multiple))

    def turns(self, recipe: Recipe) -> int:
        return 2  # a classifier knows upright pictures alone

    def objective(
        self, net: SupervisedNet, ema: SupervisedNet, recipe: Recipe, device: torch.device
    ) -> Supervision:
        teacher = teacher_of(net.stem.config, recipe.objective, device)
        return Supervision(net, ema, recipe.objective, teacher)

    def export(self, net: SupervisedNet, export: Export) -> bytes:
        """Write the codec to `out`, and the stem beside it, with "-stem" behind its name."""
        sampler = CropSampler(export.pictures(), torch.device("cpu"), seed=0, turns=2)
        frozen = net.codec.entropy.freeze(samples(net.codec, sampler, export.crop, export.batches))
        pixels = torch.zeros(1, 3, _SIDE, _SIDE)
        latents = net.codec.analysis(pixels)
        encode = kmac(_SIDE**2, lambda: net.codec.analysis(pixels))
        decode = kmac(_SIDE**2, lambda: net.stem(latents))
        beside = export.out.with_name(f"{export.out.stem}-stem{export.out.suffix}")
        about = export.steps, export.training_data
        write_recogniser(beside, net.stem, card(net.stem, *about, 0.0, decode))
        return write_entropy_net_weights(
            export.out, net.codec, frozen, card(net.codec, *about, encode)
        )


TRAINER = StudentTrainer()
