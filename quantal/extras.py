"""Which extra of Quantal brings a package; `pip install quantal` brings what files need alone."""

from __future__ import annotations

import importlib
from types import ModuleType

from quantal.errors import InstallError

__all__ = ["advice", "imported", "install_error"]

_EXTRAS = {
    "av": "video",
    "datasets": "stream",
    "fsspec": "engine",
    "huggingface_hub": "stream",
    "onnx": "onnx",
    "onnxruntime": "",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "tensorboard": "tensorboard",
    "polars": "engine",
    "pyarrow": "stream",
    "ray": "ray",
    "torch": "torch",
    "torchvision": "torch",
    "wandb": "wandb",
    "xarray": "xarray",
    "yaml": "train",
}


def advice(package: str) -> str:
    """Return what to do about a package that can't be imported."""
    extra = _EXTRAS.get(package)
    if extra is None:
        return "reinstall it"
    return f"pip install 'quantal[{extra}]'" if extra else "pip install quantal"


def install_error(error: ImportError, what: str) -> InstallError | None:
    """Return the error of a package that an extra brings and that is missing; None for others.

    Args:
        error: why the import failed.
        what: needs it: the subject of the message, in the plural.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    return InstallError(f"{what} need {package}, which is not installed: {advice(package)}")


def imported(module: str, what: str) -> ModuleType:
    """Import a module.

    Args:
        module: its name.
        what: needs it: the subject of the message, in the plural.

    Raises:
        InstallError: If a package is missing that an extra brings.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        named = install_error(error, what)
        if named is None:
            raise
        raise named from error
