"""Orientations of EXIF and TIFF, 1..8, as views of arrays."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["stored_view", "upright"]

Scalar = TypeVar("Scalar", bound=np.generic)
#: Orientations that undo others; every other one undoes itself.
_INVERSES = {6: 8, 8: 6}


def stored_view(array: npt.NDArray[Scalar], orientation: int) -> npt.NDArray[Scalar]:
    """Return a view of an upright array [H, W, ...] in the orientation of the stored image."""
    view: npt.NDArray[Any] = array.swapaxes(0, 1) if orientation >= 5 else array
    if orientation in (2, 3, 7, 8):
        view = view[:, ::-1]
    if orientation in (3, 4, 6, 7):
        view = view[::-1]
    return view


def upright(array: npt.NDArray[Scalar], orientation: int) -> npt.NDArray[Scalar]:
    """Return a stored array [H, W, ...] upright and contiguous; it is not copied if it is both."""
    return np.ascontiguousarray(stored_view(array, _INVERSES.get(orientation, orientation)))
