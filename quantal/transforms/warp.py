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
from quantal.fields import BESIDE, BLOCK, FILTER_SUM, FILTERS, UNITS

__all__ = ["warp"]

_TAPS = 8
#: Pixels of half a block, of a block with half a block around it, and of what that is made of.
_HALF, _WINDOW = BLOCK // 2, 2 * BLOCK
_PATCH = _WINDOW + _TAPS - 1
#: The block in its window, and the window at phase 0 in its patch.
_MIDDLE, _WHOLE = slice(_HALF, -_HALF), slice(_TAPS // 2 - 1, -_TAPS // 2)
#: Blocks whose patches are in memory at once.
_AT_ONCE = 2048


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
    with torch.autocast(reference.device.type, enabled=False):
        found = _predictions(reference, field)
    block = found[..., _MIDDLE, _MIDDLE]
    # The half of a neighbour's window that reaches into a block; its own where there is none.
    above = torch.cat((block[:, :, :1, :, :_HALF], found[:, :, :-1, :, -_HALF:, _MIDDLE]), dim=2)
    below = torch.cat((found[:, :, 1:, :, :_HALF, _MIDDLE], block[:, :, -1:, :, _HALF:]), dim=2)
    left = torch.cat((block[:, :, :, :1, :, :_HALF], found[:, :, :, :-1, _MIDDLE, -_HALF:]), dim=3)
    right = torch.cat((found[:, :, :, 1:, _MIDDLE, :_HALF], block[:, :, :, -1:, :, _HALF:]), dim=3)
    beside = torch.tensor(BESIDE, device=reference.device)
    # Differences, so that what three equal vectors bring is copied exactly.
    change = torch.cat((above, below), dim=4).sub_(block).mul_(beside[:, None])
    change.addcmul_(torch.cat((left, right), dim=5).sub_(block), beside)
    return change.add_(block).transpose(3, 4).reshape(reference.shape)


def _predictions(reference: Tensor, field: Tensor) -> Tensor:
    """Return what the vector of each block predicts for its window: the block and half a block
    around it.

    Args:
        reference: [B, 3, H, W].
        field: int32 [B, 2, H/8, W/8].

    Returns:
        [B, 3, H/8, W/8, 16, 16].
    """
    batch, colours, height, width = reference.shape
    _, _, rows, columns = field.shape
    device = reference.device
    # Wholly beyond the border all windows are alike.
    padded = F.pad(reference, (_PATCH,) * 4, mode="replicate")
    patches = padded.unfold(2, _PATCH, 1).unfold(3, _PATCH, 1).permute(0, 2, 3, 1, 4, 5)
    first = _PATCH - _HALF - _TAPS // 2 + 1
    x, y = field.unbind(1)
    top = (y >> 2) + BLOCK * torch.arange(rows, device=device)[:, None] + first
    left = (x >> 2) + BLOCK * torch.arange(columns, device=device) + first
    top = top.clamp_(0, height + _PATCH).flatten()
    left = left.clamp_(0, width + _PATCH).flatten()
    picture = torch.arange(batch, device=device).repeat_interleave(rows * columns)
    phase = ((x & (UNITS - 1)) * UNITS + (y & (UNITS - 1))).flatten()
    order = phase.argsort(stable=True)
    filters = _window_filters(device)
    found = reference.new_empty(len(order), colours, _WINDOW, _WINDOW)
    counts = torch.bincount(phase, minlength=UNITS**2).tolist()
    for number, chosen in enumerate(torch.split(order, counts)):
        horizontal, vertical = divmod(number, UNITS)
        for some in torch.split(chosen, _AT_ONCE):
            part = patches[picture[some], top[some], left[some]]
            part = part @ filters[horizontal].T if horizontal else part[..., _WHOLE]
            found[some] = filters[vertical] @ part if vertical else part[..., _WHOLE, :]
    found = found.view(batch, rows, columns, colours, _WINDOW, _WINDOW)
    return found.permute(0, 3, 1, 2, 4, 5)


def _window_filters(device: torch.device) -> Tensor:
    """Return the filters of all phases as matrices from patches to windows, [4, 16, 23]."""
    filters = torch.zeros(UNITS, _WINDOW, _PATCH, device=device)
    taps = torch.tensor(FILTERS, dtype=torch.float32, device=device) / FILTER_SUM
    for place in range(_WINDOW):
        filters[:, place, place : place + _TAPS] = taps
    return filters
