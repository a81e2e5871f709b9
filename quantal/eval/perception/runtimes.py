"""Runtimes of model files: onnxruntime and ai-edge-litert.

Models have one input, of one picture; the first output is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from quantal.errors import ModelError
from quantal.eval._optional import require
from quantal.eval.texts import as_text

__all__ = ["Runtime", "open_onnx", "open_tflite"]


class Runtime(Protocol):
    """A loaded model file.

    Attributes:
        characters: Characters of a text recogniser, one per line; "" if the file lists none.
    """

    characters: str

    def run(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Return the first output for an input of real values."""


@dataclass
class _Onnx:
    session: Any
    name: str
    characters: str

    def run(self, values: NDArray[np.float32]) -> NDArray[Any]:
        try:
            return np.asarray(self.session.run(None, {self.name: values})[0])
        except Exception as error:  # errors of onnxruntime have no common base class
            raise ModelError(
                f"the model rejected an input {list(values.shape)}: {_line(error)}"
            ) from error


def open_onnx(path: Path) -> Runtime:
    """Load an ONNX model on the CPU, with torch's number of threads."""
    onnxruntime = require("onnxruntime", f"model {path.name}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            _openable(path) or path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(f"{path} can't be loaded as ONNX: {_line(error)}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{i.name} {i.type}" for i in inputs)
        raise ModelError(f"{path} takes {found}; expected one input of float32")
    listed = session.get_modelmeta().custom_metadata_map.get("character", "")
    return _Onnx(session, inputs[0].name, listed)


@dataclass
class _Tflite:
    interpreter: Any
    input: Any
    output: Any
    characters: str = ""

    def run(self, values: NDArray[np.float32]) -> NDArray[Any]:
        expected = list(self.input["shape"])
        if list(values.shape) != expected:
            raise ModelError(
                f"the model takes {expected}, the preprocessing makes {list(values.shape)}; "
                "set its 'size' and 'layout'"
            )
        self.interpreter.set_tensor(self.input["index"], _quantise(values, self.input))
        self.interpreter.invoke()
        return _real(self.interpreter.get_tensor(self.output["index"]), self.output)


def open_tflite(path: Path) -> Runtime:
    """Load a TFLite model on the CPU, with torch's number of threads."""
    litert = require("ai_edge_litert.interpreter", f"model {path.name}", "ai-edge-litert")
    try:
        interpreter = litert.Interpreter(
            _openable(path),
            model_content=None if _openable(path) else path.read_bytes(),
            num_threads=torch.get_num_threads(),
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path} can't be loaded as TFLite: {_line(error)}") from error
    inputs, results = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1:
        raise ModelError(f"{path} takes {len(inputs)} inputs, expected one")
    return _Tflite(interpreter, inputs[0], results[0])


def _openable(path: Path) -> str | None:
    """Return a path as the runtimes take it; None if it is not UTF-8, which they can't open."""
    return str(path) if as_text(path) == str(path) else None


def _quantise(values: NDArray[np.float32], tensor: Any) -> NDArray[Any]:
    """Quantise real values with a tensor's scale and zero point."""
    dtype = tensor["dtype"]
    if dtype == np.float32:
        return values
    scale, zero = tensor["quantization"]
    limits = np.iinfo(dtype)
    steps = np.round(values / (scale or 1)) + zero
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _real(values: NDArray[Any], tensor: Any) -> NDArray[Any]:
    """Dequantise values; indices, which have no scale, are unchanged."""
    scale, zero = tensor["quantization"]
    if not scale:
        return values
    return (values.astype(np.float32) - zero) * np.float32(scale)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
