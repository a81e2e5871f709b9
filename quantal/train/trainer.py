"""What a trainable family of codecs is; the loop, the reader and the exporter ask nothing else.

A Family (quantal.codecs.family) names its Trainer as "module:object". Families of other packages
are trained by the same means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs.family import resolve
from quantal.codecs.registry import families, family_of
from quantal.errors import ArgumentError, ModelError
from quantal.train.data import CropSampler, read_pictures
from quantal.train.objectives.base import Objective
from quantal.train.recipe import Recipe
from quantal.train.sections import read_section

__all__ = ["Export", "Trainer", "build", "trainer_for", "trainer_of"]


@dataclass(frozen=True)
class Export:
    """What an exporter is given beside the network.

    Attributes:
        out: where the weights file goes.
        pictures: returns pictures uint8 [3, H, W] to count symbols on, H and W at least `crop`;
            reads them when it is called.
        crop: pixels along a side of crops.
        batches: batches of four crops to count symbols on.
        steps: for how many steps the network was trained.
        training_data: what it was trained on, for the card.
        start_from: the weights that training started from, if any.
        held: parts that no phase trained.
    """

    out: Path
    pictures: Callable[[], Sequence[Tensor]]
    crop: int = 256
    batches: int = 100
    steps: int = 0
    training_data: str = ""
    start_from: Path | None = None
    held: frozenset[str] = frozenset()


class Trainer(ABC):
    """How the codecs of a family are trained.

    Attributes:
        network: class of the networks; called with sizes.
        sizes: type of a recipe's `model` section, a frozen dataclass.
        settings: type of a recipe's `objective` section, a frozen dataclass.
        crop_multiple: pixels that the sides of crops are multiples of; no crop is smaller.
        start_crop: pixels along a side of the crops that a network starts from, at most.
        start_pixels: pixels of all of these crops; they determine a KLT.
        streams: whether it can train on pictures that are read as they are needed.
    """

    network: type[nn.Module]
    sizes: type[Any]
    settings: type[Any]
    crop_multiple: int = 64
    start_crop: int = 128
    start_pixels: int = 1 << 22
    streams: bool = True

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe that can't be trained.

        Raises:
            ArgumentError: If it can't.
        """
        for crop in recipe.crops:
            if crop < self.crop_multiple or crop % self.crop_multiple:
                raise ArgumentError(
                    f"a phase has crops of {crop} pixels, expected multiples of "
                    f"{self.crop_multiple} for {recipe.codec!r}; set `crop: "
                    f"{max(round(crop / self.crop_multiple), 1) * self.crop_multiple}`"
                )

    def build(self, sizes: Any) -> nn.Module:
        """Return an untrained network.

        Args:
            sizes: of the type `sizes`.
        """
        return self.network(sizes)

    def part(self, parameter: str) -> str:
        """Return the part of the network, as phases hold it, that a parameter belongs to."""
        return parameter.partition(".")[0]

    def parts(self, net: nn.Module) -> tuple[str, ...]:
        """Return all parts of a network that a phase can hold."""
        return tuple(dict.fromkeys(self.part(name) for name, _ in net.named_parameters()))

    def read_data(self, paths: Sequence[str], smallest: int = 1) -> list[Any]:
        """Read what is trained on, or measured in evaluations.

        Args:
            paths: folders, tar shards and pictures.
            smallest: what has a side below this is left out.
        """
        return read_pictures(paths, smallest)

    def check_data(self, net: Any, data: Sequence[Any], held_out: Sequence[Any]) -> None:  # noqa: B027
        """Refuse data that a network can't be trained on or measured on, before the first step.

        Args:
            net: the untrained network.
            data: what read_data() gave to train on.
            held_out: what it gave to measure on; may be empty.

        Raises:
            ArgumentError: If it can't.
        """

    def sampler(self, data: Sequence[Any], device: torch.device, recipe: Recipe) -> Any:
        """Return what cuts crops of the results of read_data(); see CropSampler."""
        return CropSampler(data, device, recipe.seed, self.turns(recipe))

    def turns(self, recipe: Recipe) -> int:
        """Return how many of the eight ways to turn and mirror a crop are drawn from."""
        return 8

    def start(self, net: Any, crops: Any) -> None:
        """Prepare an untrained network for its first step.

        Args:
            net: the network.
            crops: [B, 3, H, W] in 0..1.
        """
        net.initialise(crops)

    def start_from(self, net: Any, path: Path, crops: Tensor) -> None:
        """Prepare an untrained network with the weights of a file.

        Args:
            net: the network.
            path: path to the weights.
            crops: [B, 3, H, W] in 0..1.

        Raises:
            ModelError: If the weights don't fit.
            ArgumentError: If this family starts from no weights.
        """
        raise ArgumentError("networks of this family start from no weights; set `start_from: null`")

    @abstractmethod
    def objective(self, net: Any, ema: Any, recipe: Recipe, device: torch.device) -> Objective:
        """Return the objective of a run.

        Args:
            net: the network that is trained.
            ema: its average.
            recipe: `recipe.objective` is of the type `settings`.
            device: where the networks will be.
        """

    @abstractmethod
    def export(self, net: Any, export: Export) -> bytes:
        """Write a weights file that the family's codec loads.

        Args:
            net: the network, in evaluation mode, without gradients, on the CPU, with values that
                half precision holds.
            export: what else is needed.

        Returns:
            The hash of what decides how bits are read.
        """


def _resolved(target: str, name: str) -> Trainer:
    try:
        found = resolve(target)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"the trainer {target!r} of {name!r} can't be imported: {error}; correct `trainer` of "
            "its Family, or install what it needs"
        ) from error
    if not isinstance(found, Trainer):
        raise ModelError(
            f"the trainer {target!r} of {name!r} is a {type(found).__name__}, expected a Trainer"
        )
    return found


def trainer_of(codec: str) -> Trainer:
    """Return the trainer of a codec or of a family.

    Raises:
        ModelError: If there is no such codec, or its family can't be trained.
    """
    family = family_of(codec)
    if not family.trainer:
        known = ", ".join(each.name for each in families() if each.trainer)
        raise ModelError(f"codec {codec!r} can't be trained; these families can: {known}")
    return _resolved(family.trainer, codec)


def trainer_for(net: nn.Module) -> Trainer:
    """Return the trainer whose networks a network is one of.

    Raises:
        ModelError: If there is none.
    """
    heirs: list[Trainer] = []
    for family in families():
        if family.trainer:
            trainer = _resolved(family.trainer, family.name)
            if type(net) is trainer.network:
                return trainer
            if isinstance(net, trainer.network):
                heirs.append(trainer)
    if heirs:
        return heirs[0]
    raise ModelError(
        f"no family of codecs has networks of type {type(net).__name__}; build one with "
        "quantal.train.build"
    )


def build(codec: str, sizes: Any = None, **changes: Any) -> nn.Module:
    """Return an untrained network, for `train`'s loop or one of your own.

    >>> net = build("context-s", channels=(8, 12, 16), blocks=(1, 1, 1), z_channels=8)
    >>> net.config.channels
    (8, 12, 16)

    Args:
        codec: name of a codec or of a family.
        sizes: of the networks: a mapping, as the `model` section of a recipe, or the family's own
            type. What it doesn't say has the family's default.
        changes: single sizes that replace those.

    Raises:
        ModelError: If there is no such codec, or it can't be trained.
        ArgumentError: If a size is unknown or wrong.
    """
    trainer = trainer_of(codec)
    given = dict(vars(sizes)) if isinstance(sizes, trainer.sizes) else sizes
    values = {**(given or {}), **changes} if given is None or isinstance(given, Mapping) else given
    return trainer.build(read_section(trainer.sizes, values, f"sizes of {codec!r}", "model."))
