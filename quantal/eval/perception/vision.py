"""torchvision's models by name: classification, detection, segmentation.

A name is `mobilenet_v2`, or `mobilenet_v2:IMAGENET1K_V1` with a set of weights. Weights are
downloaded by torchvision or read from a file; preprocessing and class names are torchvision's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, ModelError
from quantal.eval._optional import unknown
from quantal.eval.perception.inputs import Fit
from quantal.eval.perception.outputs import Found, read_map
from quantal.eval.perception.precision import to_precision
from quantal.eval.perception.recipe import Model, Recipe, identify, mapping_of
from quantal.eval.perception.route import Late
from quantal.eval.texts import as_text

__all__ = ["Vision", "load_vision", "network_of"]


@dataclass(frozen=True, eq=False)
class Vision:
    """A network of torchvision with its weights.

    Attributes:
        name: Name of the network.
        network: In evaluation mode, without gradients.
        weights: What torchvision says about weights of this kind: classes and preprocessing.
        state: The weights.
        source: Name of the weights, for people.
    """

    name: str
    network: Any
    weights: Any
    state: dict[str, torch.Tensor]
    source: str


def network_of(spec: str, task: str, path: Path | None) -> Vision:
    """Load a network of torchvision.

    Args:
        spec: `NAME` or `NAME:WEIGHTS`.
        task: Name of the task.
        path: File of weights; None for torchvision's download.

    Raises:
        ArgumentError: The name is unknown, or there is no such file.
        ModelError: The weights can't be downloaded or do not fit the network.
    """
    import torchvision

    module = {
        "classify": torchvision.models,
        "detect": torchvision.models.detection,
        "segment": torchvision.models.segmentation,
    }.get(task)
    if module is None:
        raise ArgumentError(
            f"torchvision has no model for task {task!r}; name an .onnx or a .tflite file"
        )
    name, _, wanted = spec.partition(":")
    known = torchvision.models.list_models(module)
    if name not in known:
        raise unknown(f"model for task {task!r}", name, known)
    weights = _choose(torchvision.models.get_model_weights(name), wanted, path)
    state = _state(weights, path)
    network = _build(torchvision, name, state, task).eval().requires_grad_(False)
    return Vision(name, network, weights, state, as_text(path.name) if path else weights.name)


def load_vision(recipe: Recipe) -> Model:
    """Load a model of torchvision.

    Raises:
        ArgumentError: The name is unknown or the recipe is invalid.
        ModelError: The weights can't be downloaded or do not fit the model.
    """
    if recipe.preprocess:
        raise ArgumentError(
            f"{recipe.model} is torchvision's, which states its preprocessing; --preprocess is for "
            ".onnx and .tflite files"
        )
    found = network_of(recipe.model, recipe.task, recipe.weights)
    network, transforms = found.network, found.weights.transforms()
    names = tuple(found.weights.meta["categories"])
    if recipe.task == "classify":
        count = int(next(reversed(found.state.values())).shape[0])
        names = names if count == len(names) else tuple(str(i) for i in range(count))
    mapping = mapping_of(recipe, names)
    joins = recipe.task == "classify" and hasattr(network, "features")
    late = Late(network, found.name) if joins else None
    dtype = to_precision(network, recipe.precision)
    digest = hashlib.sha256()
    for key, tensor in found.state.items():
        digest.update(key.encode() + tensor.contiguous().cpu().numpy().tobytes())
    digest.update(str(transforms).encode())
    identity = f"{found.name}@{identify(recipe, digest.digest())}"
    answer = _answer(network, transforms, dtype, recipe.task, len(names))
    return Model(f"{found.name} ({found.source})", identity, mapping, answer, late)


def _choose(entries: Any, wanted: str, path: Path | None) -> Any:
    """Choose a set of weights of torchvision: by name, by the file's name, or the default."""
    if wanted:
        for entry in entries:
            if entry.name == wanted:
                return entry
        raise unknown("set of weights", wanted, [entry.name for entry in entries])
    if path is not None:
        for entry in entries:
            if entry.url.rpartition("/")[2] == path.name:
                return entry
    return entries.DEFAULT


def _state(weights: Any, path: Path | None) -> dict[str, torch.Tensor]:
    """Load tensors by name, from a file or by torchvision's download."""
    if path is None:
        try:
            return weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"{weights.url} could not be downloaded ({error}); download it by other means and "
                "name the file by --weights"
            ) from error
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ArgumentError(f"there is no file of weights {path}") from error
    except Exception as error:  # pickles fail in many ways
        line = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} can't be read as weights: {line}") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError(f"{path} holds no state of a model: expected tensors by name")
    return state


def _build(torchvision: Any, name: str, state: dict[str, torch.Tensor], task: str) -> Any:
    """Create the network of a state; the number of classes is that of the weights."""
    options: dict[str, Any] = {"weights": None}
    if task == "classify":
        options["num_classes"] = int(next(reversed(state.values())).shape[0])
    else:
        options["weights_backbone"] = None
        if task == "segment":
            options["aux_loss"] = any(key.startswith("aux_classifier") for key in state)
    network = torchvision.models.get_model(name, **options)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:300]
        raise ModelError(f"the weights are not those of {name}: {line}") from error
    return network


def _answer(
    network: Any, transforms: Any, dtype: torch.dtype, task: str, count: int
) -> Callable[[Pixels], Any]:
    def answer(pixels: Pixels) -> Any:
        values = transforms(Image.fromarray(pixels)).to(dtype)
        with torch.inference_mode():
            if task == "classify":
                return network(values[None])[0].float().numpy()
            if task == "detect":
                found = network([values])[0]
                return Found(
                    found["boxes"].float().numpy(),
                    found["scores"].float().numpy(),
                    found["labels"].numpy().astype(np.int64),
                )
            output = network(values[None])["out"].float().numpy()
        height, width = pixels.shape[:2]
        whole = Fit(height, width, output.shape[2], output.shape[3])
        return read_map(output, (output.shape[2], output.shape[3]), whole, count)

    return answer
