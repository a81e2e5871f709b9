"""What a weights file of codec `vq` holds besides networks: codebooks, contexts, tables, a ladder.

The hash in every coded file covers everything that decides how bits are read, and the codebooks:
with other codebooks the same indices give another picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantal.codecs.vq.maps import RUNGS, Priors, Step
from quantal.codecs.weights import NET, Array, WeightsFile, sound_weights
from quantal.entropy.indices import IndexPrior
from quantal.entropy.walk import FloatArray

__all__ = ["LAYOUT", "Books", "Ladder", "Segment", "VqFile", "book_name", "hashed", "read_vq_file"]

#: Names the meaning of the arrays; changes whenever the same integers are used in another way.
LAYOUT = "quantal-vq-1"
_LAST_RATE = 252

#: Codebooks float32 [K, D], by rung and by their place in `entries`.
Books = Sequence[Sequence[FloatArray]]


@dataclass(frozen=True)
class Segment:
    """Rates that use the same codebooks; their price falls evenly in the log domain.

    Attributes:
        until: where the segment ends, as a fraction 0..1 of all rates.
        books: which codebook each rung uses.
        first: price at its start.
        last: price at its end.
    """

    until: float
    books: tuple[int, ...]
    first: float
    last: float


@dataclass(frozen=True)
class Ladder:
    """Maps a rate 0..252 to a Step; only encoders use it."""

    segments: tuple[Segment, ...]

    def at(self, rate: float) -> Step:
        """Return the step of a rate."""
        part, start = rate / _LAST_RATE, 0.0
        for segment in self.segments[:-1]:
            if part < segment.until:
                break
            start = segment.until
        else:
            segment = self.segments[-1]
        inside = (part - start) / (segment.until - start)
        log_price = (1 - inside) * math.log(segment.first) + inside * math.log(segment.last)
        return Step(segment.books, math.exp(log_price))

    def to_json(self) -> str:
        return json.dumps([[s.until, *s.books, s.first, s.last] for s in self.segments])

    @classmethod
    def from_json(cls, text: str, count: int) -> Ladder:
        """Build from the result of to_json(); ValueError for anything else.

        Args:
            text: the result.
            count: codebooks of a rung.
        """
        segments, start = [], 0.0
        for row in json.loads(text):
            if not isinstance(row, list) or len(row) != RUNGS + 3:
                raise ValueError(f"a segment of the ladder is {row!r}")
            until, first, last = float(row[0]), float(row[-2]), float(row[-1])
            books = tuple(int(n) for n in row[1 : RUNGS + 1])
            known = 0 <= min(books) <= max(books) < count
            if (
                not known
                or not until > start
                or not 0 < min(first, last) <= max(first, last) < math.inf
            ):
                raise ValueError(f"a segment of the ladder is {row!r}")
            segments.append(Segment(until, books, first, last))
            start = until
        if start != 1.0:
            raise ValueError(f"the ladder of rates ends at {start}, expected 1")
        return cls(tuple(segments))


@dataclass(frozen=True)
class VqFile:
    """What codes, checked.

    Attributes:
        books: the codebooks.
        priors: contexts and tables of all maps.
        ladder: of rates.
        hash: 4 bytes; see the module.
    """

    books: Books
    priors: Priors
    ladder: Ladder
    hash: bytes


def book_name(rung: int, book: int) -> str:
    """Return what files call a codebook."""
    return f"{NET}rungs.{rung}.books.{book}.codebook"


def hashed(books: Mapping[str, Array], priors: Priors) -> dict[str, Array]:
    """Return everything that the hash covers, by name.

    Args:
        books: codebooks by book_name(), float16.
        priors: contexts and tables of all maps.
    """
    arrays = priors.depth.arrays("priors.depth")
    for rung, sizes in enumerate(priors.rungs):
        for book, prior in enumerate(sizes):
            arrays |= prior.arrays(f"priors.{rung}.{book}")
            arrays[book_name(rung, book)] = books[book_name(rung, book)]
    return arrays


def _read_priors(arrays: Mapping[str, Array], entries: Sequence[int]) -> Priors:
    rungs: list[tuple[IndexPrior, ...]] = []
    for rung in range(RUNGS):
        sizes: list[IndexPrior] = []
        for book, size in enumerate(entries):
            prior = IndexPrior.from_arrays(arrays, f"priors.{rung}.{book}")
            if prior.entries != size or len(arrays[book_name(rung, book)]) != size:
                raise ValueError(f"codebook {book} has {size} entries, its tables {prior.entries}")
            sizes.append(prior)
        rungs.append(tuple(sizes))
    depth = IndexPrior.from_arrays(arrays, "priors.depth")
    if depth.entries != RUNGS:
        raise ValueError(f"the tables of depths have {depth.entries} entries, expected {RUNGS}")
    for rung, priors in enumerate(rungs):
        parents = {1} if rung == 0 else {1, rungs[rung - 1][0].around.count}
        if any(prior.around.parents not in parents for prior in priors):
            raise ValueError("contexts name classes of the coarser rung that it hasn't")
        if len({prior.around.count for prior in priors}) > 1:
            raise ValueError(f"the codebooks of rung {rung} have different counts of classes")
    return Priors(depth, tuple(rungs))


def read_vq_file(file: WeightsFile) -> VqFile:
    """Return what codes of a weights file.

    Raises:
        ModelError: If it is damaged.
    """
    with sound_weights(file):
        entries = file.sizes()["entries"]
        priors = _read_priors(file.arrays, entries)
        ladder = Ladder.from_json(file.metadata["ladder"], len(entries))
        books = [
            [file.arrays[book_name(rung, n)].astype(np.float32) for n in range(len(entries))]
            for rung in range(RUNGS)
        ]
    return VqFile(books, priors, ladder, file.check(hashed(file.arrays, priors)))
