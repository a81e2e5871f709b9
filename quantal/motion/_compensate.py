"""Motion compensation of a decoder: a picture moved by a field of quarter-pixel vectors, in numpy.

quantal.transforms.warp does the same for training, with gradients, and names its sources. Here
filters are matrix products over the patches of many blocks at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.fields import BESIDE, BLOCK, FILTER_SUM, FILTERS, UNITS, Field

__all__ = ["compensated", "interpolated"]

Plane = npt.NDArray[np.float32]

_TAPS = len(FILTERS[0])
#: Pixels of half a block, of a block with half a block around it, and of what that is made of.
_HALF, _WINDOW = BLOCK // 2, 2 * BLOCK
_PATCH = _WINDOW + _TAPS - 1
#: The block in its window, and the window at phase 0 in its patch.
_MIDDLE, _WHOLE = slice(_HALF, -_HALF), slice(_TAPS // 2 - 1, -_TAPS // 2)
#: Blocks whose patches are in memory at once.
_AT_ONCE = 1024


def _window_filters() -> Plane:
    """Return the filters of all phases as matrices from patches to windows, [4, 23, 16]."""
    filters = np.zeros((UNITS, _PATCH, _WINDOW), np.float32)
    for place in range(_WINDOW):
        filters[:, place : place + _TAPS, place] = np.array(FILTERS, np.float32) / FILTER_SUM
    return filters


def compensated(reference: Plane, field: Field) -> Plane:
    """Return the prediction of a frame from the frame before it.

    Args:
        reference: the frame before, float32 [3, H, W]; H and W are multiples of 8. Beyond its
            borders it continues with its edge.
        field: the motion from it.

    Returns:
        float32 [3, H, W].
    """
    found = _predictions(reference, field.astype(np.int32))
    block = found[..., _MIDDLE, _MIDDLE]
    # The half of a neighbour's window that reaches into a block; its own where there is none.
    above = np.concatenate((block[:, :1, :, :_HALF], found[:, :-1, :, -_HALF:, _MIDDLE]), 1)
    below = np.concatenate((found[:, 1:, :, :_HALF, _MIDDLE], block[:, -1:, :, _HALF:]), 1)
    left = np.concatenate((block[:, :, :1, :, :_HALF], found[:, :, :-1, _MIDDLE, -_HALF:]), 2)
    right = np.concatenate((found[:, :, 1:, _MIDDLE, :_HALF], block[:, :, -1:, :, _HALF:]), 2)
    beside = np.array(BESIDE, np.float32)
    # Differences, so that what three equal vectors bring is copied exactly.
    change = np.concatenate((above, below), 3)
    change -= block
    change *= beside[:, None]
    across = np.concatenate((left, right), 4)
    across -= block
    across *= beside
    change += across
    change += block
    return change.transpose(0, 1, 3, 2, 4).reshape(reference.shape)


def _predictions(reference: Plane, field: npt.NDArray[np.int32]) -> Plane:
    """Return what the vector of each block predicts for its window: [3, H/8, W/8, 16, 16]."""
    colours, height, width = reference.shape
    _, rows, columns = field.shape
    # Wholly beyond the border all windows are alike.
    edges = ((0, 0), (_PATCH, _PATCH), (_PATCH, _PATCH))
    padded = np.pad(reference, edges, mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(  # type: ignore[call-overload]
        padded, (_PATCH, _PATCH), (1, 2)
    )
    first = _PATCH - _HALF - _TAPS // 2 + 1
    x, y = field
    top = (y >> 2) + BLOCK * np.arange(rows, dtype=np.int32)[:, None] + first
    left = (x >> 2) + BLOCK * np.arange(columns, dtype=np.int32) + first
    top = top.clip(0, height + _PATCH).ravel()
    left = left.clip(0, width + _PATCH).ravel()
    phase = ((x & (UNITS - 1)) * UNITS + (y & (UNITS - 1))).ravel()
    filters = _window_filters()
    found = np.empty((colours, rows * columns, _WINDOW, _WINDOW), np.float32)
    for number in np.unique(phase).tolist():
        horizontal, vertical = divmod(number, UNITS)
        chosen = np.flatnonzero(phase == number)
        for start in range(0, len(chosen), _AT_ONCE):
            some = chosen[start : start + _AT_ONCE]
            part = patches[:, top[some], left[some]]
            part = part @ filters[horizontal] if horizontal else part[..., _WHOLE]
            if vertical:
                part = (part.swapaxes(2, 3) @ filters[vertical]).swapaxes(2, 3)
            else:
                part = part[..., _WHOLE, :]
            found[:, some] = part
    return found.reshape(colours, rows, columns, _WINDOW, _WINDOW)


def interpolated(plane: Plane, phase: int, axis: int) -> Plane:
    """Return a plane between its pixels.

    Args:
        plane: float32 [H, W].
        phase: quarters of a pixel by which the result lies further along the axis, 0..3.
        axis: 0 or 1.
    """
    if not phase:
        return plane
    size = plane.shape[axis]
    edges = [(0, 0), (0, 0)]
    edges[axis] = (_TAPS // 2 - 1, _TAPS // 2)
    padded = np.pad(plane, edges, mode="edge")
    sums = np.zeros_like(plane)
    for place, tap in enumerate(FILTERS[phase]):
        if tap:
            part = slice(place, place + size)
            shifted = padded[part] if axis == 0 else padded[:, part]
            sums += shifted * np.float32(tap / FILTER_SUM)
    return sums
