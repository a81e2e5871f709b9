"""The optional packages that data cubes need: xarray, and what reads and writes its files."""

from __future__ import annotations

import importlib
from typing import Any

from quantal.errors import ArgumentError

__all__ = ["require"]


def require(module: str) -> Any:
    """Import an optional module.

    Raises:
        ArgumentError: It can't be imported; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        why = "need the package" if missing else f"could not load ({error}) the package"
        raise ArgumentError(f"data cubes {why} {module}: pip install 'quantal[xarray]'") from error
