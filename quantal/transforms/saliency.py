"""Which latent channels matter most, derived from the weights alone.

Channels are ranked by the energy that each contributes to the picture, so that a coder can group
them and a stream can start with the important ones (after "ISCS: parameter-guided channel
ordering", which ranks by statistics of single filters; where transforms start orthonormal these are
equal for all channels, so the whole synthesis is evaluated instead).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["rank_channels"]

#: Latents around the one that is changed, so that its whole response is inside.
_MARGIN = 2
_AT_A_TIME = 32


@torch.no_grad()
def rank_channels(synthesis: nn.Module, rms: Tensor) -> list[int]:
    """Return channels, most salient first.

    A channel's saliency is the squared change of the picture when one latent of it goes from 0 to
    its root mean square.

    Args:
        synthesis: latents [B, M, h, w] to pixels.
        rms: root mean square of each latent channel [M], which a codec's weights hold.
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
