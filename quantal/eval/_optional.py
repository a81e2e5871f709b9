"""Helpers for optional packages and for unknown names."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from quantal.errors import ArgumentError

__all__ = ["require", "unknown"]


def require(module: str, purpose: str, package: str | None = None, extra: str = "eval") -> Any:
    """Import an optional module.

    Args:
        module: The module's name.
        purpose: What needs the module, such as "metric 'lpips'".
        package: The name of its package, if that differs from the module's.
        extra: The extra of Quantal that installs the package.

    Returns:
        The module.

    Raises:
        ArgumentError: The module can't be imported; the message says what to install.
    """
    try:
        found: ModuleType = importlib.import_module(module)
    except ImportError as error:
        name = package or module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError)
        why = "needs the package" if missing else f"could not load ({error}) the package"
        raise ArgumentError(f"{purpose} {why} {name}: pip install 'quantal[{extra}]'") from error
    return found


def unknown(what: str, name: str, known: Iterable[str]) -> ArgumentError:
    """Return the error for an unknown name, with the closest known name.

    >>> print(unknown("codec", "avfi", ["avif", "jpeg"]))
    unknown codec 'avfi'; did you mean 'avif'? Available: avif, jpeg

    Args:
        what: What has the name, such as "codec".
        name: The unknown name.
        known: All known names.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return ArgumentError(f"unknown {what} {name!r}{hint} Available: {', '.join(names)}")
