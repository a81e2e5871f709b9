"""Conversion between quality, 1..100, and the stored rate, 0..252.

The stored rate has 253 steps: a codec's rate indices 0..63 and quarters between them. All
computations are in integers, so that results are the same on every machine.
"""

from __future__ import annotations

from quantal.errors import ArgumentError

__all__ = ["RATES", "quality_to_rate", "rate_to_quality"]

RATES = range(253)
_QUALITIES = range(1, 101)


def quality_to_rate(quality: int) -> int:
    """Return the stored rate of a quality of 1..100: `round((quality - 1) * 252 / 99)`.

    >>> quality_to_rate(1), quality_to_rate(60), quality_to_rate(100)
    (0, 150, 252)
    """
    if not isinstance(quality, int) or quality not in _QUALITIES:
        raise ArgumentError(f"quality {quality!r} found, expected a whole number from 1 to 100")
    return ((quality - 1) * 56 + 11) // 22


def rate_to_quality(rate: int) -> int:
    """Return the quality nearest to a stored rate of 0..252; the inverse of `quality_to_rate`.

    >>> rate_to_quality(150)
    60
    """
    if not isinstance(rate, int) or rate not in RATES:
        raise ArgumentError(f"rate {rate!r} found, expected a whole number from 0 to 252")
    return (rate * 11 + 14) // 28 + 1
