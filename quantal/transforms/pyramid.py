"""Analysis and synthesis transforms as a pyramid of three levels: 1/4, 1/8 and 1/16.

Each level gathers 4x4 or 2x2 positions into channels, mixes them by a 1x1 convolution and refines
them in a stage of blocks (quantal.transforms.stages). Cheap, because nothing works at full
resolution; good at high rates, because the first level is fine enough to keep detail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.transforms.klt import principal_components
from quantal.transforms.regions import check_labels
from quantal.transforms.stages import Kind, Stage, extras_of

__all__ = ["PyramidAnalysis", "PyramidSynthesis", "initialise_with_klt"]

#: Positions that one step of each level gathers, per axis; their product is the latents' stride.
STEPS = (4, 2, 2)
#: Pixels from one position of each level to the next.
STRIDES = (4, 8, 16)
STRIDE = 16
#: Pixels are centred on zero, so that the KLT's first component is not the mean of the scale.
CENTRE = 0.5


def _reach(stages: Iterable[Stage]) -> int:
    """Pixels that all levels together reach in each direction."""
    return sum(stage.reach for stage in stages)


def _alignment(stages: Iterable[Stage]) -> int:
    """Pixels after which the grids of all levels repeat; a multiple of STRIDE."""
    return math.lcm(STRIDE, *(stage.alignment for stage in stages))


def _check_regions(kind: Kind, regions: Tensor | None, pixels: Sequence[int]) -> None:
    """Raise ArgumentError unless a transform of this kind can use these; pixels: [B, 3, H, W]."""
    if regions is not None:
        if kind != "region":
            raise ArgumentError(f"a transform of kind {kind!r} knows no regions: give none")
        check_labels(regions, pixels[0], pixels[2], pixels[3])


class PyramidAnalysis(nn.Module):
    """Pixels [B, 3, H, W] in 0..1 to latents [B, M, H/16, W/16]; H and W multiples of 16.

    channels: widths at 1/4, 1/8 and 1/16 (the last is M); blocks: gated blocks at each level;
    kind: what follows them, and extras: how many of it at each level (stages.EXTRAS by itself).
    reach: pixels in each direction that a latent may depend on; a window of a larger picture has
    the picture's latents there if it starts at a multiple of alignment, in pixels.
    """

    stride = STRIDE

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
        more = extras_of(kind, extras)
        for step, stride, out, count, extra in zip(
            STEPS, STRIDES, channels, blocks, more, strict=True
        ):
            self.gathers.append(nn.PixelUnshuffle(step))
            self.mixes.append(nn.Conv2d(width * step * step, out, 1))
            self.refines.append(Stage(out, stride, count, kind, extra))
            width = out
        self.reach = _reach(self.refines)  # type: ignore[arg-type]
        self.alignment = _alignment(self.refines)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor, regions: Tensor | None = None) -> Tensor:
        """regions: labels int64 [B, H, W] from 0 on; only in training, only of kind "region"."""
        _check_regions(self.kind, regions, pixels.shape)
        x = pixels - CENTRE
        for gather, mix, refine in zip(self.gathers, self.mixes, self.refines, strict=True):
            x = refine(mix(gather(x)), regions)
        return x


class PyramidSynthesis(nn.Module):
    """Latents [B, M, H/16, W/16] to pixels [B, 3, H, W], about 0..1 but not clipped.

    Takes the same arguments as the analysis that it mirrors; reach and alignment are pixels too.
    """

    stride = STRIDE

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
        more = extras_of(kind, extras)
        for step, stride, width, out, count, extra in reversed(
            list(zip(STEPS, STRIDES, channels, below, blocks, more, strict=True))
        ):
            self.refines.append(Stage(width, stride, count, kind, extra))
            self.mixes.append(nn.Conv2d(width, out * step * step, 1))
            self.scatters.append(nn.PixelShuffle(step))
        self.reach = _reach(self.refines)  # type: ignore[arg-type]
        self.alignment = _alignment(self.refines)  # type: ignore[arg-type]

    def forward(self, latents: Tensor, regions: Tensor | None = None) -> Tensor:
        """regions: as the analysis takes them, of the picture that is to be drawn."""
        batch, _, rows, columns = latents.shape
        _check_regions(self.kind, regions, (batch, 3, rows * STRIDE, columns * STRIDE))
        x = latents
        for refine, mix, scatter in zip(self.refines, self.mixes, self.scatters, strict=True):
            x = scatter(mix(refine(x, regions)))
        return x + CENTRE


@torch.no_grad()
def initialise_with_klt(
    analysis: PyramidAnalysis, synthesis: PyramidSynthesis, pictures: Tensor
) -> Tensor:
    """Start both transforms as the level-by-level KLT of pictures [B, 3, H, W] in 0..1.

    Returns the root mean square of each latent [M], which later layers use to normalise.
    """
    x = pictures - CENTRE
    rms = torch.zeros(0)
    levels = len(STEPS)
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
