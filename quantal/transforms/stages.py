"""A stage of the pyramid: the blocks that refine the features of one level, in three kinds.

- gated: gated blocks alone.
- window: gated blocks, then window attention, every second one with its windows shifted by half, as
  in S2LIC (Wang et al., 2024).
- region: gated blocks, then modulation of regions, after SegPIC (Liu et al., 2024).

The latter two look at squares of 64 x 64 pixels at every level, so that one alignment serves a
whole transform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.layers import GatedBlock
from quantal.transforms.attention import WindowAttentionBlock
from quantal.transforms.regions import RegionModulation

__all__ = ["KINDS", "Kind", "Stage", "extras_of"]

Kind = Literal["gated", "window", "region"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Default number of blocks of the kind that follow the gated ones at 1/4, 1/8 and 1/16; none follow
#: at coarser levels.
EXTRAS: dict[Kind, tuple[int, int, int]] = {
    "gated": (0, 0, 0),
    "window": (0, 2, 2),
    "region": (0, 1, 1),
}
#: Side of a window and of a region's cell, in pixels.
SQUARE = 64
#: Channels of an attention head, where a level has as many.
HEAD_CHANNELS = 32


def extras_of(kind: Kind, extras: Sequence[int] | None, levels: int = 3) -> tuple[int, ...]:
    """Return the extras asked for, or the default ones of a kind.

    Args:
        kind: of the blocks.
        extras: how many at each level, or None.
        levels: of the transform.

    Raises:
        ArgumentError: If there is no such kind, or the extras don't fit it.
    """
    if kind not in KINDS:
        raise ArgumentError(f"no transform is of kind {kind!r}: there are {', '.join(KINDS)}")
    if extras is None:
        return (*EXTRAS[kind], *(0 for _ in range(levels - len(EXTRAS[kind]))))
    if len(extras) != levels or min(extras) < 0:
        raise ArgumentError(f"extras are {extras}: give a count of 0 or more for each level")
    if kind == "gated" and any(extras):
        raise ArgumentError(f"extras are {extras}, but a gated transform has none: omit them")
    return tuple(extras)


class Stage(nn.ModuleList):
    """Blocks one after another on [B, C, H, W] at 1/stride of the picture's sides.

    Args:
        channels: C.
        stride: pixels from one position to the next.
        gated: how many gated blocks.
        kind: of the blocks that follow them.
        extra: how many blocks of that kind.
    """

    def __init__(self, channels: int, stride: int, gated: int, kind: Kind, extra: int) -> None:
        plain = [GatedBlock(channels) for _ in range(gated)]
        gridded: list[WindowAttentionBlock | RegionModulation] = []
        side = SQUARE // stride
        if kind == "window":
            heads = max(channels // HEAD_CHANNELS, 1)
            shifts = [side // 2 * (i % 2) for i in range(extra)]
            gridded += [WindowAttentionBlock(channels, heads, side, shift) for shift in shifts]
        elif kind == "region":
            gridded += [RegionModulation(channels, side) for _ in range(extra)]
        super().__init__([*plain, *gridded])
        self.stride = stride
        #: Pixels in each direction that a result may depend on, without regions.
        self.reach = stride * sum(block.reach for block in (*plain, *gridded))
        #: Pixels after which the windows and cells repeat.
        self.alignment = stride * math.lcm(*(block.alignment for block in gridded))

    @torch.no_grad()
    def start_at(self, rms: Tensor) -> None:
        """Fit branches of fixed size to the channels' root mean squares [C]."""
        for block in self:
            if isinstance(block, WindowAttentionBlock):
                block.start_at(rms)

    def forward(self, x: Tensor, regions: Tensor | None = None) -> Tensor:
        """Map [B, C, H, W] to the same shape.

        Args:
            x: features.
            regions: labels int64 [B, H * stride, W * stride]; each position takes that of its
                centre.
        """
        if regions is not None:
            middle = self.stride // 2
            regions = regions[:, middle :: self.stride, middle :: self.stride]
        for block in self:
            x = block(x, regions) if isinstance(block, RegionModulation) else block(x)
        return x
