"""Backends: libraries that run a codec's floating-point networks: ONNX Runtime, torch, OpenVINO.

Bits are read by integers in numpy, which no backend changes (docs/architecture.md).
"""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
from typing import Any

from quantal.arguments import choice
from quantal.codecs.backends.base import Backend, NamedNetworks
from quantal.codecs.family import resolve
from quantal.codecs.weights import WeightsFile
from quantal.errors import ArgumentError, InstallError, ModelError
from quantal.extras import advice

__all__ = [
    "BACKENDS",
    "BACKEND_VARIABLE",
    "Backend",
    "PRECISIONS",
    "PRECISION_VARIABLE",
    "NamedNetworks",
    "backend_of",
    "chosen",
    "need",
    "precision_of",
    "torch_net",
]

BACKENDS = ("auto", "onnx", "openvino", "torch")
PRECISIONS = ("float32", "bfloat16", "auto")
#: Names the backend where a caller leaves it to "auto".
BACKEND_VARIABLE = "QUANTAL_BACKEND"
#: Names the precision where a caller names none.
PRECISION_VARIABLE = "QUANTAL_PRECISION"


#: What lets networks of one's own run without torch.
_WRITE = "write graphs beside its weights with `quantal onnx --graphs`"


def _is_installed(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None


def need(package: str, why: str) -> None:
    """Raise InstallError, which says what to install, where a package is missing.

    Args:
        package: "torch" or "onnxruntime".
        why: what needs it.
    """
    if not _is_installed(package):
        raise InstallError(f"{why} needs {package}, which is not installed: {advice(package)}")


def chosen(name: str, device: str, graphs: bool, precision: str = "float32") -> str:
    """Return which backend runs a codec: "onnx", "openvino" or "torch".

    "auto" is torch where it is already imported or a GPU is asked for, else ONNX Runtime; and
    whichever of the two is there.

    Args:
        name: one of BACKENDS.
        device: "auto", "cpu" or "cuda".
        precision: one of PRECISIONS; OpenVINO alone has others than float32.
        graphs: whether there are graphs of the codec's networks for ONNX Runtime.

    Raises:
        ArgumentError: If there is no such backend, or it has no such device.
        InstallError: If what the codec needs is not installed.
        ModelError: If there are no graphs for backend "onnx".
    """
    name = choice("backend", name, BACKENDS)
    if name == "auto":
        name = choice(BACKEND_VARIABLE, os.environ.get(BACKEND_VARIABLE) or "auto", BACKENDS)
    precision = choice("precision", precision, PRECISIONS)
    if precision != "float32":
        if name not in ("auto", "openvino"):
            raise ArgumentError(
                f"backend {name!r} runs in float32, and precision {precision!r} was asked for; use "
                "backend 'openvino'"
            )
        name = "openvino"
    if name == "auto":
        light = graphs and _is_installed("onnxruntime")
        name = "torch" if not light or "torch" in sys.modules or device == "cuda" else "onnx"
        if name == "torch":
            why = "device 'cuda'" if light else f"a codec without graphs (or {_WRITE})"
            need("torch", why)
    if name == "torch":
        need("torch", "backend 'torch'")
    else:
        if device == "cuda":
            raise ArgumentError(
                f"backend {name!r} runs on the CPU, and device 'cuda' was asked for; use backend "
                "'torch', or device 'cpu'"
            )
        if not graphs:
            raise ModelError(
                f"there are no graphs of this codec's networks, which backend {name!r} runs; use "
                f"backend 'torch', or {_WRITE}"
            )
        need("onnxruntime", f"backend {name!r}")
        if name == "openvino":
            asked = precision != "float32"
            need("openvino", f"precision {precision!r}" if asked else f"backend {name!r}")
    return name


def precision_of(name: str | None) -> str:
    """Return the precision of a caller, else that of the environment, else "float32".

    Raises:
        ArgumentError: If there is no such precision.
    """
    if name is not None:
        return choice("precision", name, PRECISIONS)
    stated = os.environ.get(PRECISION_VARIABLE) or PRECISIONS[0]
    return choice(PRECISION_VARIABLE, stated, PRECISIONS)


def backend_of(name: str, device: str, precision: str = "float32") -> Backend:
    """Return a backend.

    Args:
        name: "onnx", "openvino" or "torch".
        device: "cpu" or "cuda".
        precision: one of PRECISIONS.
    """
    if name == "openvino":
        from quantal.codecs.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(precision)
    if name == "onnx":
        from quantal.codecs.backends.onnx import OnnxBackend

        return OnnxBackend()
    import torch

    from quantal.codecs.backends.torch import TorchBackend

    return TorchBackend(torch.device(device))


def torch_net(networks: NamedNetworks, kind: str, why: str = "training networks") -> Any:
    """Return a copy of a codec's networks in torch, whichever backend runs them.

    Args:
        networks: from Backend.networks().
        kind: "module:class" of the networks in torch.
        why: what needs them.

    Raises:
        InstallError: If torch is not installed.
    """
    net = getattr(networks, "net", None)
    if net is not None:
        return copy.deepcopy(net)
    need("torch", why)
    file: WeightsFile = networks.file  # type: ignore[attr-defined]
    return resolve(kind).of(file)
