"""A clip that moves and stands still, for tests of codecs with trained weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage import data

__all__ = ["moving"]


def moving(count: int, width: int = 113, height: int = 79) -> list[NDArray[np.uint8]]:
    """Return frames [height, width, 3]: a cat that shakes its head in front of an astronaut.

    The left half stands still.
    """
    background = data.astronaut()[:height, 120 : 120 + width]
    cat = data.chelsea()[60 : 60 + height // 2]
    frames = []
    for number in range(count):
        frame = background.copy()
        left = 150 + round(20 * np.sin(number / 5))
        frame[-len(cat) :, width // 2 :] = cat[:, left : left + width - width // 2]
        frames.append(frame)
    return frames
