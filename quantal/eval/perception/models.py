"""Loading of frozen models: torchvision's by name, ONNX and TFLite files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, ModelError
from quantal.eval._optional import unknown
from quantal.eval.perception import outputs
from quantal.eval.perception.inputs import Preprocess, prepare, read_preprocess
from quantal.eval.perception.precision import AS_EXPORTED, PRECISIONS
from quantal.eval.perception.recipe import FILE_SUFFIXES, Model, Recipe, identify, mapping_of
from quantal.eval.texts import as_text

__all__ = ["default_precision", "load"]

_OUTPUTS = {"classify": "classes", "detect": "yolox", "segment": "map", "read": "ctc"}


def default_precision(model: str) -> str:
    """Return the default precision: float32 for torchvision's models, AS_EXPORTED for files."""
    return AS_EXPORTED if model.lower().endswith(FILE_SUFFIXES) else "float32"


@lru_cache(maxsize=8)
def load(recipe: Recipe) -> Model:
    """Load a model; the last models stay loaded.

    Raises:
        ArgumentError: The recipe is invalid, or a package or file is missing.
        ModelError: The file or weights can't be loaded.
    """
    if recipe.is_file:
        return _from_file(recipe)
    if recipe.precision not in PRECISIONS:
        raise unknown("precision", recipe.precision, PRECISIONS)
    from quantal.eval.perception.vision import load_vision

    return load_vision(recipe)


def _from_file(recipe: Recipe) -> Model:
    path = Path(recipe.model)
    if not path.is_file():
        raise ArgumentError(f"there is no model {path}")
    if recipe.weights:
        raise ArgumentError(f"{path} has its weights inside; --weights is for torchvision's models")
    if recipe.precision != AS_EXPORTED:
        raise ArgumentError(
            f"precision {recipe.precision!r} is not possible for {path.name}: a file computes as "
            "it was exported; --precision is for torchvision's models"
        )
    if recipe.preprocess is None:
        raise ArgumentError(
            f"{path.name} needs a file that says how pictures become its input: "
            "--preprocess FILE.json (docs/how-to/perception.md describes it)"
        )
    how = read_preprocess(recipe.preprocess)
    if how.output != _OUTPUTS[recipe.task]:
        raise ArgumentError(
            f"preprocessing {recipe.preprocess} says the output is {how.output!r}, "
            f"but task {recipe.task!r} needs {_OUTPUTS[recipe.task]!r}"
        )
    from quantal.eval.perception.runtimes import open_onnx, open_tflite

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {as_text(path)} can't be opened: {error.strerror}") from error
    runtime = (open_onnx if path.suffix.lower() == ".onnx" else open_tflite)(path)
    names = how.names
    mapping = mapping_of(recipe, names)

    def answer(pixels: Pixels) -> Any:
        values, fit = prepare(pixels, how)
        output = runtime.run(values)
        return _read(output, how, fit, runtime.characters)

    name = as_text(path.name)
    return Model(name, f"{name}@{identify(recipe, content)}", mapping, answer)


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
