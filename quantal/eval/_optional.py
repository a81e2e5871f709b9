"""What an evaluation may need and a person may lack: optional packages, and names spelt right."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from quantal.errors import ArgumentError

__all__ = ["require", "unknown"]


def require(module: str, purpose: str, package: str | None = None, extra: str = "eval") -> Any:
    """Import an optional module, or raise ArgumentError with what to install.

    purpose: what can't be done without it, such as "metric 'lpips'". package: its name at the
    package index where that differs from the module's.
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
    """The error for a name that is not among the known ones, with the nearest of them.

    >>> print(unknown("codec", "avfi", ["avif", "jpeg"]))
    'avfi' is no codec; did you mean 'avif'? There are: avif, jpeg
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return ArgumentError(f"{name!r} is no {what}{hint} There are: {', '.join(names)}")
