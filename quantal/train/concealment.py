"""The objective of the network that makes up lost cells of `vq`: name what was masked.

Crops are described by the codec's own networks, which stand still; rows and single cells of that
are masked, and the network is asked for their entries and depths (cross entropy).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.codecs._vq_conceal import COARSE, LOST, PLACES, SIDE, ConcealNet, cell_vectors
from quantal.codecs._vq_weights import read_vq_weights
from quantal.errors import ArgumentError
from quantal.train.objective import Objective
from quantal.train.recipe import Recipe

__all__ = ["Concealment"]

#: Each crop is asked about under so many masks.
_MASKS = 4
_CROP = 32 * SIDE


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
        self.generator = torch.Generator()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    @torch.no_grad()
    def _masked(self, states: Tensor) -> Tensor:
        """Masks of windows [B * _MASKS, 64]: one to three rows, and some single cells."""
        count = len(states) * _MASKS
        lost = torch.rand(count, SIDE, SIDE, generator=self.generator) < 0.05
        for row in range(3):
            hit = torch.randint(SIDE, (count,), generator=self.generator)
            some = torch.rand(count, generator=self.generator) < (1.0, 0.5, 0.25)[row]
            lost[torch.arange(count)[some], hit[some]] = True
        return lost.flatten(1).to(states.device)

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            request = self.vq.draw_request(len(pixels), True, self.generator).to(pixels.device)
            indices = self.vq(pixels, request).indices
            pairs = []
            for one, (coarse, middle) in enumerate(zip(*indices[:2], strict=True)):
                books = [self.vq.book(r, int(request.books[one, r])).codebook for r in (0, 1)]
                pairs.append(cell_vectors(books, coarse, middle))
            vectors = torch.stack([p[0].flatten(0, 1) for p in pairs])
            states = torch.stack([p[1].flatten() for p in pairs])
            lost = self._masked(states)
            every = torch.arange(len(pixels), device=pixels.device).repeat_interleave(_MASKS)
            shown = vectors[every] * ~lost[..., None, None]
            kinds = states[every].masked_fill(lost, LOST)
        expected, deep = net(shown, kinds)
        truth = (states[every] - COARSE)[lost]
        depth_loss = F.cross_entropy(deep[lost], truth)
        total, asked, right = depth_loss.new_zeros(()), 0, 0
        for one in range(len(pixels)):
            mine = every == one
            for place in range(PLACES):
                book = self.vq.book(min(place, 1), int(request.books[one, min(place, 1)])).codebook
                wanted = self._true(indices, one, place)
                there = lost[mine] & (wanted >= 0)
                if not bool(there.any()):
                    continue
                logits = net.logits(expected[mine][there][:, place], place, book)
                goal = wanted.expand_as(there)[there]
                total = total + F.cross_entropy(logits, goal, reduction="sum")
                right += int((logits.argmax(1) == goal).sum())
                asked += len(goal)
        mean = total / max(asked, 1)
        return {
            "loss": mean + depth_loss,
            "entropy": mean,
            "depth": depth_loss,
            "right": torch.tensor(right / max(asked, 1)),
        }

    @staticmethod
    def _true(indices: Sequence[Tensor], one: int, place: int) -> Tensor:
        """The index of every cell of a crop at one of its places [64], -1 where there is none."""
        if place == 0:
            return indices[0][one].flatten()
        down, right = divmod(place - 1, 2)
        return indices[1][one, down::2, right::2].flatten()

    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, float]]:
        """Nothing is measured during training: benchmarks/vq.py damages files."""
        return []
