"""Analysis and synthesis transforms as a pyramid: 1/4, 1/8, 1/16, and on if there are more levels.

Each level gathers 4x4 or 2x2 positions into channels, mixes them by a 1x1 convolution and refines
them in a stage of blocks (quantal.transforms.stages). No level works at full resolution, which
keeps it cheap; the first level is fine enough to keep detail, which helps at high rates.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.transforms.klt import principal_components
from quantal.transforms.regions import check_labels
from quantal.transforms.stages import Kind, Stage, extras_of

__all__ = ["CENTRE", "PyramidAnalysis", "PyramidSynthesis", "initialise_with_klt"]

#: Positions that one step of the first level gathers, per axis, and of every further one.
FIRST_STEP, STEP = 4, 2
#: Pixels are centred on zero, so that the KLT's first component is not the mean of the scale.
CENTRE = 0.5


def _steps(levels: int) -> tuple[int, ...]:
    """Return the positions that each level gathers, per axis; their product is the stride."""
    if levels < 1:
        raise ArgumentError("a pyramid needs at least one level")
    return (FIRST_STEP, *(STEP for _ in range(levels - 1)))


def _strides(levels: int) -> tuple[int, ...]:
    """Return the distance in pixels between neighbouring positions of each level."""
    return tuple(accumulate(_steps(levels), operator.mul))


def _in_float(mix: nn.Module, x: Tensor) -> Tensor:
    """Apply the first or last layer of a level in float32, whatever autocast the caller is in.

    Everything about a picture passes through these layers, and later ones add to it. In bfloat16 a
    flat area would be off by up to one level, everywhere by the same amount; a network trained that
    way compensates for it and is off in other precisions.
    """
    with torch.autocast(x.device.type, enabled=False):
        return mix(x.float())  # type: ignore[no-any-return]


def _reach(stages: Iterable[Stage]) -> int:
    """Return the pixels that all levels together reach in each direction."""
    return sum(stage.reach for stage in stages)


def _alignment(stride: int, stages: Iterable[Stage]) -> int:
    """Return the pixels after which the grids of all levels repeat; a multiple of the stride."""
    return math.lcm(stride, *(stage.alignment for stage in stages))


def _check_regions(kind: Kind, regions: Tensor | None, pixels: Sequence[int]) -> None:
    """Raise ArgumentError unless a transform of this kind takes these regions.

    Args:
        kind: of the transform.
        regions: label maps, or None.
        pixels: shape [B, 3, H, W] of the pictures.
    """
    if regions is not None:
        if kind != "region":
            raise ArgumentError(f"a transform of kind {kind!r} takes no regions: give none")
        check_labels(regions, pixels[0], pixels[2], pixels[3])


class PyramidAnalysis(nn.Module):
    """Pixels [B, 3, H, W] in 0..1 to latents [B, M, H/s, W/s].

    H and W are multiples of the stride s.

    Args:
        channels: widths at 1/4, 1/8, 1/16 ...; the last is M.
        blocks: gated blocks at each level.
        kind: the kind of blocks that follow them.
        extras: how many of that kind follow at each level; default: stages.EXTRAS.

    Attributes:
        reach: pixels in each direction that a latent may depend on.
        alignment: a window of a larger picture has the picture's latents if it starts at a multiple
            of this, in pixels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[int],
        kind: Kind = "gated",
        extras: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.gathers = nn.ModuleList()
        self.mixes = nn.ModuleList()
        self.refines = nn.ModuleList()
        width = 3
        levels = len(channels)
        more = extras_of(kind, extras, levels)
        for step, stride, out, count, extra in zip(
            _steps(levels), _strides(levels), channels, blocks, more, strict=True
        ):
            self.gathers.append(nn.PixelUnshuffle(step))
            self.mixes.append(nn.Conv2d(width * step * step, out, 1))
            self.refines.append(Stage(out, stride, count, kind, extra))
            width = out
        self.stride = _strides(levels)[-1]
        self.reach = _reach(self.refines)  # type: ignore[arg-type]
        self.alignment = _alignment(self.stride, self.refines)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor, regions: Tensor | None = None) -> Tensor:
        """Map pixels [B, 3, H, W] in 0..1 to latents [B, M, H/s, W/s].

        Args:
            pixels: float32 [B, 3, H, W].
            regions: labels int64 [B, H, W] from 0 on; only in training, only for the kind "region".
        """
        return self.levels(pixels, regions)[-1]

    def levels(self, pixels: Tensor, regions: Tensor | None = None) -> list[Tensor]:
        """Return the features of every level, finest first; the last are what forward() returns."""
        _check_regions(self.kind, regions, pixels.shape)
        x, found = pixels - CENTRE, []
        for level in range(len(self.mixes)):
            x = self.step(level, x, regions)
            found.append(x)
        return found

    def step(self, level: int, x: Tensor, regions: Tensor | None = None) -> Tensor:
        """Apply one level to the features of the one before; level 0 takes centred pixels."""
        mixed = _in_float(self.mixes[level], self.gathers[level](x))
        return self.refines[level](mixed, regions)  # type: ignore[no-any-return]


class PyramidSynthesis(nn.Module):
    """Latents [B, M, H/s, W/s] to pixels [B, 3, H, W], about 0..1 but not clipped.

    Takes the arguments of the analysis that it mirrors; `reach` and `alignment` are in pixels too.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[int],
        kind: Kind = "gated",
        extras: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.refines = nn.ModuleList()
        self.mixes = nn.ModuleList()
        self.scatters = nn.ModuleList()
        below = (3, *channels[:-1])
        levels = len(channels)
        more = extras_of(kind, extras, levels)
        sizes = zip(_steps(levels), _strides(levels), channels, below, blocks, more, strict=True)
        for step, stride, width, out, count, extra in reversed(list(sizes)):
            self.refines.append(Stage(width, stride, count, kind, extra))
            self.mixes.append(nn.Conv2d(width, out * step * step, 1))
            self.scatters.append(nn.PixelShuffle(step))
        self.stride = _strides(levels)[-1]
        self.reach = _reach(self.refines)  # type: ignore[arg-type]
        self.alignment = _alignment(self.stride, self.refines)  # type: ignore[arg-type]

    def forward(self, latents: Tensor, regions: Tensor | None = None) -> Tensor:
        """Map latents [B, M, H/s, W/s] to pixels [B, 3, H, W].

        Args:
            latents: float32 [B, M, H/s, W/s].
            regions: as for the analysis, of the picture to be drawn.
        """
        batch, _, rows, columns = latents.shape
        size = (batch, 3, rows * self.stride, columns * self.stride)
        _check_regions(self.kind, regions, size)
        x = latents
        for level in range(len(self.mixes)):
            x = self.step(level, x, regions)
        return x + CENTRE

    def step(self, level: int, x: Tensor, regions: Tensor | None = None) -> Tensor:
        """Map one level, coarsest first, to the next finer one; the last gives centred pixels."""
        refined = self.refines[level](x, regions)
        return self.scatters[level](_in_float(self.mixes[level], refined))  # type: ignore[no-any-return]


@torch.no_grad()
def initialise_with_klt(
    analysis: PyramidAnalysis, synthesis: PyramidSynthesis, pictures: Tensor
) -> Tensor:
    """Start both transforms as the level-by-level KLT of pictures.

    Args:
        analysis: is changed.
        synthesis: is changed.
        pictures: [B, 3, H, W] in 0..1.

    Returns:
        The root mean square of each latent channel [M], which later layers use to normalise.
    """
    x = pictures - CENTRE
    rms = torch.zeros(0)
    levels = len(analysis.mixes)
    for level in range(levels):
        x = analysis.gathers[level](x)
        mix, back = analysis.mixes[level], synthesis.mixes[levels - 1 - level]
        rows, rms = principal_components(x, mix.out_channels)  # type: ignore[arg-type]
        mix.weight.copy_(rows[:, :, None, None])  # type: ignore[operator]
        back.weight.copy_(rows.T[:, :, None, None])  # type: ignore[operator]
        mix.bias.zero_()  # type: ignore[operator]
        back.bias.zero_()  # type: ignore[operator]
        for stage in (analysis.refines[level], synthesis.refines[levels - 1 - level]):
            stage.start_at(rms)  # type: ignore[operator]
        x = mix(x)
    return rms
