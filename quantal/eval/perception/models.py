"""Frozen models by name or by file, each a function from a picture to an answer.

torchvision's by name, ONNX through onnxruntime, TFLite through ai-edge-litert. A worker keeps
those that it has loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from quantal.codecs.base import Pixels
from quantal.errors import ArgumentError, ModelError
from quantal.eval._optional import unknown
from quantal.eval.perception import outputs
from quantal.eval.perception.classes import match, positions, read_pairs
from quantal.eval.perception.inputs import Preprocess, prepare, read_preprocess
from quantal.eval.perception.precision import AS_EXPORTED, PRECISIONS

__all__ = ["Model", "Recipe", "default_precision", "load"]

_OUTPUTS = {"classify": "classes", "detect": "yolox", "segment": "map", "read": "ctc"}
_FILES = (".onnx", ".tflite")


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
        return self.model.lower().endswith(_FILES)


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


def default_precision(model: str) -> str:
    """float32 for what we build, and for files whatever they are."""
    return AS_EXPORTED if model.lower().endswith(_FILES) else "float32"


@lru_cache(maxsize=8)
def load(recipe: Recipe) -> Model:
    """Load a model; ArgumentError or ModelError where that can't be."""
    if recipe.is_file:
        return _from_file(recipe)
    if recipe.precision not in PRECISIONS:
        raise unknown("precision", recipe.precision, PRECISIONS)
    from quantal.eval.perception.vision import load_vision

    return load_vision(recipe)


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


def _from_file(recipe: Recipe) -> Model:
    path = Path(recipe.model)
    if not path.is_file():
        raise ArgumentError(f"there is no model {path}")
    if recipe.weights:
        raise ArgumentError(f"{path} has its weights inside; --weights is for torchvision's models")
    if recipe.precision != AS_EXPORTED:
        raise ArgumentError(
            f"precision {recipe.precision!r} can't be had of {path.name}: a file computes as it "
            "was exported; --precision is for torchvision's models"
        )
    if recipe.preprocess is None:
        raise ArgumentError(
            f"{path.name} needs a file that says how pictures become its input: "
            "--preprocess FILE.json (docs/perception.md describes it)"
        )
    how = read_preprocess(recipe.preprocess)
    if how.output != _OUTPUTS[recipe.task]:
        raise ArgumentError(
            f"preprocessing {recipe.preprocess} says the output is {how.output!r}, "
            f"but task {recipe.task!r} needs {_OUTPUTS[recipe.task]!r}"
        )
    from quantal.eval.perception.runtimes import open_onnx, open_tflite

    content = path.read_bytes()
    runtime = (open_onnx if path.suffix.lower() == ".onnx" else open_tflite)(path)
    names = how.names
    mapping = mapping_of(recipe, names)

    def answer(pixels: Pixels) -> Any:
        values, fit = prepare(pixels, how)
        output = runtime.run(values)
        return _read(output, how, fit, runtime.characters)

    return Model(path.name, f"{path.name}@{identify(recipe, content)}", mapping, answer)


def _read(output: Any, how: Preprocess, fit: Any, listed: str) -> Any:
    if how.output == "classes":
        return outputs.classes(output, len(how.names))
    if how.output == "yolox":
        count = len(how.names)
        return outputs.read_yolox(output, how.size, fit, how.floor, how.overlap, count)
    if how.output == "map":
        return outputs.read_map(output, how.size, fit, len(how.names))
    text = "\n".join(how.names) or listed
    if not text:
        raise ModelError(
            "the model does not list its characters (metadata 'character'), and the preprocessing "
            "has no 'names'"
        )
    return outputs.read_ctc(output, outputs.characters(text, output.shape[-1]))
