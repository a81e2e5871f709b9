"""Training of stems, by which an existing classifier reads latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.registry import load
from quantal.codecs.wavelet.net import WaveletNet
from quantal.errors import ArgumentError
from quantal.latents.recognisers import StemConfig, StemNet, write_recogniser
from quantal.train.card import card, kmac
from quantal.train.classifiers import classifier, normalisation
from quantal.train.data import read_pictures
from quantal.train.objectives.distillation import (
    Distillation,
    DistillationSettings,
    Teacher,
)
from quantal.train.objectives.supervision import SupervisionSettings
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer

__all__ = ["TRAINER", "teacher_of"]

#: Pixels along a side of the picture that multiplications are counted on, and of a latent.
_SIDE, _STRIDE = 224, 16


class StemTrainer(Trainer):
    """Trains a StemNet on photographs without labels."""

    network = StemNet
    sizes = StemConfig
    settings = DistillationSettings
    start_crop = 192
    start_pixels = 1 << 22

    def read_data(self, paths: Sequence[str], smallest: int = 1) -> list[Tensor]:
        return read_pictures(paths, max(smallest, self.crop_multiple))

    def turns(self, recipe: Recipe) -> int:
        return 2  # a classifier knows upright pictures alone

    def start(self, net: StemNet, crops: Tensor) -> None:
        """Do nothing: a stem starts from its teacher, see Distillation.start()."""

    def objective(
        self, net: StemNet, ema: StemNet, recipe: Recipe, device: torch.device
    ) -> Distillation:
        teacher = teacher_of(net.config, recipe.objective, device)
        codec = _networks(net.config).to(device)
        return Distillation(net, ema, recipe.objective, codec, teacher)

    def export(self, net: StemNet, export: Export) -> bytes:
        latents = torch.zeros(1, net.config.channels, _SIDE // _STRIDE, _SIDE // _STRIDE)
        work = kmac(_SIDE**2, lambda: net(latents))
        write_recogniser(export.out, net, card(net, export.steps, export.training_data, 0.0, work))
        return b""


def _networks(config: StemConfig) -> Any:
    """Return the networks of the codec whose latents a stem reads."""
    codec: Any = load(config.source, "cpu")
    found = codec.networks() if hasattr(codec, "networks") else None
    if not isinstance(found, PyramidNet | WaveletNet):
        raise ArgumentError(
            f"stems read latents of wavelet, hyperprior and context-*, not of {config.source!r}"
        )
    return found.eval().requires_grad_(False)


def teacher_of(
    config: StemConfig, settings: DistillationSettings | SupervisionSettings, device: torch.device
) -> Teacher:
    """Return the classifier of torchvision that a stem is trained for.

    Args:
        config: sizes of the stem.
        settings: name the file of the classifier's weights, and the layer to compare before.
        device: where it runs.

    Raises:
        ArgumentError: If there is no such classifier, layer or file.
        ModelError: If the file holds something else.
    """
    network = classifier(config.backbone, settings.weights).to(device)
    return Teacher(network, config.first, settings.layer, *normalisation(device))


TRAINER = StemTrainer()
