"""What makes a frozen model, and what a loaded one is; models.py loads them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantal.codecs.base import Pixels
from quantal.errors import ArgumentError
from quantal.eval.perception.classes import match, positions, read_pairs

__all__ = ["FILE_SUFFIXES", "Model", "Recipe", "identify", "mapping_of"]

#: Model files that are opened here; any other model is torchvision's, by its name.
FILE_SUFFIXES = (".onnx", ".tflite")


@dataclass(frozen=True)
class Recipe:
    """What makes a model; small enough to be sent to every worker.

    model: torchvision's name, or the path of a file. classes: of the data set, which the model's
    are matched with. precision: of PRECISIONS, or AS_EXPORTED for files.
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
        return self.model.lower().endswith(FILE_SUFFIXES)


@dataclass(frozen=True)
class Model:
    """A model with its picture-handling around it.

    label: for people. identity: changes with whatever changes answers: weights, preprocessing,
    classes; not the precision. mapping: index of the data set's class for each of the model's,
    -1 for none.
    answer: pixels [H, W, 3] -> scores [classes], Found, map [H, W], or text, by task.
    """

    label: str
    identity: str
    mapping: tuple[int, ...]
    answer: Callable[[Pixels], Any]

    def __call__(self, pixels: Pixels) -> Any:
        return self.answer(pixels)


def mapping_of(recipe: Recipe, names: tuple[str, ...]) -> tuple[int, ...]:
    """The data set's class for each of the model's names, as the task understands classes."""
    pairs = read_pairs(recipe.labels) if recipe.labels else None
    if recipe.task == "read":
        return ()
    if recipe.task != "segment":
        return match(names, recipe.classes, pairs)
    if pairs is None:  # a mask's values are the model's indices, as far as it has them
        return tuple(i if i < len(recipe.classes) else -1 for i in range(len(names)))
    # A class of the masks that no pair names isn't asked about, such as "unlabelled".
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
    """Eight hexadecimal digits of whatever decides a model's answers, apart from its precision."""
    digest = hashlib.sha256(content)
    digest.update(f"{recipe.task}\0{recipe.classes}".encode())
    for path in (recipe.preprocess, recipe.labels):
        digest.update(b"\0" + (path.read_bytes() if path else b""))
    return digest.hexdigest()[:8]
