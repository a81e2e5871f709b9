"""Weights in packages of their own, which hold data alone.

An entry point of the group `quantal.weights` names a module; files of weights lie beside it. They
are looked up by name, and only where the wheel has none.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

__all__ = ["find_installed"]

_GROUP = "quantal.weights"


@lru_cache(maxsize=1)
def _folders() -> tuple[Path, ...]:
    found: list[Path] = []
    for point in entry_points(group=_GROUP):
        # The module is not imported: what it says decides nothing.
        spec = importlib.util.find_spec(point.value) if "." not in point.value else None
        found += map(Path, (spec and spec.submodule_search_locations) or ())
    return tuple(found)


def find_installed(name: str) -> Path | None:
    """Return the path of a file of weights in another package, if one has it.

    Args:
        name: of the file.
    """
    return next((folder / name for folder in _folders() if (folder / name).is_file()), None)
