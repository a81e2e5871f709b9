"""Wavelet packets, and transforms around them: a shallow analysis and a deep synthesis.

J levels turn [B, C, H, W] into [B, C 4^J, H / 2^J, W / 2^J]: every level splits all bands once more
along both axes by the 9/7 filters of Cohen, Daubechies and Feauveau, which are nearly orthonormal.
A split is four steps of lifting between even and odd positions (Daubechies and Sweldens, "Factoring
wavelet transforms into lifting steps", 1998), which can be undone exactly. A picture continues
beyond its borders as its mirror image.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.layers import GatedBlock
from quantal.transforms.klt import principal_components
from quantal.transforms.pyramid import CENTRE

__all__ = [
    "WaveletAnalysis",
    "WaveletSynthesis",
    "initialise_with_packets",
    "packets",
    "start_from_packets",
    "unpacked",
]

#: What the sum of both neighbours is multiplied by before it is added: to odd positions, to even
#: ones, and so on.
_STEPS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
#: What even positions are multiplied by in the end; odd ones by its inverse.
_LOW = 1.149604398860241


def packets(x: Tensor, levels: int) -> Tensor:
    """Return the wavelet packets of planes.

    Args:
        x: [B, C, H, W], H and W multiples of 2^levels.
        levels: how often all bands are split.

    Returns:
        [B, C 4^levels, H / 2^levels, W / 2^levels].

    Raises:
        ArgumentError: If sides are no such multiples.
    """
    unit = 1 << levels
    if x.shape[-2] % unit or x.shape[-1] % unit:
        raise ArgumentError(f"planes of {tuple(x.shape[-2:])}: sides must be multiples of {unit}")
    if torch.compiler.is_compiling():
        for _ in range(levels):
            x = _split_traced(x)
        return x
    planes = []
    # Planes are independent; one by one, they stay in the processor's cache.
    for plane in torch.split(x, 1, 1):
        for _ in range(levels):
            plane = _split(plane)
        planes.append(plane)
    return torch.cat(planes, 1)


def unpacked(x: Tensor, levels: int) -> Tensor:
    """Return the planes of wavelet packets; the inverse of packets().

    Args:
        x: [B, C 4^levels, h, w].
        levels: how often all bands were split.

    Returns:
        [B, C, h 2^levels, w 2^levels].

    Raises:
        ArgumentError: If there are no such packets.
    """
    if x.shape[1] % 4**levels:
        raise ArgumentError(f"{x.shape[1]} channels are no packets of {levels} levels")
    for _ in range(levels):
        x = _joined(x)
    return x


def _phases(x: Tensor) -> Tensor:
    """Return [B, 4 C, h, w] as [B, C, 2, 2, h, w]: rows' phases, columns'."""
    batch, channels, height, width = x.shape
    return x.view(batch, channels // 4, 2, 2, height, width)


def _unshuffled(x: Tensor) -> Tensor:
    """Return F.pixel_unshuffle(x, 2), in a third of the time on a CPU; always a copy."""
    batch, channels, height, width = x.shape
    phases = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
    copied = phases.clone(memory_format=torch.contiguous_format)
    return copied.view(batch, 4 * channels, height // 2, width // 2)


def _shuffled(x: Tensor) -> Tensor:
    """Return F.pixel_shuffle(x, 2), in a third of the time on a CPU."""
    batch, channels, height, width = x.shape
    places = _phases(x).permute(0, 1, 4, 2, 5, 3)
    return places.reshape(batch, channels // 4, 2 * height, 2 * width)


def _split(x: Tensor) -> Tensor:
    """Split all bands once along both axes."""
    x = _unshuffled(x)
    phases = _phases(x)
    for axis in (2, 3):
        even, odd = phases.select(axis, 0), phases.select(axis, 1)
        for number in (0, 2):
            _lift(odd, even, axis, True, _STEPS[number])
            _lift(even, odd, axis, False, _STEPS[number + 1])
        even.mul_(_LOW)
        odd.mul_(1 / _LOW)
    return x


class _Joined(torch.autograd.Function):
    """Undo _split(). It is linear, so its gradient is its transpose, which needs nothing kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        phases = _phases(x)
        for axis in (3, 2):
            even, odd = phases.select(axis, 0), phases.select(axis, 1)
            even.mul_(1 / _LOW)
            odd.mul_(_LOW)
            for number in (2, 0):
                _lift(even, odd, axis, False, -_STEPS[number + 1])
                _lift(odd, even, axis, True, -_STEPS[number])
        return _shuffled(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x = _unshuffled(grads[0])
        phases = _phases(x)
        for axis in (2, 3):
            even, odd = phases.select(axis, 0), phases.select(axis, 1)
            for number in (0, 2):
                _lift(odd, even, axis, True, -_STEPS[number], transposed=True)
                _lift(even, odd, axis, False, -_STEPS[number + 1], transposed=True)
            even.mul_(1 / _LOW)
            odd.mul_(_LOW)
        return x


def _joined(x: Tensor) -> Tensor:
    """Undo _split()."""
    if torch.compiler.is_compiling():
        return _joined_traced(x)
    joined: Tensor = _Joined.apply(x)
    return joined


def _lift(
    target: Tensor,
    source: Tensor,
    axis: int,
    follows: bool,
    factor: float,
    transposed: bool = False,
) -> None:
    """Add a multiple of both neighbours to each position, in place.

    Args:
        target: positions of one phase [B, C, 2, h, w].
        source: positions of the other phase.
        axis: 2 for rows, 3 for columns.
        follows: whether the second neighbour is the next of its phase, as for odd positions, or the
            one before.
        factor: of the sum.
        transposed: whether to apply the transpose, from target to source.
    """
    along, last = axis + 1, source.shape[axis + 1] - 1
    first, second, edge = (0, 1, last) if follows else (1, 0, 0)
    for into, out in (
        (target, source),
        (target.narrow(along, first, last), source.narrow(along, second, last)),
        # The mirror image of a border's neighbour is that neighbour.
        (target.narrow(along, edge, 1), source.narrow(along, edge, 1)),
    ):
        if transposed:
            out.add_(into, alpha=factor)
        else:
            into.add_(out, alpha=factor)


# Steps in place are quick, but in a traced graph each would become dozens of nodes. What is
# exported is written as sums.


def _split_traced(x: Tensor) -> Tensor:
    phases = _phases(F.pixel_unshuffle(x, 2))
    for axis in (2, 3):
        even, odd = phases.select(axis, 0), phases.select(axis, 1)
        for number in (0, 2):
            odd = _lifted(odd, even, axis, True, _STEPS[number])
            even = _lifted(even, odd, axis, False, _STEPS[number + 1])
        phases = torch.stack((even * _LOW, odd * (1 / _LOW)), axis)
    return phases.flatten(1, 3)


def _joined_traced(x: Tensor) -> Tensor:
    phases = _phases(x)
    for axis in (3, 2):
        even, odd = phases.select(axis, 0) * (1 / _LOW), phases.select(axis, 1) * _LOW
        for number in (2, 0):
            even = _lifted(even, odd, axis, False, -_STEPS[number + 1])
            odd = _lifted(odd, even, axis, True, -_STEPS[number])
        phases = torch.stack((even, odd), axis)
    return F.pixel_shuffle(phases.flatten(1, 3), 2)


def _lifted(target: Tensor, source: Tensor, axis: int, follows: bool, factor: float) -> Tensor:
    """Return what _lift() makes of the target."""
    along = axis + 1
    last = source.shape[along] - 1
    ends = (source.narrow(along, 1, last), source.narrow(along, last, 1))
    starts = (source.narrow(along, 0, 1), source.narrow(along, 0, last))
    return target + factor * (source + torch.cat(ends if follows else starts, along))


class WaveletAnalysis(nn.Module):
    """Pixels [B, 3, H, W] in 0..1 to latents [B, M, H/s, W/s]: packets, then a shallow network.

    H and W are multiples of the stride s = 2^levels. Most of it is linear (after Jacobellis and
    Yadwadkar, "Learned compression for compressed learning", 2025).

    Args:
        channels: M.
        width: channels of the network.
        blocks: gated blocks; the rest is linear.
        levels: of the packets.

    Attributes:
        stride: pixels per latent along each axis.
        reach: pixels in each direction that a latent may depend on.
        alignment: a window of a larger picture has the picture's latents if it starts at a multiple
            of this, in pixels.
    """

    def __init__(self, channels: int, width: int, blocks: int, levels: int = 4) -> None:
        super().__init__()
        self.levels = levels
        self.stride = self.alignment = 1 << levels
        self.klt = nn.Conv2d(3 * 4**levels, width, 1)
        self.refine = nn.Sequential(*(GatedBlock(width) for _ in range(blocks)))
        self.select = nn.Conv2d(width, channels, 1)
        # Each step of lifting reaches one position further, on a grid that doubles with each level.
        self.reach = len(_STEPS) * (self.stride - 1) + self.stride * blocks

    def packets(self, pixels: Tensor) -> Tensor:
        """Return the wavelet packets of pixels [B, 3, H, W] in 0..1."""
        return packets(pixels - CENTRE, self.levels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels [B, 3, H, W] in 0..1 to latents [B, M, H/s, W/s]."""
        with torch.autocast(pixels.device.type, enabled=False):
            mixed = self.klt(self.packets(pixels.float()))
        refined = self.refine(mixed)
        with torch.autocast(pixels.device.type, enabled=False):
            found: Tensor = self.select(refined.float())
        return found


class WaveletSynthesis(nn.Module):
    """Latents [B, M, H/s, W/s] to pixels [B, 3, H, W], about 0..1 but not clipped.

    Packets follow from the latents, linearly and through a network; then bands are joined level by
    level, and refined where they are few enough.

    Args:
        channels: M.
        width: channels of the network at the latents' stride.
        blocks: gated blocks at the latents' stride, after the first level that is joined, ...
        levels: of the packets.

    Attributes:
        stride: pixels per latent along each axis.
        reach: pixels in each direction that a latent may change.
        alignment: pixels that windows start at multiples of.
    """

    def __init__(self, channels: int, width: int, blocks: tuple[int, ...], levels: int = 4) -> None:
        super().__init__()
        if not 1 <= len(blocks) <= levels:
            raise ArgumentError(f"{len(blocks)} counts of blocks for {levels} levels: give 1 to J")
        self.levels = levels
        self.stride = self.alignment = 1 << levels
        bands = 3 * 4**levels
        self.klt = nn.Conv2d(channels, bands, 1)
        self.widen = nn.Conv2d(channels, width, 1)
        self.network = nn.Sequential(*(GatedBlock(width) for _ in range(blocks[0])))
        self.narrow = nn.Conv2d(width, bands, 1)
        self.refines = nn.ModuleList(
            nn.Sequential(*(GatedBlock(bands // 4**level) for _ in range(count)))
            for level, count in enumerate(blocks[1:], 1)
        )
        own = sum(count * (self.stride >> level) for level, count in enumerate(blocks))
        self.reach = len(_STEPS) * (self.stride - 1) + own

    @property
    def depth(self) -> int:
        """Levels of the packets that stay when bands have been joined and refined."""
        return self.levels - len(self.refines)

    def packets(self, latents: Tensor) -> Tensor:
        """Map latents [B, M, H/s, W/s] to packets [B, 3 * 4^depth, H/2^depth, W/2^depth]."""
        with torch.autocast(latents.device.type, enabled=False):
            latents = latents.float()
            x = self.klt(latents)
            wide = self.widen(latents)
        x = x + self.narrow(self.network(wide)).float()
        for refine in self.refines:
            x = refine(_joined(x)).float()
        return x

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents [B, M, H/s, W/s] to pixels [B, 3, H, W]."""
        return unpacked(self.packets(latents), self.depth) + CENTRE


@torch.no_grad()
def start_from_packets(analysis: WaveletAnalysis, pictures: Tensor) -> Tensor:
    """Start an analysis as the KLT of the wavelet packets of pictures.

    Args:
        analysis: is changed.
        pictures: [B, 3, H, W] in 0..1.

    Returns:
        The root mean square of each latent channel [M].
    """
    rms = _start(analysis, pictures)[1]
    return rms[: analysis.select.out_channels]


def _start(analysis: WaveletAnalysis, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Start an analysis; return the components [width, bands] and their root mean squares."""
    rows, rms = principal_components(analysis.packets(pictures), analysis.klt.out_channels)
    analysis.klt.weight.copy_(rows[:, :, None, None])
    nn.init.dirac_(analysis.select.weight)
    for layer in (analysis.klt, analysis.select):
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return rows, rms


@torch.no_grad()
def initialise_with_packets(
    analysis: WaveletAnalysis, synthesis: WaveletSynthesis, pictures: Tensor
) -> Tensor:
    """Start both transforms as the KLT of the wavelet packets of pictures.

    Args:
        analysis: is changed.
        synthesis: is changed.
        pictures: [B, 3, H, W] in 0..1.

    Returns:
        The root mean square of each latent channel [M].
    """
    rows, rms = _start(analysis, pictures)
    channels = analysis.select.out_channels
    synthesis.klt.weight.copy_(rows[:channels].T[:, :, None, None])
    nn.init.zeros_(synthesis.narrow.weight)
    for layer in (synthesis.klt, synthesis.narrow):
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return rms[:channels]
