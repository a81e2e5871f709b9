"""Planes of samples [..., H, W]: whole multiples, padding, and windows in bounded memory.

A window is a core and a halo around it that is at least as wide as a network reaches. The network
then computes for the core what it would compute from the whole plane, so there are no seams.
Everything here works on numpy arrays and on torch tensors, and imports neither torch nor a codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["apply_in_windows", "bands", "ceil_div", "pad_edge", "round_up", "window_spans"]

Result = TypeVar("Result", bound=Any)
Scalar = TypeVar("Scalar", bound=np.generic)


def ceil_div(value: int, unit: int) -> int:
    """Return how many units cover a value.

    >>> ceil_div(65, 16)
    5
    """
    return -(-value // unit)


def round_up(value: int, unit: int) -> int:
    """Return the smallest multiple of a unit that is at least a value.

    >>> round_up(65, 16)
    80
    """
    return ceil_div(value, unit) * unit


def pad_edge(plane: npt.NDArray[Scalar], multiple: int) -> npt.NDArray[Scalar]:
    """Extend a plane at its bottom and right to whole multiples by repeating its edge.

    Args:
        plane: array [..., H, W].
        multiple: what both sides become a multiple of.

    Returns:
        Array [..., H', W'] with the memory layout of `plane`; `plane` itself if it already fits.
    """
    height, width = plane.shape[-2:]
    size = round_up(height, multiple), round_up(width, multiple)
    if size == (height, width):
        return plane
    # A network's last bits follow the memory layout, so that of the plane is kept.
    padded = np.empty_like(plane, shape=(*plane.shape[:-2], *size))
    padded[..., :height, :width] = plane
    padded[..., :height, width:] = plane[..., -1:]
    padded[..., height:, :] = padded[..., height - 1 : height, :]
    return padded


def bands(height: int, width: int, positions: int, unit: int = 1) -> Iterator[slice]:
    """Cut the rows of a plane into bands of about `positions` positions.

    Args:
        height: rows of the plane.
        width: columns of the plane.
        positions: positions of a band; a band has at least `unit` rows.
        unit: bands start at multiples of this many rows.

    Yields:
        The rows of each band, from the top down.
    """
    rows = max(positions // width // unit, 1) * unit
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def window_spans(length: int, core: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut one axis into windows.

    Args:
        length: positions on the axis.
        core: positions of a window without its halo.
        halo: positions around the core that a window has as well.

    Yields:
        For each window: the window with its halo on the axis, its core within the window, and its
        core on the axis.
    """
    for start in range(0, length, core):
        end = min(start + core, length)
        low, high = max(start - halo, 0), min(end + halo, length)
        yield slice(low, high), slice(start - low, end - low), slice(start, end)


def _scaled(span: slice, scale: Fraction) -> slice:
    return slice(int(span.start * scale), int(span.stop * scale))


def _empty(like: Any, shape: tuple[int, ...]) -> Any:
    """Return an uninitialised array or tensor of another shape, contiguous."""
    if isinstance(like, np.ndarray):
        return np.empty(shape, like.dtype)
    return like.new_empty(shape)


def apply_in_windows(
    network: Callable[..., Result],
    plane: Any,
    core: int,
    halo: int,
    scale: Fraction | int = 1,
    beside: Sequence[Any] = (),
) -> Result:
    """Apply a network to a plane window by window.

    Memory is that of the result and of one window. A network that divides the plane by a grid
    needs a core and a halo that are multiples of the grid.

    Args:
        network: maps a window [..., h, w], and those of `beside`, to [..., h * scale, w * scale].
        plane: array or tensor [..., H, W].
        core: positions of a window along each axis, without its halo.
        halo: positions around the core that the network sees as well.
        scale: of the network. Core, halo, H and W times the scale are whole numbers.
        beside: further planes of the size of `plane`, cut into the same windows.

    Returns:
        The result [..., H * scale, W * scale], of the network's type.
    """
    scale = Fraction(scale)
    height, width = plane.shape[-2:]
    if height <= core and width <= core:
        return network(plane, *beside)
    result: Any = None
    for outer_y, inner_y, place_y in window_spans(height, core, halo):
        for outer_x, inner_x, place_x in window_spans(width, core, halo):
            part = network(*(each[..., outer_y, outer_x] for each in (plane, *beside)))
            if result is None:
                shape = (*part.shape[:-2], int(height * scale), int(width * scale))
                result = _empty(part, shape)
            result[..., _scaled(place_y, scale), _scaled(place_x, scale)] = part[
                ..., _scaled(inner_y, scale), _scaled(inner_x, scale)
            ]
    return network(plane, *beside) if result is None else result  # an empty plane has no window
