"""Training of the codec `tokens`, and its export with a counted table for every index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.info import Card
from quantal.codecs.tokens.net import TokenConfig, TokenNet, indices_of
from quantal.codecs.tokens.walk import GROUP, INDICES, TILE
from quantal.codecs.tokens.weights import read_token_weights, write_token_weights
from quantal.entropy.tables import TableSet, freeze
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler
from quantal.train.families.generative import GenerativeTrainer
from quantal.train.trainer import Export

__all__ = ["TRAINER", "export_tokens"]

#: Tiles that indices are counted on, so many at a time.
_TILES, _TOGETHER = 6000, 8
#: Every value counts as so many tiles by itself.
_PRIOR_COUNT = 2.0


class TokenTrainer(GenerativeTrainer):
    """Trains TokenNet; crops are whole tiles."""

    network = TokenNet
    sizes = TokenConfig
    crop_multiple = TILE
    start_crop = TILE

    def read(self, path: Path) -> TokenNet:
        return read_token_weights(path).net

    def export(self, net: TokenNet, export: Export) -> bytes:
        pictures = export.pictures()
        return export_tokens(net, export.out, pictures, export.steps, export.training_data)


TRAINER = TokenTrainer()


@torch.no_grad()
def _tables(net: TokenNet, sampler: CropSampler, tiles: int) -> TableSet:
    """Return a table for every index of a tile, from how often its values occur."""
    slots = 1 << GROUP
    counts = np.full((net.config.tokens * INDICES, slots), _PRIOR_COUNT)
    for _ in range(0, tiles, _TOGETHER):
        features = net.tiled(net.analysis(sampler.batch(_TOGETHER, TILE)))
        indices = indices_of(net.signs(net.coefficients(features))).flatten(1).numpy()
        for place in range(counts.shape[0]):
            counts[place] += np.bincount(indices[:, place], minlength=slots)
    laws = counts / counts.sum(1, keepdims=True)
    return TableSet.from_weights([0] * len(laws), [freeze(law, 2.0**-24) for law in laws])


def _card(net: TokenNet, steps: int, training_data: str) -> Card:
    """Return the card; multiplications are counted on a tile."""
    pixels, tokens = torch.zeros(1, 3, TILE, TILE), torch.ones(1)
    values = torch.zeros(1, *net.unit.shape)
    encode = kmac(TILE**2, lambda: net.coefficients(net.tiled(net.analysis(pixels))))
    decode = kmac(TILE**2, lambda: net.synthesis(net.features(values, tokens)))
    return card(net, steps, training_data, encode, decode)


def export_tokens(
    net: TokenNet,
    out: Path,
    pictures: Sequence[Tensor],
    steps: int,
    training_data: str,
    tiles: int = _TILES,
) -> bytes:
    """Write the weights file of a network.

    Args:
        net: in evaluation mode, with values that half precision holds.
        out: where to.
        pictures: uint8 [3, H, W], of 256 pixels a side or more.
        steps: for how many steps it was trained.
        training_data: what it was trained on.
        tiles: how many tiles indices are counted on.

    Returns:
        The hash of what decides how bits are read.
    """
    sampler = CropSampler(pictures, torch.device("cpu"), seed=0)
    about = _card(net, steps, training_data)
    return write_token_weights(out, net, _tables(net, sampler, tiles), about)
