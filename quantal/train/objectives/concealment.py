"""The objective of the network that restores lost cells of `vq`: pictures like the true ones.

Crops are described by the codec's own networks, which are not trained; rows of cells are masked,
predicted and drawn, and the picture is compared with the crop. Entries are the nearest ones to what
the network predicts; gradients pass them straight through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.codecs.vq.conceal import COARSE, FINER, LOST, PLACES, SIDE
from quantal.codecs.vq.conceal_net import ConcealNet, cell_vectors
from quantal.codecs.vq.maps import CELL
from quantal.codecs.vq.net import spread
from quantal.codecs.vq.weights import read_vq_weights
from quantal.entropy.quantisers import nearest
from quantal.errors import ArgumentError
from quantal.team import team
from quantal.train.objectives.base import Objective
from quantal.train.objectives.perceptual import Lpips

__all__ = ["CROP", "Concealment", "ConcealmentSettings"]

#: Pixels along a side of a crop: a window of cells.
CROP = CELL * SIDE
#: About a quarter of a crop is lost, and only there is anything to learn.
_PART_LOST = 0.25


@dataclass(frozen=True)
class ConcealmentSettings:
    """The `objective` section of a recipe.

    Attributes:
        heads: LPIPS' file of weights.
        net: LPIPS' network, "alex" or "vgg".
        backbone: a file of that network's weights; None for torchvision's download.
        pixel: weight of the squared error of samples in 0..1.
        perceptual: weight of LPIPS.
        commitment: weight of the distance to the true entries, and to those that are chosen.
    """

    heads: str
    net: str = "alex"
    backbone: str | None = None
    pixel: float = 15.0
    perceptual: float = 1.0
    commitment: float = 4.0


class Concealment(Objective):
    """Pictures with restored cells that are close to the true ones.

    Args:
        net: the network that is trained.
        ema: its average.
        settings: of the objective.
        codec: the weights of the `vq` whose cells it restores.
        device: where the networks will be.
    """

    def __init__(
        self,
        net: ConcealNet,
        ema: ConcealNet,
        settings: ConcealmentSettings,
        codec: Path,
        device: torch.device,
    ) -> None:
        super().__init__(net, ema)
        self.settings = settings
        self.vq = read_vq_weights(codec).net.to(device)
        if self.vq.config.code_channels != net.config.code_channels:
            raise ArgumentError(
                f"the codebooks of {codec.name} have {self.vq.config.code_channels} channels, "
                f"`model.code_channels` is {net.config.code_channels}; set it to theirs"
            )
        sizes = [self.vq.book(r, 0).codebook.square().mean().sqrt() for r in (0, 1)]
        for each in (net, ema):
            each.unit.copy_(torch.stack([sizes[0], *[sizes[1]] * (PLACES - 1)]))
        self.lpips = Lpips(settings.net, settings.heads, settings.backbone).to(device)
        self.generator = torch.Generator()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def _masked(self, states: Tensor) -> Tensor:
        """Return masks of windows, bool [B, 64]: one to three rows are lost."""
        count = len(states) * team().size
        lost = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
        for likely in (1.0, 0.5, 0.25):
            hit = torch.randint(SIDE, (count,), generator=self.generator)
            some = torch.rand(count, generator=self.generator) < likely
            lost[torch.arange(count)[some], hit[some]] = True
        return team().own(lost).flatten(1).to(states.device)

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        settings = self.settings
        count = len(pixels) * team().size
        request = self.vq.draw_request(count, True, self.generator)
        request = request.rows(team().rows(count)).to(pixels.device)
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
            # There is no loss where nothing was coded.
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
        # Of cells that are lost, processes have different numbers.
        off = team().mean_of(((expected - true) / unit).square().mean(3)[asked])
        between = team().mean_of(((expected - chosen) / unit).square().mean(3)[asked])
        wrong = F.cross_entropy(deep[lost], (states - COARSE)[lost], reduction="none")
        depth = team().mean_of(wrong)
        picture = settings.pixel * mse + settings.perceptual * lpips
        loss = picture / _PART_LOST + settings.commitment * (off + between) + depth
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
        """Return pixels drawn from cells' vectors.

        Args:
            vectors: of cells [B, 64, 5, D].
            states: of cells, int64 [B, 64].
            lost: which cells are lost, bool [B, 64].
            books: codebooks of each sample, by rung.
            third: indices of the third rung [B, 32, 32], used where no cell is lost.
            request: of the codec.
        """
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
        """Return nothing: benchmarks/vq.py measures on damaged files."""
        return []


def _entries(expected: Tensor, books: Sequence[Tensor]) -> Tensor:
    """Return the entries nearest to what is expected of cells [n, 5, D]."""
    found = []
    for place in range(PLACES):
        book = books[min(place, 1)].float()
        found.append(book[nearest(expected[:, place].float(), book)])
    return torch.stack(found, 1)
