"""Checks of arguments: what the whole interface accepts as a number or a choice."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from numbers import Real
from typing import TypeVar

from quantal.errors import ArgumentError

__all__ = ["choice", "flag", "number", "path", "typed", "whole"]

Value = TypeVar("Value")


def whole(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """Return a whole number of any type, also numpy's and torch's, as an int.

    >>> whole("quality", 60, 1, 100)
    60

    Args:
        name: Name of the argument, for messages.
        value: What was given.
        low: Smallest value that is allowed.
        high: Largest value that is allowed.

    Raises:
        ArgumentError: The value is no whole number (True and "60" are none), or out of range.
    """
    try:
        if _is_bool(value):
            raise TypeError
        found = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):  # numpy's and torch's arrays raise any of them
        raise ArgumentError(f"{name} must be a whole number, not {value!r:.40}") from None
    if (low is not None and found < low) or (high is not None and found > high):
        span = f"{low} or more" if high is None else f"{low}..{high}"
        raise ArgumentError(f"{name} must be {span}, not {found}")
    return found


def number(name: str, value: object) -> float:
    """Return a positive, finite number of any type as a float.

    Raises:
        ArgumentError: The value is no such number.
    """
    if _is_bool(value) or not (isinstance(value, Real) or _is_scalar(value)):
        raise ArgumentError(f"{name} must be a number, not {value!r:.40}")
    found = float(value)  # type: ignore[arg-type]
    if not (math.isfinite(found) and found > 0):
        raise ArgumentError(f"{name} must be positive, not {value}")
    return found


def flag(name: str, value: object) -> bool:
    """Return a truth value, Python's or numpy's; ArgumentError for anything else."""
    if not _is_bool(value):
        raise ArgumentError(f"{name} must be True or False, not {value!r:.40}")
    return bool(value)


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return a text that is one of `choices`; ArgumentError for anything else."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise ArgumentError(f"{name} must be one of {', '.join(known)}, not {value!r:.40}")
    return value


def typed(name: str, value: object, kind: type[Value]) -> Value:
    """Return a value of a type; ArgumentError for anything else."""
    if not isinstance(value, kind):
        raise ArgumentError(
            f"{name} must be of type {kind.__name__}, not {type(value).__name__}: {value!r:.40}"
        )
    return value


def path(name: str, value: object) -> str:
    """Return a path as text.

    Args:
        name: The kind of file, for messages.
        value: What was given.

    Raises:
        ArgumentError: It is no path, or an empty one.
    """
    try:
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError
        text = os.fsdecode(value)
    except TypeError:
        raise ArgumentError(f"{value!r:.40} is not a path of a {name}") from None
    if not text:
        raise ArgumentError(f"an empty path names no {name}")
    return text


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def _is_scalar(value: object) -> bool:
    """Whether a value is an array without dimensions, of numpy or torch, that holds a number."""
    return getattr(value, "ndim", None) == 0 and hasattr(value, "item")
