"""Entropy models with neighbours: every latent is predicted from z and from earlier latents.

Neighbours go through a masked 5x5 convolution: two rows above, and two positions to the left
(Minnen et al. 2018). Coding position after position would be slow; positions that don't depend on
one another, which lie on a steep diagonal, are coded at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.compressai.prior import Hyperprior, Rate, exactly
from quantal.entropy.walk import Coding
from quantal.planes import ceil_div

__all__ = ["Sequential", "diagonals"]

#: Rows and columns of the 5x5 window that come before its middle, in raster order.
_SEEN_ROWS = torch.tensor([0] * 5 + [1] * 5 + [2] * 2)
_SEEN_COLUMNS = torch.tensor([0, 1, 2, 3, 4] * 2 + [0, 1])
_MARGIN = 2
#: A position sees two columns to the right in the row above, so rows follow each other by three.
_LAG = 3


def diagonals(height: int, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows and columns int64 [K] of positions that are coded at once, in coding order.

    >>> [list(zip(r.tolist(), c.tolist())) for r, c in diagonals(2, 4)][2:4]
    [[(0, 2)], [(0, 3), (1, 0)]]
    """
    for time in range(width + _LAG * (height - 1)):
        first = max(0, ceil_div(time - width + 1, _LAG))
        rows = torch.arange(first, min(time // _LAG + 1, height))
        yield rows, time - _LAG * rows


def _pointwise(conv: nn.Conv2d) -> nn.Linear:
    """Return a 1x1 convolution as a layer on vectors, in double precision."""
    layer = nn.Linear(conv.in_channels, conv.out_channels, dtype=torch.float64)
    layer.load_state_dict({"weight": conv.weight.flatten(1), "bias": conv.bias})
    return layer.requires_grad_(False)


class Sequential(Hyperprior):
    """mbt2018 and similar models: h_s and the context of neighbours predict together."""

    def __init__(self, network: Any, rates: dict[int | None, Rate]) -> None:
        super().__init__(network, rates)
        context = exactly(network.context_prediction)
        seen = (context.weight * context.mask)[:, :, _SEEN_ROWS, _SEEN_COLUMNS]
        #: [2 M, 12 M]: the context's weights for each neighbour and each of its channels.
        self._context = seen.transpose(1, 2).flatten(1).contiguous()
        self._context_bias = context.bias
        enter, *rest = network.entropy_parameters
        enter = _pointwise(enter)
        # The first layer is linear: the part from z is computed for all positions together.
        self._from_z, self._from_context = enter.weight.chunk(2, dim=1)
        self._enter_bias = enter.bias
        self._leave = nn.Sequential(
            *(_pointwise(layer) if isinstance(layer, nn.Conv2d) else layer for layer in rest)
        )

    def _walk_y(self, coding: Coding, z_hat: Tensor, rate: Rate) -> Tensor:
        side = [
            F.linear(band.permute(1, 2, 0), self._from_z, self._enter_bias)
            for _, band in self._side_information(z_hat)
        ]
        from_z = torch.cat(side)
        height, width = from_z.shape[:2]
        context_bias = self._context_bias
        if rate.context is not None:
            context_bias = context_bias + rate.context
        coding.begin((self._latents, height, width))
        # y_hat [h, w, M] with a margin: a position's channels lie together.
        known = torch.zeros(
            height + _MARGIN, width + 2 * _MARGIN, self._latents, dtype=torch.float64
        )
        for rows, columns in diagonals(height, width):
            seen = known[rows[:, None] + _SEEN_ROWS, columns[:, None] + _SEEN_COLUMNS]
            context = F.linear(seen.flatten(1), self._context, context_bias)
            hidden = from_z[rows, columns] + F.linear(context, self._from_context)
            scale, mean = self._leave(hidden).T.chunk(2)
            where = (slice(None), rows.numpy(), columns.numpy())
            found = self._code(coding, where, scale, mean, rate)
            values = self._values(found, scale, mean, rate)
            known[rows + _MARGIN, columns + _MARGIN] = values.T
        y_hat = known[_MARGIN:, _MARGIN:-_MARGIN].permute(2, 0, 1)
        return y_hat.float().contiguous()
