"""Checks of what a plan is made of: places, numbers and qualities, of any type that Python uses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from quantal.arguments import number, whole
from quantal.errors import ArgumentError
from quantal.eval.texts import as_text

__all__ = ["fraction", "place", "processes", "qualities_of", "replaced", "texts"]


def place(name: str, value: object) -> Path:
    """Return a path; ArgumentError if it is empty, which would be the current folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{name} must be a path, not {value!r:.40}")
    if not os.fspath(value):
        raise ArgumentError(f"{name} is an empty path; name a file or folder, '.' for this folder")
    if "\0" in os.fspath(value):
        raise ArgumentError(f"{name} is not a path: it has a character of 0: {value!r:.40}")
    return Path(value)


def texts(name: str, value: Iterable[object]) -> tuple[str, ...]:
    """Return a tuple of texts; ArgumentError for one text alone, or something else."""
    found = () if isinstance(value, str) else tuple(value)
    if isinstance(value, str) or not all(isinstance(one, str) for one in found):
        raise ArgumentError(f"{name} must be a sequence of texts, not {value!r:.60}")
    return tuple(map(str, found))


def fraction(name: str, value: object) -> float:
    """Return a number above 0 and at most 1."""
    found = number(name, value)
    if found > 1:
        raise ArgumentError(f"{name} is {found:g}, expected 0 to 1")
    return found


def processes(jobs: object, threads: object) -> tuple[int | None, int]:
    """Return the numbers of worker processes and of threads in each."""
    return None if jobs is None else whole("jobs", jobs, 0), whole("threads", threads, 1)


def qualities_of(value: object) -> dict[str, tuple[float, ...]]:
    """Return qualities by codec, as `quantal.eval.codecs.grids` takes them."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"qualities must be a mapping of codecs to numbers, not {value!r:.40}")
    return {str(codec): _qualities(str(codec), own) for codec, own in value.items()}


def _qualities(codec: str, values: Any) -> tuple[float, ...]:
    whose = f"qualities of {as_text(codec) or 'all codecs'}"
    try:
        listed = list(values)
    except TypeError:
        raise ArgumentError(f"{whose} must be a list of numbers, not {values!r:.40}") from None
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, Real):
            raise ArgumentError(f"{whose} must be numbers, not {one!r:.40}")
    return tuple(float(one) for one in listed)


def replaced(plan: object, **values: object) -> None:
    """Set checked values in a frozen dataclass while it is made."""
    for name, value in values.items():
        object.__setattr__(plan, name, value)
