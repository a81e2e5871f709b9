"""Training of stems, by which an existing classifier reads latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantal.arguments import choice
from quantal.codecs.registry import load
from quantal.errors import ArgumentError, ModelError
from quantal.latents.recognisers import StemConfig, StemNet, write_recogniser
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler
from quantal.train.objectives.distillation import Distillation, DistillationSettings, coded_latents
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer

__all__ = ["TRAINER"]

#: What torchvision's classifiers of ImageNet take off and divide by.
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: The rate of the latents that a stem's normalisation is measured on.
_RATE = 40.0
#: Pixels along a side of the picture that multiplications are counted on, and of a latent.
_SIDE, _STRIDE = 224, 16


class UprightSampler(CropSampler):
    """Random crops as people see them: mirrored at most."""

    turns = 2


class StemTrainer(Trainer):
    """Trains a StemNet on photographs without labels."""

    network = StemNet
    sizes = StemConfig
    settings = DistillationSettings
    start_crop = 192
    start_pixels = 1 << 22

    def sampler(self, data: Sequence[Any], device: torch.device, seed: int) -> UprightSampler:
        return UprightSampler(data, device, seed)

    def start(self, net: StemNet, crops: Tensor) -> None:
        """Measure the mean and the spread of the latents."""
        codec = _networks(net.config)
        rate = torch.full((len(crops),), _RATE)
        net.normaliser.fit([coded_latents(codec, crops, rate)])

    def objective(
        self, net: StemNet, ema: StemNet, recipe: Recipe, device: torch.device
    ) -> Distillation:
        teacher = _teacher(net.config.backbone, recipe.objective.weights).to(device)
        mean, spread = (torch.tensor(v, device=device)[:, None, None] for v in (_MEAN, _SPREAD))
        codec = _networks(net.config).to(device)
        return Distillation(net, ema, recipe.objective, codec, teacher, mean, spread)

    def export(self, net: StemNet, export: Export) -> bytes:
        latents = torch.zeros(1, net.config.channels, _SIDE // _STRIDE, _SIDE // _STRIDE)
        work = kmac(_SIDE**2, lambda: net(latents))
        write_recogniser(export.out, net, card(net, export.steps, export.training_data, 0.0, work))
        return b""


def _networks(config: StemConfig) -> Any:
    """Return the networks of the codec whose latents a stem reads."""
    codec: Any = load(config.source, "cpu")
    if not hasattr(codec, "networks"):
        raise ArgumentError(f"codec {config.source!r} shows no networks to train a stem with")
    return codec.networks().eval().requires_grad_(False)


def _teacher(name: str, weights: str) -> nn.Module:
    """Return a classifier of torchvision with the weights of a file."""
    from torchvision import models

    choice("model.backbone", name, models.list_models(models))
    net: nn.Module = models.get_model(name)
    if not hasattr(net, "features") or not hasattr(net, "classifier"):
        raise ArgumentError(f"{name} has no `features` and `classifier`; take mobilenet_v2")
    if not weights:
        raise ArgumentError(f"a teacher needs weights; set `objective.weights` to those of {name}")
    path = Path(weights)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(state)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ModelError(f"{path.name} holds no weights of {name}: {error}") from error
    return net.eval().requires_grad_(False)


TRAINER = StemTrainer()
