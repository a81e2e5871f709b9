"""The weights file of codec `vq`: networks, codebooks, contexts, tables, the ladder of rates.

The hash in every coded file covers everything that decides how bits are read, and the codebooks:
with other codebooks the same indices give another picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.info import Card
from quantal.codecs.vq.maps import RUNGS, Priors, Step
from quantal.codecs.vq.net import VqConfig, VqNet
from quantal.codecs.weights import (
    NET,
    Array,
    read_weights,
    renamed,
    sound_weights,
    write_weights,
)
from quantal.entropy.indices import IndexPrior
from quantal.layers import Unfilled

__all__ = ["Ladder", "Segment", "VqWeights", "read_vq_weights", "write_vq_weights"]

_LAST_RATE = 252
#: State of a VectorQuantiser that is not stored; it serves training alone.
_TRAINING_STATE = (".counts", ".sums")
#: What layers are called in files of this layout, where that differs from the code.
_STORED = {"rate_offset": "told"}


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
    def from_json(cls, text: str, config: VqConfig) -> Ladder:
        """Build from the result of to_json(); ValueError for anything else."""
        segments, start = [], 0.0
        for row in json.loads(text):
            if not isinstance(row, list) or len(row) != RUNGS + 3:
                raise ValueError(f"a segment of the ladder is {row!r}")
            until, first, last = float(row[0]), float(row[-2]), float(row[-1])
            books = tuple(int(n) for n in row[1 : RUNGS + 1])
            known = 0 <= min(books) <= max(books) < len(config.entries)
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
class VqWeights:
    """Networks, priors and ladder of a file, checked.

    Attributes:
        hash: 4 bytes; see the module.
        card: what the file says of itself.
    """

    net: VqNet
    priors: Priors
    ladder: Ladder
    hash: bytes
    card: Card


def _integers(net: VqNet, priors: Priors) -> dict[str, Array]:
    """Return everything that the hash covers, by name."""
    arrays = priors.depth.arrays("priors.depth")
    for rung, sizes in enumerate(priors.rungs):
        for book, prior in enumerate(sizes):
            arrays |= prior.arrays(f"priors.{rung}.{book}")
            name = f"{NET}rungs.{rung}.books.{book}.codebook"
            arrays[name] = net.book(rung, book).codebook.detach().cpu().half().numpy()
    return arrays


def write_vq_weights(path: Path, net: VqNet, priors: Priors, ladder: Ladder, card: Card) -> bytes:
    """Write a weights file, and return its hash."""
    integers = _integers(net, priors)
    state = net.state_dict()
    names = renamed(list(state), _STORED)
    floats = {
        NET + names[name]: value.detach().cpu().half().numpy()
        for name, value in state.items()
        if not name.endswith(_TRAINING_STATE) and NET + name not in integers
    }
    texts = {
        "model": json.dumps(net.config.to_dict()),
        "card": json.dumps(asdict(card)),
        "ladder": ladder.to_json(),
    }
    return write_weights(path, net.layout, floats, integers, texts)


def _read_net(arrays: Mapping[str, Array], config: VqConfig) -> VqNet:
    with Unfilled():
        net = VqNet(config)
    own = net.state_dict()
    names = {NET + stored: name for name, stored in renamed(list(own), _STORED).items()}
    state = {
        names.get(name, name): torch.from_numpy(value.astype(np.float32))
        for name, value in arrays.items()
        if name.startswith(NET)
    }
    # State for training starts as if all entries had been used equally.
    for name in own:
        if name.endswith(".counts"):
            state[name] = torch.ones(own[name].shape)
        elif name.endswith(".sums"):
            codebook: Tensor = state[name.removesuffix("sums") + "codebook"]
            state[name] = codebook.clone()
    unknown = sorted(state.keys() ^ own.keys())
    if unknown:
        raise ValueError(f"its tensors are not those of its sizes: {', '.join(unknown[:3])}")
    net.load_state_dict(state, assign=True)
    net.requires_grad_(False)
    return net.eval()


def _read_priors(arrays: Mapping[str, Array], entries: Sequence[int]) -> Priors:
    rungs: list[tuple[IndexPrior, ...]] = []
    for rung in range(RUNGS):
        sizes: list[IndexPrior] = []
        for book, size in enumerate(entries):
            prior = IndexPrior.from_arrays(arrays, f"priors.{rung}.{book}")
            if prior.entries != size:
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


def read_vq_weights(path: Path) -> VqWeights:
    """Read and check a weights file.

    Raises:
        ModelError: If it is missing, damaged or of another codec.
    """
    file = read_weights(path, [VqNet.layout])
    with sound_weights(file):
        config = VqConfig.from_dict(file.sizes())
        net = _read_net(file.arrays, config)
        priors = _read_priors(file.arrays, config.entries)
        ladder = Ladder.from_json(file.metadata["ladder"], config)
    found = file.check(_integers(net, priors))
    return VqWeights(net, priors, ladder, found, Card.of(file.metadata) or Card())
