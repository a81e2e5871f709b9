"""Motion compensation: a picture moved by a field of quarter-pixel vectors.

Pixels between the given ones are interpolated by the 8-tap filters of HEVC (Ugur et al., "Motion
compensated prediction and interpolation filter design in H.265/HEVC", 2013). Blocks overlap: a
pixel is a weighted mean of three predictions, by the vector of its own block, of the block above or
below and of the block to the left or right, whichever are nearer (after Orchard and Sullivan,
"Overlapped block motion compensation", 1994).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["BLOCK", "UNITS", "interpolated", "warp"]

#: Pixels along a side of a block.
BLOCK = 8
#: Units of a vector in a pixel.
UNITS = 4
_TAPS = 8
#: Filters of the phases 0, 1/4, 1/2 and 3/4; they begin 3 pixels before the one at phase 0.
_FILTERS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
_SUM = 64
#: Weights of the nearer block beside, from the edge of a block to its middle and back.
_BESIDE = tuple(part / 24 for part in (7, 5, 3, 1, 1, 3, 5, 7))


def warp(reference: Tensor, field: Tensor) -> Tensor:
    """Return the prediction of a frame from the frame before it.

    Args:
        reference: the frame before, float32 [B, 3, H, W]; H and W are multiples of 8.
        field: (dx, dy) of each block of 8x8 pixels in quarter pixels, integers [B, 2, H/8, W/8]: a
            pixel at (x, y) is predicted from (x + dx / 4, y + dy / 4) of the reference. Beyond its
            borders the reference continues with its edge.

    Returns:
        float32 [B, 3, H, W].

    Raises:
        ArgumentError: If shapes don't fit.
    """
    batch, _, height, width = reference.shape
    expected = (batch, 2, height // BLOCK, width // BLOCK)
    if height % BLOCK or width % BLOCK or tuple(field.shape) != expected:
        raise ArgumentError(
            f"a field {tuple(field.shape)} for a reference {tuple(reference.shape)}, expected "
            f"{expected} and sides that are multiples of {BLOCK}"
        )
    field = field.to(reference.device, torch.int32)
    if not field.any():
        return reference
    own = field.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
    vectors = torch.stack((own, _beside(field, 2), _beside(field, 3)), dim=1)
    block, vertical, horizontal = _moved(reference, vectors.permute(2, 1, 0, 3, 4)).unbind(1)
    across = torch.tensor(_BESIDE, device=reference.device).repeat(width // BLOCK)
    down = torch.tensor(_BESIDE, device=reference.device).repeat(height // BLOCK)[:, None]
    # Differences, so that what three equal vectors bring is copied exactly.
    change = vertical.sub_(block).mul_(down).addcmul_(horizontal.sub_(block), across)
    return block.add_(change).transpose(0, 1)


def _beside(field: Tensor, axis: int) -> Tensor:
    """Return for every pixel the vector of the nearer block beside along an axis, [B, 2, H, W].

    Beyond the border there is none; the block's own vector takes its place.
    """
    halves = field.repeat_interleave(2, axis)
    places = torch.arange(halves.shape[axis], device=field.device)
    nearer = torch.where(places % 2 == 0, places - 1, places + 1).clamp_(0, len(places) - 1)
    rows, columns = (BLOCK // 2, BLOCK) if axis == 2 else (BLOCK, BLOCK // 2)
    chosen = halves.index_select(axis, nearer)
    return chosen.repeat_interleave(rows, 2).repeat_interleave(columns, 3)


def _moved(reference: Tensor, vectors: Tensor) -> Tensor:
    """Return the reference moved by each of several fields.

    Args:
        reference: [B, 3, H, W].
        vectors: int32 [2, N, B, H, W], a vector for every pixel.

    Returns:
        [3, N, B, H, W].
    """
    batch, colours, height, width = reference.shape
    device = reference.device
    columns = torch.arange(width, dtype=torch.int32, device=device)
    rows = torch.arange(height, dtype=torch.int32, device=device)[:, None]
    x, y = vectors
    across, down = x & (UNITS - 1), y & (UNITS - 1)
    source_x = ((x >> 2) + columns).clamp_(0, width - 1)
    source_y = ((y >> 2) + rows).clamp_(0, height - 1)
    start = torch.arange(batch, dtype=torch.int32, device=device)[:, None, None] * height
    source = ((source_y + start) * width + source_x).flatten()
    phase = (across * UNITS + down).flatten().to(torch.uint8)
    out = reference.new_empty(colours, phase.numel())
    planes = beside = reference.transpose(0, 1).contiguous()
    # Sorted, because a search for each of the phases takes as long as all the filters.
    order = phase.argsort(stable=True)
    counts = torch.bincount(phase, minlength=UNITS**2).tolist()
    parts = zip(order.split(counts), source.index_select(0, order).split(counts), strict=True)
    for number, (chosen, places) in enumerate(parts):
        horizontal, vertical = divmod(number, UNITS)
        if vertical == 0:
            beside = interpolated(planes, horizontal, 3)
        if len(chosen):
            between = interpolated(beside, vertical, 2).view(colours, -1)
            for plane, result in zip(between, out, strict=True):
                result.index_copy_(0, chosen, plane.index_select(0, places))
    return out.view(colours, *vectors.shape[1:])


def interpolated(planes: Tensor, phase: int, axis: int) -> Tensor:
    """Return planes between their pixels.

    Args:
        planes: float32 [..., H, W], four axes in all.
        phase: quarters of a pixel by which the result lies further along the axis, 0..3.
        axis: 2 or 3.
    """
    if not phase:
        return planes
    size = planes.shape[axis]
    before, after = _TAPS // 2 - 1, _TAPS // 2
    edges = (before, after, 0, 0) if axis == 3 else (0, 0, before, after)
    padded = F.pad(planes, edges, mode="replicate")
    taps = [(place, tap / _SUM) for place, tap in enumerate(_FILTERS[phase]) if tap]
    place, tap = taps[0]
    sums = padded.narrow(axis, place, size) * tap
    for place, tap in taps[1:]:
        sums.add_(padded.narrow(axis, place, size), alpha=tap)
    return sums
