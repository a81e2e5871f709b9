"""Display matrices: how stored pictures become upright."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from quantal.clips._properties import Pixels

__all__ = ["Turn", "turn_of"]


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay a rectangle on itself.

    Attributes:
        transposed: Whether rows become columns, which happens first.
        flip_x: Whether columns are then reversed.
        flip_y: Whether rows are then reversed.
        exact: Whether the display matrix is such a way; otherwise this is the nearest one.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False
    exact: bool = True

    @property
    def mirrored(self) -> bool:
        """Whether the pictures are mirrored left to right before they are turned."""
        return self.transposed ^ self.flip_x ^ self.flip_y

    @property
    def degrees(self) -> int:
        """Degrees by which pictures are turned clockwise: 0, 90, 180 or 270."""
        if self.transposed:
            return 270 if self.flip_y != self.mirrored else 90
        return 180 if self.flip_y else 0

    def apply(self, pixels: Pixels) -> Pixels:
        """Return an upright picture.

        Args:
            pixels: uint8 [H, W, 3] as stored.

        Returns:
            uint8 [H, W, 3], or [W, H, 3] if transposed, contiguous.
        """
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        if self.flip_x:
            pixels = pixels[:, ::-1]
        if self.flip_y:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def turn_of(matrix: bytes) -> Turn:
    """Return what a display matrix of ISO/IEC 14496-12 does, to the nearest right angle.

    Args:
        matrix: Nine numbers of 32 bits, in the machine's byte order: a b u, c d v, x y w. A point
            (p, q), q downwards, is shown at (a p + c q, b p + d q).
    """
    if len(matrix) < 36:
        return Turn()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix[:36]))
    transposed = math.hypot(b, c) > math.hypot(a, d)
    along, across = ((b, c), (a, d)) if transposed else ((a, d), (b, c))
    exact = across == (0, 0) and abs(along[0]) == abs(along[1]) != 0
    if transposed:
        return Turn(True, flip_x=c < 0, flip_y=b < 0, exact=exact)
    return Turn(False, flip_x=a < 0, flip_y=d < 0, exact=exact)
