"""From a trained network to the weights file of its codec; the family's Trainer writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.errors import ArgumentError, ModelError
from quantal.memory import memory_errors
from quantal.train.data import Picture, as_pictures
from quantal.train.reader import make_recipe
from quantal.train.recipe import Recipe
from quantal.train.streaming import some_pictures
from quantal.train.surroundings import restored
from quantal.train.trainer import Export, Trainer, trainer_for, trainer_of

__all__ = ["export", "export_checkpoint"]

#: Symbols are counted on crops of this size, or of the largest that was trained on if less.
_CROP = 256
#: Pictures of a stream that symbols are counted on.
_SOME = 400
_WORK = "the export, which counts symbols on pictures,"


def export(
    net: nn.Module,
    out: str | Path,
    pictures: Iterable[Picture] = (),
    *,
    training_data: str = "",
    steps: int = 0,
    crop: int = _CROP,
    batches: int = 100,
    start_from: str | Path | None = None,
) -> bytes:
    """Write the weights file of a network that `build` returned, to be loaded as a codec.

    The network itself is not changed.

    Args:
        net: the network, after training.
        out: the file, as "weights.safetensors"; load it with quantal.load(codec, weights=out).
        pictures: to count symbols on: uint8 tensors [3, H, W] or arrays [H, W, 3], pictures of
            Pillow, or paths; H and W at least `crop`.
        training_data: what it was trained on, for the card.
        steps: for how many steps it was trained, for the card.
        crop: pixels along a side of crops of these pictures.
        batches: batches of four crops to count symbols on.
        start_from: the weights that training started from; a network of `vq-conceal` needs those
            of the `vq` that it serves.

    Returns:
        The hash of what decides how bits are read; it stands in every coded file.

    Raises:
        ModelError: If no family has such networks, or the network can't be exported.
        ArgumentError: If there are no pictures and the family needs some, or one is too small.
        OutputError: If the file can't be written.
    """
    trainer = trainer_for(net)
    steps, crop = whole("steps", steps, 0), whole("crop", crop, 1)
    batches = whole("batches", batches, 1)
    given = as_pictures(pictures, crop)
    what = Export(
        Path(out),
        lambda: given or _none_given(),
        crop,
        batches,
        steps,
        training_data,
        None if start_from is None else Path(start_from),
    )
    with memory_errors(_WORK):
        return trainer.export(_ready(net), what)


def export_checkpoint(
    checkpoint: str | Path, out: str | Path, pictures: Iterable[Picture] = ()
) -> bytes:
    """Write the weights file of a checkpoint of `train`, from its averaged network.

    Args:
        checkpoint: the file.
        out: the weights file.
        pictures: to count symbols on, as export() takes them; without any, those of the recipe.

    Returns:
        The hash of what decides how bits are read.

    Raises:
        ModelError: If the checkpoint can't be read or exported.
        OutputError: If the file can't be written.
    """
    with restored(), memory_errors(_WORK):
        net, recipe, steps = _load(Path(checkpoint))
        crop = min(_CROP, max(recipe.crops))
        given = as_pictures(pictures, crop)
        held = frozenset.intersection(*(frozenset(phase.hold) for phase in recipe.phases))
        trainer = trainer_of(recipe.codec)
        return trainer.export(
            _ready(net),
            Export(
                Path(out),
                lambda: given or _data(trainer, recipe, crop),
                crop,
                recipe.export_batches,
                steps,
                recipe.training_data,
                None if recipe.start_from is None else Path(recipe.start_from),
                held,
            ),
        )


def _none_given() -> list[Tensor]:
    raise ArgumentError(
        "an export counts symbols on pictures, and none were given; pass `pictures=[...]`, such as "
        "some of those that the network was trained on"
    )


def _data(trainer: Trainer, recipe: Recipe, crop: int) -> Sequence[Any]:
    """Return the data of a recipe: all of it, or some pictures of what is read as a stream."""
    if recipe.stream:
        return some_pictures(recipe.data, _SOME, crop)
    return trainer.read_data(recipe.data, crop)


def _load(checkpoint: Path) -> tuple[nn.Module, Recipe, int]:
    """Return the averaged network, the recipe and the steps."""
    try:
        saved: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        recipe = make_recipe(json.loads(saved["recipe"]), f"the recipe in {checkpoint}")
        net = trainer_of(recipe.codec).build(recipe.model)
        net.load_state_dict(saved["ema"])
        return net, recipe, int(saved["step"])
    except (OSError, RuntimeError, KeyError, ValueError, UnpicklingError) as error:
        raise ModelError(f"checkpoint {checkpoint} can't be read: {error}") from error


def _ready(net: nn.Module) -> nn.Module:
    """Return a copy as it will run: on the CPU, in evaluation mode, in half precision's values."""
    copy = deepcopy(net).cpu().eval().requires_grad_(False)
    for value in (*copy.parameters(), *copy.buffers()):
        if value.is_floating_point():
            value.data = value.data.half().float()
    return copy
