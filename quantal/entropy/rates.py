"""The rate axis: positions 0..63, whose whole parts are the 64 rate indices.

One set of weights serves all positions. This module has numbers alone; curves.py has the parts of
networks that follow the rate.
"""

from __future__ import annotations

import math

__all__ = ["ANCHORS", "LAMBDA_RANGE", "RATE_INDICES", "lambda_at"]

RATE_INDICES = 64
#: Positions on the rate axis at which a curve is learned.
ANCHORS = 8
#: lambda of the Lagrangian lambda * 255^2 * MSE + bpp at the lowest and the highest rate index.
LAMBDA_RANGE = (0.00018, 0.45)


def lambda_at(rate: float) -> float:
    """Return lambda at a position 0..63, log-interpolated over LAMBDA_RANGE."""
    low, high = map(math.log, LAMBDA_RANGE)
    return math.exp(low + (high - low) * rate / (RATE_INDICES - 1))
