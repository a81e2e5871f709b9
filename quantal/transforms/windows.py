"""Run a convolution network over a large plane window by window, in bounded memory.

A window is a core and a halo around it at least as wide as the network reaches, so that what it
computes for its core is what it would have computed with the whole plane: there are no seams.
A network that divides the plane by a grid needs windows that start on that grid as well: core and
halo must be multiples of its alignment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import torch
from torch import Tensor

__all__ = ["apply_in_windows", "spans"]


def spans(length: int, core: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    """Along one axis: (outer, where its core lies in it, where its core lies in the plane)."""
    for start in range(0, length, core):
        end = min(start + core, length)
        low, high = max(start - halo, 0), min(end + halo, length)
        yield slice(low, high), slice(start - low, end - low), slice(start, end)


def _scaled(span: slice, scale: Fraction) -> slice:
    return slice(int(span.start * scale), int(span.stop * scale))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No gradients, and the networks' own precision whatever autocast the caller is in."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


@_undisturbed()
def apply_in_windows(
    network: Callable[..., Tensor],
    x: Tensor,
    core: int,
    halo: int,
    scale: Fraction | int = 1,
    beside: Sequence[Tensor] = (),
) -> Tensor:
    """Apply a network to x [B, C, H, W]; returns [B, C', H * scale, W * scale].

    core, halo: in positions of x; core, halo, H and W times scale must be whole numbers. Memory is
    that of the result and of one window. The result's type is the network's. beside: further planes
    of the size of x, of which the network is given the same windows.
    """
    scale = Fraction(scale)
    height, width = x.shape[-2:]
    if height <= core and width <= core:
        return network(x, *beside)
    result: Tensor | None = None
    for outer_y, inner_y, place_y in spans(height, core, halo):
        for outer_x, inner_x, place_x in spans(width, core, halo):
            part = network(*(plane[..., outer_y, outer_x] for plane in (x, *beside)))
            if result is None:
                shape = (*part.shape[:2], int(height * scale), int(width * scale))
                result = torch.empty(shape, dtype=part.dtype, device=part.device)
            result[..., _scaled(place_y, scale), _scaled(place_x, scale)] = part[
                ..., _scaled(inner_y, scale), _scaled(inner_x, scale)
            ]
    if result is None:  # no window at all: an empty plane
        return network(x, *beside)
    return result
