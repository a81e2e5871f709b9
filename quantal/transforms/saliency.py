"""Which latent channels matter most, told from the weights alone.

Channels are ranked by the energy that each brings into the picture, so that a coder can group them
and a stream can send the important ones first (after "ISCS: parameter-guided channel ordering",
which ranks by statistics of single filters; where transforms start orthonormal those are alike for
all channels, so the whole synthesis is asked instead).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["rank_channels"]

#: Latents around the one that is tried, so that its response is seen as a whole.
_MARGIN = 2
_AT_A_TIME = 32


@torch.no_grad()
def rank_channels(synthesis: nn.Module, rms: Tensor) -> list[int]:
    """Channels, most salient first.

    rms: root mean square of each latent [M], which the weights of a codec hold. A channel's
    saliency is the squared change of the picture when one latent of it goes from 0 to its rms.
    """
    side = 2 * _MARGIN + 1
    nothing = torch.zeros(1, len(rms), side, side)
    blank = synthesis(nothing)
    energies = []
    for start in range(0, len(rms), _AT_A_TIME):
        chunk = torch.arange(start, min(start + _AT_A_TIME, len(rms)))
        tried = nothing.repeat(len(chunk), 1, 1, 1)
        tried[torch.arange(len(chunk)), chunk, _MARGIN, _MARGIN] = rms[chunk]
        energies.append((synthesis(tried) - blank).square().flatten(1).sum(1))
    order: list[int] = torch.cat(energies).argsort(descending=True, stable=True).tolist()
    return order
