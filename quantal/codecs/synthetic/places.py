"""Colours in a plane with a border, their causal neighbours, and the fronts in which they go."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Bits, Ints

__all__ = ["ABSENT", "NEIGHBOURS", "Plane", "fronts", "hashed"]

Colours = npt.NDArray[np.int32]
_U = np.uint64

#: Stands for a colour that is not known, or not there.
ABSENT = -1
#: Rows and columns of a position's neighbours, the nearest first. All of them are in fronts before
#: its own: position (r, c) of a band is in front c + 2 r.
NEIGHBOURS = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, 1), (-2, -1), (-1, -2), (-2, 2),
    (-2, -2), (0, -3), (-3, 0), (-2, 3), (-3, 1), (-3, -1),
)  # fmt: skip
_TOP, _BOTTOM, _SIDE = 4, 2, 5
#: Rows of a band: bands go side by side, so that fronts are long and few.
BAND = 128
_FINAL = _U(0x9E3779B97F4A7C15)


class Plane:
    """Colours of a picture with a border that is ABSENT.

    Attributes:
        stride: from a position to the one below it.
        colours: int32, flat; ABSENT where nothing is known yet.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.stride = width + 2 * _SIDE
        self.colours = np.full((height + _TOP + _BOTTOM) * self.stride, ABSENT, np.int32)
        self._offsets = np.array([r * self.stride + c for r, c in NEIGHBOURS], np.int64)[:, None]

    @property
    def inside(self) -> Colours:
        """The picture without its border, int32 [H, W], a view."""
        rows = self.colours.reshape(-1, self.stride)
        return rows[_TOP : _TOP + self.height, _SIDE : _SIDE + self.width]

    def places(self, rows: Ints, columns: Ints) -> Ints:
        """Return where positions of the picture are in `colours`."""
        return (rows + _TOP) * self.stride + columns + _SIDE

    def around(self, places: Ints, count: int = len(NEIGHBOURS)) -> Ints:
        """Return where the first neighbours of places [n] are [count, n]."""
        return places + self._offsets[:count]


def fronts(todo: Bits, plane: Plane) -> Iterator[Ints]:
    """Yield the places of the marked positions, front by front.

    Args:
        todo: bool [H, W].
        plane: of the same size.
    """
    rows, columns = np.nonzero(todo)
    numbers = columns + 2 * (rows % BAND)
    order = np.argsort(numbers, kind="stable")
    places = plane.places(rows[order], columns[order])
    counts = np.bincount(numbers)
    start = 0
    for count in counts[counts > 0].tolist():
        yield places[start : start + count]
        start += count


def hashed(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return 64 well mixed bits of each key."""
    mixed = keys ^ (keys >> _U(29))
    mixed *= _FINAL
    mixed ^= mixed >> _U(32)
    return mixed
