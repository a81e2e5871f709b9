"""Conversion between quality, 1..100, and the stored rate, 0..252.

The stored rate has 253 steps: a codec's rate indices 0..63 and quarters between them. All
computations are in integers, so that results are the same on every machine.
"""

from __future__ import annotations

from quantal.arguments import whole

__all__ = ["RATES", "quality_to_rate", "rate_to_quality"]

RATES = range(253)


def quality_to_rate(quality: int) -> int:
    """Return the stored rate of a quality of 1..100: `round((quality - 1) * 252 / 99)`.

    >>> quality_to_rate(1), quality_to_rate(60), quality_to_rate(100)
    (0, 150, 252)
    """
    quality = whole("quality", quality, 1, 100)
    return ((quality - 1) * 56 + 11) // 22


def rate_to_quality(rate: int) -> int:
    """Return the quality nearest to a stored rate of 0..252; the inverse of `quality_to_rate`.

    >>> rate_to_quality(150)
    60
    """
    rate = whole("rate", rate, 0, 252)
    return (rate * 11 + 14) // 28 + 1
