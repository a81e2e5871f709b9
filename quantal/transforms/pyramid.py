"""Analysis and synthesis transforms as a pyramid of three levels: 1/4, 1/8 and 1/16.

Each level gathers 4x4 or 2x2 positions into channels, mixes them by a 1x1 convolution and refines
them by gated blocks. Cheap, because nothing works at full resolution; good at high rates, because
the first level is fine enough to keep detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantal.layers import GatedBlock
from quantal.transforms.klt import principal_components

__all__ = ["PyramidAnalysis", "PyramidSynthesis", "initialise_with_klt"]

#: Positions that one step of each level gathers, per axis; their product is the latents' stride.
STEPS = (4, 2, 2)
STRIDE = 16
#: Pixels are centred on zero, so that the KLT's first component is not the mean of the scale.
CENTRE = 0.5


def _reach(blocks: Sequence[int]) -> int:
    """Pixels that the blocks of all levels reach in each direction."""
    strides = (4, 8, 16)
    return sum(n * GatedBlock.reach * s for n, s in zip(blocks, strides, strict=True))


class PyramidAnalysis(nn.Module):
    """Pixels [B, 3, H, W] in 0..1 to latents [B, M, H/16, W/16]; H and W multiples of 16.

    channels: widths at 1/4, 1/8 and 1/16 (the last is M); blocks: gated blocks at each level.
    """

    stride = STRIDE

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.reach = _reach(blocks)
        self.gathers = nn.ModuleList()
        self.mixes = nn.ModuleList()
        self.refines = nn.ModuleList()
        width = 3
        for step, out, count in zip(STEPS, channels, blocks, strict=True):
            self.gathers.append(nn.PixelUnshuffle(step))
            self.mixes.append(nn.Conv2d(width * step * step, out, 1))
            self.refines.append(nn.Sequential(*(GatedBlock(out) for _ in range(count))))
            width = out

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels - CENTRE
        for gather, mix, refine in zip(self.gathers, self.mixes, self.refines, strict=True):
            x = refine(mix(gather(x)))
        return x


class PyramidSynthesis(nn.Module):
    """Latents [B, M, H/16, W/16] to pixels [B, 3, H, W], about 0..1 but not clipped.

    Takes the same channels and blocks as the analysis that it mirrors.
    """

    stride = STRIDE

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.reach = _reach(blocks)
        self.refines = nn.ModuleList()
        self.mixes = nn.ModuleList()
        self.scatters = nn.ModuleList()
        below = (3, *channels[:-1])
        for step, width, out, count in reversed(
            list(zip(STEPS, channels, below, blocks, strict=True))
        ):
            self.refines.append(nn.Sequential(*(GatedBlock(width) for _ in range(count))))
            self.mixes.append(nn.Conv2d(width, out * step * step, 1))
            self.scatters.append(nn.PixelShuffle(step))

    def forward(self, latents: Tensor) -> Tensor:
        x = latents
        for refine, mix, scatter in zip(self.refines, self.mixes, self.scatters, strict=True):
            x = scatter(mix(refine(x)))
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
        x = mix(x)
    return rms
