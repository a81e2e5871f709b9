"""Attention within windows, after Swin Transformer V2 (Liu et al., 2022).

A convolution weighs neighbours by their position, attention also by their content: it finds what
repeats within a window. S2LIC (Wang et al., 2024) builds its transforms of such blocks. This module
has one block and its position bias; quantal.transforms.stages says which levels have how many.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.layers import BRANCH_START
from quantal.planes import ceil_div

__all__ = ["WindowAttentionBlock"]

#: Similarity is a cosine times a learned factor of each head, from 10 to at most 100 (SwinV2).
FIRST_FACTOR = 10.0
LARGEST_FACTOR = 100.0
#: A branch starts at this part of the features' size. GatedBlock's branch is BRANCH_START of what
#: its layers leave, which is less already; one that is normalised at its end has only this.
NORM_START = 0.1 * BRANCH_START
#: Hidden units of the network that turns a distance into a bias.
BIAS_WIDTH = 64


class DistanceBias(nn.Module):
    """The position bias of attention: a value for each pair of positions, [heads, N, N].

    N = window^2. A small network maps the offset of two positions to a bias for each head. Offsets
    are on a logarithmic scale, sign(d) log(1 + |d|), as in SwinV2: near ones differ more.
    """

    offsets: Tensor
    pairs: Tensor

    def __init__(self, heads: int, window: int) -> None:
        super().__init__()
        # Computed even where networks are built without memory, as when weights are loaded: these
        # buffers are in no file.
        span = torch.arange(1 - window, window, device="cpu")
        scaled = span.sign() * span.abs().float().log1p()
        axis = torch.arange(window, device="cpu")
        places = torch.cartesian_prod(axis, axis)
        down, across = (places[:, None] - places[None] + window - 1).unbind(-1)
        self.register_buffer("offsets", torch.cartesian_prod(scaled, scaled), persistent=False)
        self.register_buffer("pairs", down * len(span) + across, persistent=False)
        self.network = nn.Sequential(
            nn.Linear(2, BIAS_WIDTH), nn.ReLU(), nn.Linear(BIAS_WIDTH, heads, bias=False)
        )

    def forward(self) -> Tensor:
        """Return the biases [heads, N, N]."""
        return self.network(self.offsets).T[:, self.pairs]


class WindowAttentionBlock(nn.Module):
    """Attention among the positions of a window, then mixing of channels; both are residual.

    Maps [B, C, H, W] of any H and W to the same shape. Windows begin at multiples of `window` plus
    `shift`; at the plane's edges they are cut, never padded or wrapped. Blocks with and without a
    shift alternate, so that each joins what the other separates. With N = window^2 the block costs
    8 C^2 + 2 N C multiplications per position.

    Each branch is normalised at its end, not its beginning (SwinV2), so its size does not follow
    that of the features; start_at() fits it to them.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int = 0) -> None:
        super().__init__()
        if min(channels, heads, window) < 1 or channels % heads or not 0 <= shift < window:
            raise ArgumentError(
                f"window attention of {channels} channels, {heads} heads, windows of {window} "
                f"shifted by {shift}: heads must divide channels, the shift be 0..window - 1"
            )
        self.heads = heads
        self.window = window
        self.shift = shift
        #: Positions in each direction that a result may depend on.
        self.reach = window - 1
        #: A tile that starts at a multiple of this many positions has the plane's own windows.
        self.alignment = window
        self.enter = nn.Linear(channels, 3 * channels)
        self.bias = DistanceBias(heads, window)
        self.log_factor = nn.Parameter(torch.full((heads, 1, 1), math.log(FIRST_FACTOR)))
        self.leave = nn.Linear(channels, channels)
        self.leave_norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 2 * channels)
        self.project = nn.Linear(2 * channels, channels)
        self.project_norm = nn.LayerNorm(channels)
        self.activation = nn.GELU()
        self.start_at(torch.ones(channels))

    @torch.no_grad()
    def start_at(self, rms: Tensor) -> None:
        """Let the branches begin at NORM_START times the features' root mean squares [C]."""
        for norm in (self.leave_norm, self.project_norm):
            norm.weight.copy_(NORM_START * rms)

    def start_as_identity(self) -> None:
        """Set both branches to zero, for a block that joins a trained network."""
        for norm in (self.leave_norm, self.project_norm):
            nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        rows = x.permute(0, 2, 3, 1)
        rows = rows + self.leave_norm(self.leave(self._attend(self.enter(rows))))
        mixed = self.project(self.activation(self.expand(rows)))
        return (rows + self.project_norm(mixed)).permute(0, 3, 1, 2).to(x.dtype)

    def _windows(self, rows: Tensor) -> Tensor:
        """Map [B, H, W, C], zero-padded to whole windows and rolled, to [B, windows, N, C]."""
        side, shift = self.window, self.shift
        batch, height, width, channels = rows.shape
        plane = F.pad(rows, (0, 0, 0, -width % side, 0, -height % side))
        if shift:
            plane = plane.roll((-shift, -shift), (1, 2))
        down, across = plane.shape[1] // side, plane.shape[2] // side
        cut = plane.reshape(batch, down, side, across, side, channels).transpose(2, 3)
        return cut.reshape(batch, down * across, side * side, channels)

    def _plane(self, windows: Tensor, height: int, width: int) -> Tensor:
        """Reverse _windows(): map [B, windows, N, C] to [B, H, W, C]."""
        side, shift = self.window, self.shift
        down, across = ceil_div(height, side), ceil_div(width, side)
        cut = windows.reshape(windows.shape[0], down, across, side, side, -1).transpose(2, 3)
        plane = cut.reshape(windows.shape[0], down * side, across * side, -1)
        if shift:
            plane = plane.roll((shift, shift), (1, 2))
        return plane[:, :height, :width]

    def _apart(self, height: int, width: int, device: torch.device) -> Tensor:
        """Return which pairs share a window only through rolling and padding: bool [windows, N, N].

        Padding attends to padding, so every position has at least one position to attend to.
        """
        down, across = (
            (torch.arange(length, device=device) + self.window - self.shift) // self.window
            for length in (height, width)
        )
        # From 1 on: padding is 0.
        number = 1 + down[:, None] * (width + 1) + across
        number = self._windows(number[None, :, :, None])[0, :, :, 0]
        return number[:, :, None] != number[:, None, :]

    def _attend(self, entered: Tensor) -> Tensor:
        """Map queries, keys and values [B, H, W, 3 C] to attended values [B, H, W, C]."""
        height, width, channels = entered.shape[1:]
        windows = self._windows(entered)
        parts = windows.view(*windows.shape[:3], 3, self.heads, channels // 3 // self.heads)
        # Each [B, windows, heads, N, C / heads].
        query, key, value = parts.permute(3, 0, 1, 4, 2, 5)
        # A cosine times up to 100 needs more than the eight bits of bfloat16.
        with torch.autocast(entered.device.type, enabled=False):
            factor = self.log_factor.float().clamp_max(math.log(LARGEST_FACTOR)).exp()
            query = F.normalize(query.float(), dim=-1, eps=1e-6) * factor
            key = F.normalize(key.float(), dim=-1, eps=1e-6)
            bias = self.bias()
            if self.shift or height % self.window or width % self.window:
                apart = self._apart(height, width, entered.device)
                bias = bias.masked_fill(apart[:, None], -math.inf)
            weights = (query @ key.transpose(-2, -1) + bias).softmax(-1)
        gathered = weights.to(value.dtype) @ value
        return self._plane(gathered.transpose(2, 3).flatten(3), height, width)
