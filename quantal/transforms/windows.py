"""quantal.planes.apply_in_windows for torch: no gradients, and the networks' own precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from torch import Tensor

from quantal import planes
from quantal.layers import undisturbed

__all__ = ["apply_in_windows"]


def apply_in_windows(
    network: Callable[..., Tensor],
    x: Tensor,
    core: int,
    halo: int,
    scale: Fraction | int = 1,
    beside: Sequence[Tensor] = (),
) -> Tensor:
    """Apply a network to x [B, C, H, W] window by window, in bounded memory.

    The arguments are those of quantal.planes.apply_in_windows().

    Returns:
        [B, C', H * scale, W * scale], of the network's type.
    """
    with undisturbed():
        return planes.apply_in_windows(network, x, core, halo, scale, beside)
