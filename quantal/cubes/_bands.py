"""A band between its values and its levels: masks, exactness, errors. Nothing here codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantal.cubes._levels import Array, Levels, Linear, exact_levels
from quantal.cubes._missing import Mask, filled, is_missing
from quantal.errors import MediaError

__all__ = ["Loss", "Values", "bounded_levels", "missing_values", "restored", "scaled_levels"]

_TRIES = 8
_WIDEST = 1e300


@dataclass(frozen=True)
class Loss:
    """How far values are from those that were given.

    Attributes:
        largest: the largest error.
        psnr: in dB, of the range of the values; None without an error.
    """

    largest: float
    psnr: float | None


def missing_values(dtype: np.dtype[Any], attrs: Mapping[str, Any]) -> list[Any]:
    """Return what stands for missing values: NaN, and what attributes name."""
    found: list[Any] = [float("nan")] if dtype.kind == "f" else []
    for name in ("_FillValue", "missing_value"):
        for value in np.atleast_1d(np.asarray(attrs.get(name, []))).tolist():
            if isinstance(value, (int, float)) and value == value:
                with np.errstate(all="ignore"):
                    typed = np.array(value).astype(dtype)[()]
                if typed == value and not any(typed == known for known in found):
                    found.append(typed)
    return found[:4]


class Values:
    """The values of a band, and where they are missing.

    Args:
        stored: as they are coded, [T, H, W], of whole or floating-point numbers.
        missing: what stands for missing values.
        physical: returns values in the variable's units, of what is stored.
        name: name of the variable, for errors.

    Attributes:
        masks: what is missing: values and where they are, only those that occur.
        absent: where anything is missing.
        shape: T, H, W.

    Raises:
        MediaError: A value is infinite.
    """

    def __init__(
        self, stored: Array, missing: Sequence[Any], physical: Callable[[Array], Array], name: str
    ) -> None:
        self.stored, self._physical, self.name = stored, physical, name
        time, y, x = stored.shape
        self.shape = (time, y, x)
        found = [(value, is_missing(stored, value)) for value in missing]
        self.masks: list[tuple[Any, Mask]] = [(v, mask) for v, mask in found if mask.any()]
        self.absent = np.zeros(stored.shape, bool)
        for _, mask in self.masks:
            self.absent |= mask
        self.valid = stored[~self.absent]
        if self.valid.dtype.kind == "f" and not np.isfinite(self.valid).all():
            raise MediaError(
                f"variable {name!r:.60} has infinite values, which can't be coded; replace them, "
                "by NaN for example"
            )
        self._given = physical(self.valid)

    def levels(self, levels: Levels) -> Array:
        """Return the levels of all values, uint64 [T, H, W]; cheap ones where some are missing."""
        lowest = self.valid.min() if self.valid.size else self.stored.dtype.type(0)
        found = levels.levels(np.where(self.absent, lowest, self.stored))
        return filled(found, self.absent)

    def loss(self, levels: Levels, coded: Array) -> Loss:
        """Return how far the values of levels are from those that were given."""
        if not self.valid.size:
            return Loss(0.0, None)
        found = restored(levels, coded, self.stored.dtype, self.masks)
        errors = _distance(self._given, self._physical(found[~self.absent]))
        largest = float(errors.max())
        if not largest:
            return Loss(0.0, None)
        with np.errstate(all="ignore"):
            span = _distance(self._given.max(), self._given.min())
            mse = float(np.mean(np.square(errors)))
            psnr = float(20 * np.log10(span) - 10 * np.log10(mse)) if span and mse else None
        return Loss(largest, psnr if psnr is not None and np.isfinite(psnr) else None)


def restored(
    levels: Levels, coded: Array, dtype: np.dtype[Any], masks: Sequence[tuple[Any, Mask]]
) -> Array:
    """Return the values [T, H, W] of levels, with missing ones where masks say so.

    A value that is there never becomes one that says "missing": it takes the next one.
    """
    found = levels.values(coded, dtype)
    for value, _ in masks:
        if not isinstance(value, float) or value == value:
            typed = np.array(value).astype(dtype)
            found = np.where(found == typed, _next(typed), found)
    for value, mask in masks:
        found[mask] = value
    return found


def bounded_levels(values: Values, bound: float | None, unit: float) -> Levels:
    """Return the coarsest levels whose error stays within a bound.

    Args:
        values: values of the band.
        bound: the largest error, in the variable's units; None or 0 for none.
        unit: what whole numbers, if they are stored, stand for in the variable's units.
    """
    exact = exact_levels(values.valid)
    if not bound or not values.valid.size:
        return exact
    low, span = values.valid.min(), float(values.valid.max()) - float(values.valid.min())
    whole = values.stored.dtype.kind in "iu"
    ratio = min(bound / abs(unit), 2.0**31) if whole else 0
    step: int | float = 2 * int(ratio) + 1 if whole else 2 * bound
    offset = int(low) if whole else float(low)
    for _ in range(_TRIES):
        if (whole and step <= 1) or step <= 0 or not span / step < (1 << 32) - 1:
            break
        levels = Linear(offset, step)
        error = values.loss(levels, values.levels(levels)).largest
        if error <= bound:
            return levels
        # Values are rounded to their type, by which they may miss the bound.
        step = step - 2 if whole else step * max(bound / error, 0.5) * (1 - 1e-9)
    return exact


def scaled_levels(values: Values, bits: int) -> Linear:
    """Return levels below 2^bits for the range of the values."""
    if not values.valid.size:
        return Linear(0, 1)
    low, high = values.valid.min(), values.valid.max()
    most = (1 << bits) - 1
    if values.stored.dtype.kind in "iu" and int(high) - int(low) <= most:
        return Linear(int(low), 1)
    span = float(high) - float(low)
    if not span < _WIDEST:
        raise MediaError(
            f"variable {values.name!r:.60} spans {low} to {high}, too much to scale; take ffv1"
        )
    return Linear(float(low), span / most if span / most > 0 else 1.0)


def _next(value: Array) -> Array:
    if value.dtype.kind == "f":
        return np.nextafter(value, value.dtype.type(0) if value else value.dtype.type(1))
    return value - 1 if value == np.iinfo(value.dtype).max else value + 1


def _distance(a: Any, b: Any) -> Any:
    """Return |a - b| as float64, of whole numbers without an overflow."""
    if np.asarray(a).dtype.kind in "iu":
        high, low = np.maximum(a, b), np.minimum(a, b)
        kind = np.uint64 if high.dtype.kind == "u" else np.int64
        above = np.asarray(high, kind).view(np.uint64) - np.asarray(low, kind).view(np.uint64)
        return above.astype(np.float64)
    return np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
