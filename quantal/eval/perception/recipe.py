"""Recipes of frozen models, and loaded models; models.py loads them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError
from quantal.eval.perception.classes import match, positions, read_pairs
from quantal.eval.perception.route import Joint, Late, Undrawn

__all__ = ["FILE_SUFFIXES", "Model", "Recipe", "identify", "mapping_of"]

#: Suffixes of model files; other models are names of torchvision.
FILE_SUFFIXES = (".onnx", ".tflite")


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a model; it is sent to workers, which load the model.

    Attributes:
        task: Name of the task.
        model: Name of torchvision's model, or path of a file.
        classes: Names of the data set's classes.
        weights: File of weights, for torchvision's models.
        preprocess: File of preprocessing, for model files.
        labels: File of pairs of classes.
        precision: One of `precision.PRECISIONS`, or AS_EXPORTED for files.
    """

    task: str
    model: str
    classes: tuple[str, ...]
    weights: Path | None = None
    preprocess: Path | None = None
    labels: Path | None = None
    precision: str = "float32"

    @property
    def is_file(self) -> bool:
        """Whether the model is a model file."""
        return self.model.lower().endswith(FILE_SUFFIXES)


@dataclass(frozen=True)
class Model:
    """A loaded model with preprocessing and postprocessing.

    Attributes:
        label: Name for people.
        identity: Identifies weights, preprocessing and classes, but not the precision.
        mapping: Index of the data set's class for each class of the model; -1 for none.
        answer: Pixels [H, W, 3] -> scores [classes], Found, map [H, W] or text, by task.
        late: The same from features; None if the model reads pixels only.
    """

    label: str
    identity: str
    mapping: tuple[int, ...]
    answer: Callable[[Pixels], Any]
    late: Late | None = None

    def check(self, joint: Joint) -> Late:
        """Return the layers behind a joint; ArgumentError if features can't enter there."""
        if self.late is None:
            raise ArgumentError(
                f"{self.label} reads pixels only; latents and features are for classifiers of "
                "torchvision that have `features`"
            )
        self.late.check(joint)
        return self.late

    def __call__(self, shown: Pixels | Undrawn) -> Any:
        if isinstance(shown, Undrawn):
            return self.check(shown.joint)(shown)
        return self.answer(shown)


def mapping_of(recipe: Recipe, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the data set's class for each class of the model; () if the task has no classes."""
    pairs = read_pairs(recipe.labels) if recipe.labels else None
    if recipe.task == "read":
        return ()
    if recipe.task != "segment":
        return match(names, recipe.classes, pairs)
    if pairs is None:  # values of masks are indices of the model
        return tuple(i if i < len(recipe.classes) else -1 for i in range(len(names)))
    # Classes of masks without a pair are ignored, such as "unlabelled".
    found = positions(names, pairs)
    if not found:
        raise ArgumentError(f"labels {recipe.labels} name no class")
    for value in found.values():
        if not value.isdecimal() or int(value) >= 255:
            raise ArgumentError(
                f"labels {recipe.labels} name the class {value!r}; expected the value that it has "
                "in the masks, 0 to 254"
            )
    return tuple(int(found.get(i, -1)) for i in range(len(names)))


def identify(recipe: Recipe, content: bytes) -> str:
    """Return eight hexadecimal digits that identify a model, apart from its precision."""
    digest = hashlib.sha256(content)
    digest.update(f"{recipe.task}\0{recipe.classes}".encode())
    for path in (recipe.preprocess, recipe.labels):
        digest.update(b"\0" + (path.read_bytes() if path else b""))
    return digest.hexdigest()[:8]
