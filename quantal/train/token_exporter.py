"""From a checkpoint of `tokens` to its weights file: averaged networks, tables counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._token_net import GROUP, TILE, TokenNet, indices_of
from quantal.codecs._token_weights import INDICES, write_token_weights
from quantal.entropy.tables import TableSet, freeze
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler

__all__ = ["export_tokens"]

#: Tiles that indices are counted on, so many at a time.
_TILES, _TOGETHER = 6000, 8
#: Every value counts as so many tiles by itself.
_PRIOR_COUNT = 2.0


@torch.no_grad()
def _tables(net: TokenNet, sampler: CropSampler, tiles: int) -> TableSet:
    """A table for every index of a tile, from how often its values occur."""
    slots = 1 << GROUP
    counts = np.full((net.config.tokens * INDICES, slots), _PRIOR_COUNT)
    for _ in range(0, tiles, _TOGETHER):
        features = net.tiled(net.analysis(sampler.batch(_TOGETHER, TILE)))
        indices = indices_of(net.signs(net.coefficients(features))).flatten(1).numpy()
        for place in range(counts.shape[0]):
            counts[place] += np.bincount(indices[:, place], minlength=slots)
    laws = counts / counts.sum(1, keepdims=True)
    return TableSet.from_weights([0] * len(laws), [freeze(law, 2.0**-24) for law in laws])


def _work(net: TokenNet) -> dict[str, float]:
    """Thousand multiplications per pixel, both ways, counted on a tile."""
    pixels, tokens = torch.zeros(1, 3, TILE, TILE), torch.ones(1)
    values = torch.zeros(1, *net.unit.shape)
    return {
        "encode_kmac_per_pixel": kmac(
            TILE**2, lambda: net.coefficients(net.tiled(net.analysis(pixels)))
        ),
        "decode_kmac_per_pixel": kmac(TILE**2, lambda: net.synthesis(net.features(values, tokens))),
    }


def export_tokens(
    net: TokenNet,
    out: Path,
    pictures: Sequence[Tensor],
    steps: int,
    training_data: str,
    tiles: int = _TILES,
) -> bytes:
    """Write the weights file of a network in evaluation mode, half precision already."""
    sampler = CropSampler(pictures, torch.device("cpu"), seed=0)
    told = card(net, steps, training_data, **_work(net))
    return write_token_weights(out, net, _tables(net, sampler, tiles), told)
