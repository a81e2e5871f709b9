"""The ladder of rates that a `vq` weights file holds: which step each rate is.

Its ends and joins are given in bits per pixel; the price at which a cell has a finer rung there is
found on training pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.contract import Floats
from quantal.codecs.vq.file import Ladder, Segment
from quantal.codecs.vq.maps import RUNGS, Maps, Priors, Step
from quantal.codecs.vq.net import VqNet, index_bpp, spread
from quantal.codecs.vq.stream import pack
from quantal.codecs.vq.weights import painter_of
from quantal.entropy.indices import ABSENT

__all__ = ["COARSE", "PLAN", "fit_ladder", "join_ladder", "some_of"]

#: The lowest rates have smaller and smaller codebooks of the first rung, and no other rung.
COARSE = ((3, 3, 3), (2, 2, 2), (1, 1, 1))
#: The segments of the ladder above them: codebooks, by their place in `entries`, and the nominal
#: bits per pixel at which each ends; where the first one begins.
PLAN = (
    ((0, 2, 2), 0.023),
    ((0, 0, 3), 0.042),
    ((0, 0, 2), 0.085),
    ((0, 0, 0), 0.18),
)
_LOWEST = 0.0099
#: The part of all rates that each of the lowest has; a price at which no cell has another rung.
_COARSE_PART, _DEAR = 0.03, 1e3
#: A price at which all cells get all rungs; steps of a search.
_CHEAP, _HALVINGS = 1e-9, 16
#: Pictures that the ladder is fitted on.
_PICTURES = 24


def fit_ladder(net: VqNet, pictures: Sequence[Tensor]) -> Ladder:
    """Return a ladder whose segments follow one another in nominal bits per pixel.

    Nominal: as if all entries were equally likely. join_ladder() corrects it with counted tables.

    Args:
        net: the network.
        pictures: uint8 [3, H, W].
    """
    described = _Described(net, pictures)

    def price_at(books: tuple[int, ...], wanted: float) -> float:
        return described.price_at(books, partial(described.nominal_bpp, books), wanted)

    def existing(places: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(min(place, len(net.config.entries) - 1) for place in places)

    segments = [
        Segment((place + 1) * _COARSE_PART, existing(places), _DEAR, _DEAR)
        for place, places in enumerate(COARSE)
    ]
    start, low = segments[-1].until, _LOWEST
    span = math.log(PLAN[-1][1] / _LOWEST) / (1 - start)
    for places, high in PLAN:
        books = existing(places)
        until = 1.0 if high == PLAN[-1][1] else start + math.log(high / _LOWEST) / span
        segments.append(Segment(until, books, price_at(books, low), price_at(books, high)))
        low = high
    return Ladder(tuple(segments))


def join_ladder(net: VqNet, ladder: Ladder, priors: Priors, pictures: Sequence[Tensor]) -> Ladder:
    """Return a ladder on which every segment begins at the coded bits where the last one ends.

    Entries of a large codebook are less evenly used than those of a small one, so equal nominal
    bits are not equal bits when coded.

    Args:
        net: the network.
        ladder: as fit_ladder() returned it.
        priors: contexts and tables.
        pictures: uint8 [3, H, W].
    """
    described = _Described(net, pictures)
    segments = list(ladder.segments)
    for place in range(len(COARSE), len(segments)):
        before, segment = segments[place - 1], segments[place]
        wanted = described.coded_bits(priors, before.books, before.last)
        coded = partial(described.coded_bits, priors, segment.books)
        first = described.price_at(segment.books, coded, wanted)
        segments[place] = replace(segment, first=max(first, segment.last))
    return Ladder(tuple(segments))


class _Described:
    """Some pictures as maps of all rungs; those of any price are parts of them."""

    def __init__(self, net: VqNet, pictures: Sequence[Tensor]) -> None:
        self.net = net
        self.painter = painter_of(net, torch.device("cpu"))
        some = some_of(pictures, _PICTURES)
        self.latents = [self.painter.analyse(p.permute(1, 2, 0).numpy()) for p in some]
        self.found: dict[tuple[int, ...], list[tuple[Maps, tuple[Tensor, ...]]]] = {}

    def price_at(
        self, books: tuple[int, ...], bits: Callable[[float], float], wanted: float
    ) -> float:
        """Return the price at which bits(price), a falling function, has the wanted value."""
        gains = [gains for _, gains in self._full(books)]
        high = max(2 * _CHEAP, *(float(each[0].max()) for each in gains))
        low = _CHEAP
        for _ in range(_HALVINGS):
            middle = math.sqrt(high * low)
            high, low = (middle, low) if bits(middle) < wanted else (high, middle)
        return math.sqrt(high * low)

    def nominal_bpp(self, books: tuple[int, ...], price: float) -> float:
        """Return bits per pixel of the indices at a price, if all entries are equally likely."""
        depth = torch.cat([_depth(gains, price).flatten() for _, gains in self._full(books)])
        shares = torch.stack([(depth >= rung).float().mean() for rung in range(RUNGS)])
        entries = torch.tensor([self.net.config.entries[book] for book in books])
        return float(index_bpp(entries, shares))

    def coded_bits(self, priors: Priors, books: tuple[int, ...], price: float) -> float:
        """Return the bits of all pictures' image parts at a price."""
        total = 0
        for maps, gains in self._full(books):
            depth = _depth(gains, price)
            planes = (
                np.where(spread(depth, rung) >= rung, indices, ABSENT).astype(np.int32)
                for rung, indices in enumerate(maps.indices)
            )
            total += len(pack(priors, Maps(books, depth.numpy(), tuple(planes))))
        return 8.0 * total

    def _full(self, books: tuple[int, ...]) -> list[tuple[Maps, tuple[Tensor, ...]]]:
        """Return maps with all rungs in all cells, and what cells [h, w] gain by rungs 1 and 2."""
        if books not in self.found:
            self.found[books] = [self._describe(one, books) for one in self.latents]
        return self.found[books]

    def _describe(self, latents: Floats, books: tuple[int, ...]) -> tuple[Maps, tuple[Tensor, ...]]:
        maps = self.painter.describe(latents, Step(books, _CHEAP))
        gains = []
        for rung in (1, 2):
            gain = self.painter.gain(rung, books[rung], maps.indices[rung])
            gains.append(torch.from_numpy(gain))
        return maps, tuple(gains)


def _depth(gains: tuple[Tensor, ...], price: float) -> Tensor:
    """Return the finest rung of each cell at a price, int32 [h, w]."""
    second = gains[0] > price
    return second.int() + (second & (gains[1] > price)).int()


def some_of(pictures: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """Return about so many pictures, evenly from all of the list."""
    return pictures[:: max(len(pictures) // count, 1)]
