"""Training of `vq-conceal`, the network that restores lost cells of `vq`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.codecs.vq.conceal_net import ConcealConfig, ConcealNet, write_conceal_weights
from quantal.codecs.vq.weights import read_vq_weights
from quantal.errors import ArgumentError
from quantal.train.card import card
from quantal.train.objectives.base import Objective
from quantal.train.objectives.concealment import CROP, Concealment, ConcealmentSettings
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer

__all__ = ["TRAINER"]


class ConcealTrainer(Trainer):
    """Trains ConcealNet for the weights of `vq` that `start_from` names.

    The network itself starts with random weights.
    """

    network = ConcealNet
    sizes = ConcealConfig
    settings = ConcealmentSettings
    crop_multiple = CROP
    start_crop = CROP

    def check(self, recipe: Recipe) -> None:
        _codec(recipe.start_from)
        if any(crop != CROP for crop in recipe.crops):
            raise ArgumentError(f"vq-conceal needs crops of {CROP}, not {[*recipe.crops]}")

    def start(self, net: Any, crops: Tensor) -> None:
        pass

    def start_from(self, net: Any, path: Path, crops: Tensor) -> None:
        pass  # it names the codec, which the objective reads

    def objective(
        self, net: ConcealNet, ema: ConcealNet, recipe: Recipe, device: torch.device
    ) -> Objective:
        return Concealment(net, ema, recipe.objective, _codec(recipe.start_from), device)

    def export(self, net: ConcealNet, export: Export) -> bytes:
        of = read_vq_weights(_codec(export.start_from)).hash
        write_conceal_weights(export.out, net, of, card(net, export.steps, export.training_data))
        return of


TRAINER = ConcealTrainer()


def _codec(start_from: str | Path | None) -> Path:
    """Return the weights of the codec; ArgumentError if none are named."""
    if start_from is None:
        raise ArgumentError(
            "vq-conceal serves one weights file of vq, and none is named; set `start_from` to the "
            "weights of vq whose lost cells it restores, as quantal/weights/vq.safetensors"
        )
    return Path(start_from)
