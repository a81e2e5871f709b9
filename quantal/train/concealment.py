"""The objective of the network that makes up lost cells of `vq`: pictures like those that were.

Crops are described by the codec's own networks, which stand still; rows of cells are masked, made
up and drawn, and the picture is compared with the crop. Entries are the nearest ones to what the
network expects; gradients pass them straight through.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.codecs._vq_conceal import (
    COARSE,
    FINER,
    LOST,
    PLACES,
    SIDE,
    ConcealNet,
    cell_vectors,
)
from quantal.codecs._vq_net import CELL, spread
from quantal.codecs._vq_weights import read_vq_weights
from quantal.entropy.kmeans import nearest
from quantal.errors import ArgumentError
from quantal.train.generative import Taste
from quantal.train.objective import Objective
from quantal.train.perceptual import Lpips
from quantal.train.recipe import Recipe

__all__ = ["Concealment"]

_CROP = CELL * SIDE
#: About a quarter of a crop is made up, and only there is anything to learn.
_PART_LOST = 0.25


class Concealment(Objective):
    """Of a ConcealNet; the recipe's `start_from` are the weights of the codec."""

    def __init__(
        self, net: ConcealNet, ema: ConcealNet, recipe: Recipe, device: torch.device
    ) -> None:
        super().__init__(net, ema)
        if recipe.start_from is None or any(p.crop != _CROP for p in recipe.phases):
            raise ArgumentError(
                f"a recipe of vq-conceal needs `start_from`, weights of vq, and crops of {_CROP}"
            )
        loaded = read_vq_weights(Path(recipe.start_from))
        self.vq, self.of = loaded.net.to(device), loaded.hash
        if self.vq.config.code_channels != net.config.code_channels:
            raise ArgumentError(
                f"the codebooks have {self.vq.config.code_channels} channels, the recipe says "
                f"{net.config.code_channels}"
            )
        sizes = [self.vq.book(r, 0).codebook.square().mean().sqrt() for r in (0, 1)]
        for each in (net, ema):
            each.unit.copy_(torch.stack([sizes[0], *[sizes[1]] * (PLACES - 1)]))
        self.taste = Taste.from_dict(recipe.generative)
        self.lpips = Lpips(self.taste.net, self.taste.heads, self.taste.backbone).to(device)
        self.generator = torch.Generator()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def _masked(self, states: Tensor) -> Tensor:
        """Masks of windows [B, 64]: one to three rows."""
        count = len(states)
        lost = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
        for likely in (1.0, 0.5, 0.25):
            hit = torch.randint(SIDE, (count,), generator=self.generator)
            some = torch.rand(count, generator=self.generator) < likely
            lost[torch.arange(count)[some], hit[some]] = True
        return lost.flatten(1).to(states.device)

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        taste = self.taste
        request = self.vq.draw_request(len(pixels), True, self.generator).to(pixels.device)
        with torch.no_grad():
            indices = self.vq.describe(pixels, request)
            books = [
                [self.vq.book(rung, place).codebook for rung, place in enumerate(places)]
                for places in request.books.tolist()
            ]
            each = [cell_vectors(b, *i) for b, *i in zip(books, *indices[:2], strict=True)]
            true = torch.stack([one[0].flatten(0, 1) for one in each])
            states = torch.stack([one[1].flatten() for one in each])
            lost = self._masked(states)
            # Of what was not there nothing is asked.
            asked = lost[..., None].repeat(1, 1, PLACES)
            asked[..., 1:] &= (states == FINER)[..., None]
        expected, deep = net(true * ~lost[..., None, None], states.masked_fill(lost, LOST))
        with torch.no_grad():
            chosen = torch.stack(
                [_entries(one, own) for one, own in zip(expected, books, strict=True)]
            )
        passed = expected + (chosen - expected).detach()
        cells = torch.where(asked[..., None], passed, true)
        found = self._drawn(cells, states, lost, books, indices[2], request)
        mse = (found.float() - pixels).square().mean()
        with torch.no_grad():
            known = self.lpips.features(pixels)
        lpips = self.lpips.distance(self.lpips.features(found), known).mean()
        unit = net.unit.view(PLACES, 1)
        off = ((expected - true) / unit).square().mean(3)[asked].mean()
        between = ((expected - chosen) / unit).square().mean(3)[asked].mean()
        depth = F.cross_entropy(deep[lost], (states - COARSE)[lost])
        picture = taste.pixel * mse + taste.perceptual * lpips
        loss = picture / _PART_LOST + taste.commitment * (off + between) + depth
        parts = {"mse": mse, "lpips": lpips, "off": off, "between": between, "depth": depth}
        return {"loss": loss, **parts}

    def _drawn(
        self,
        vectors: Tensor,
        states: Tensor,
        lost: Tensor,
        books: Sequence[Sequence[Tensor]],
        third: Tensor,
        request: Any,
    ) -> Tensor:
        """Pixels of cells' vectors [B, 64, 5, D], with the third rung's indices [B, 32, 32] where
        no cell was lost."""
        square = vectors.view(-1, SIDE, SIDE, *vectors.shape[2:])
        first = square[:, :, :, 0].permute(0, 3, 1, 2)
        four = square[:, :, :, 1:].reshape(*square.shape[:3], 2, 2, -1)  # down, right
        second = four.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        last = torch.stack(
            [b[2].float()[i.clamp_min(0)] for b, i in zip(books, third, strict=True)]
        ).permute(0, 3, 1, 2)
        deep = spread((states == FINER).view(-1, SIDE, SIDE), 1)
        there = (third >= 0) & ~spread(lost.view(-1, SIDE, SIDE), 2)
        return self.vq.draw((first, second, last), (None, deep, there), request)

    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, float]]:
        """Nothing is measured during training: benchmarks/vq.py damages files."""
        return []


def _entries(expected: Tensor, books: Sequence[Tensor]) -> Tensor:
    """The entries next to what is expected of cells [n, 5, D]."""
    found = []
    for place in range(PLACES):
        book = books[min(place, 1)].float()
        found.append(book[nearest(expected[:, place].float(), book)])
    return torch.stack(found, 1)
