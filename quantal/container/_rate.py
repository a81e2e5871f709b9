"""Quality for people, rate for files, and the way between.

A file stores its rate in 253 steps (a rate index 0..63 of the codec, and a quarter between two of
them); people say a quality of 1..100. Integers only: every machine gives the same answer.
"""

from __future__ import annotations

from quantal.errors import ArgumentError

__all__ = ["RATES", "quality_to_rate", "rate_to_quality"]

RATES = range(253)
_QUALITIES = range(1, 101)


def quality_to_rate(quality: int) -> int:
    """The stored rate for a quality of 1..100: `round((quality - 1) * 252 / 99)`.

    >>> quality_to_rate(1), quality_to_rate(60), quality_to_rate(100)
    (0, 150, 252)
    """
    if not isinstance(quality, int) or quality not in _QUALITIES:
        raise ArgumentError(f"quality {quality!r} found, expected a whole number from 1 to 100")
    return ((quality - 1) * 56 + 11) // 22


def rate_to_quality(rate: int) -> int:
    """The quality nearest to a stored rate of 0..252; undoes `quality_to_rate`.

    >>> rate_to_quality(150)
    60
    """
    if not isinstance(rate, int) or rate not in RATES:
        raise ArgumentError(f"rate {rate!r} found, expected a whole number from 0 to 252")
    return (rate * 11 + 14) // 28 + 1
