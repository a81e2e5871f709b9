"""Which sums of integers float32 holds exactly: those that provably stay below 2^24.

Before a layer runs, the largest inputs of the moment bound every partial sum, in whatever order a
library adds up. Where all inputs together are too many, runs of channels may still be few enough;
their sums are added in float64.
"""

from __future__ import annotations

import itertools
import math
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SINGLE", "Parts", "single_is_exact"]

#: Whole numbers of at most this magnitude are exact in float32.
SINGLE = 1 << 24
#: Bounds are computed in float32 too, whose rounding errors this covers many times.
_MARGIN = 1 + 2.0**-8
#: Into how many runs of channels sums may be divided; with more, float64 is as fast.
_DIVISIONS = (1, 2, 4)

Values = npt.NDArray[np.floating[Any]]


class Parts:
    """The runs of input channels over which a layer's sums are exact in float32.

    Args:
        weight: integers [O, I].
        largest_bias: of what is added to sums.
    """

    def __init__(self, weight: npt.NDArray[Any], largest_bias: int) -> None:
        self._weight, self._largest_bias = weight, largest_bias
        #: The division that held for the last input: it will most likely do again.
        self._last = _DIVISIONS[0]

    @cached_property
    def _signed(self) -> tuple[Values, Values]:
        """The magnitudes of positive and of negative weights, float32 [O, I] each."""
        weight = self._weight.astype(np.float32)
        return np.maximum(weight, 0), np.maximum(-weight, 0)

    def of(self, x: Values) -> list[slice] | None:
        """Return runs of channels whose sums are exact; None if there are none.

        Args:
            x: the input [I, n], whole numbers.
        """
        if not x.size:
            return None
        most, least = x.max(1), x.min(1)
        for division in (self._last, *(n for n in _DIVISIONS if n > self._last)):
            ends = [len(x) * number // division for number in range(division + 1)]
            parts = [slice(a, b) for a, b in itertools.pairwise(ends) if a < b]
            if all(self._holds(part, most[part], least[part]) for part in parts):
                self._last = division
                return parts
        return None

    def _holds(self, part: slice, most: Values, least: Values) -> bool:
        """Return whether float32 holds every partial sum, and the bias on top of it.

        Args:
            part: of the input channels.
            most: the largest input of each.
            least: the smallest.
        """
        up, down = (signed[:, part] for signed in self._signed)
        # Whatever is added first, a sum is never above all positive products together, nor below
        # all negative ones.
        positive = np.maximum(most, 0)
        above, below = up @ positive, down @ positive
        if least.min() < 0:
            negative = np.maximum(-least, 0)
            above, below = above + down @ negative, below + up @ negative
        bound = max(float(above.max()), float(below.max())) * _MARGIN
        return bound + self._largest_bias < SINGLE

    def holds_taps(self, x: Values) -> bool:
        """Return whether float32 holds the sums of a depthwise layer, whose weight is [C, taps].

        Args:
            x: the input [C, n], whole numbers.
        """
        if not x.size:
            return False
        largest = np.maximum(x.max(1), -x.min(1))
        up, down = self._signed
        bound = float(((up + down).sum(1) * largest).max()) * _MARGIN
        return bound + self._largest_bias < SINGLE


@cache
def single_is_exact() -> bool:
    """Return whether numpy's float32 matrix products are exact for whole numbers below 2^24.

    They are wherever products are summed in float32; samples find a library that lowers the
    precision (bfloat16) or multiplies less often (Strassen's algorithm).
    """
    for outputs, inputs, columns in ((144, 640, 96), (96, 96, 64), (256, 256, 256), (8, 3, 1)):
        # Inputs of 13 digits; sums of their products are below 2^24, but not far.
        x = _pattern(1031, 1 << 12, inputs, columns) + (1 << 12)
        weight = _pattern(7, (1 << 11) // inputs + 1, outputs, inputs)
        found = weight.astype(np.float32) @ x.astype(np.float32)
        if not np.array_equal(found, weight @ x):
            return False
    return True


def _pattern(step: int, count: int, *shape: int) -> Values:
    """Return whole numbers below `count` in float64, which look like random ones."""
    return (np.arange(math.prod(shape)) * step % count).astype(np.float64).reshape(shape)
