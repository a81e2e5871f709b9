"""The weights file of codec `vq`: networks, codebooks, contexts, tables, the ladder of rates.

The hash that stands in every coded file covers what decides how bits are read, and the codebooks:
another codebook reads the same indices and draws another picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.codecs._tensors import check_digest, digest, load_tensors, save_tensors
from quantal.codecs._vq_maps import Priors, Step
from quantal.codecs._vq_net import RUNGS, VqConfig, VqNet
from quantal.entropy.indices import IndexPrior
from quantal.errors import ModelError

__all__ = ["Ladder", "Segment", "VqWeights", "read_vq_weights", "write_vq_weights"]

_LAST_RATE = 252
#: Of a VectorQuantiser's state only its codebook is shipped; the rest serves training.
_TRAINING_STATE = (".counts", ".sums")


@dataclass(frozen=True)
class Segment:
    """Rates up to a part 0..1 of all, with the same codebooks: the price falls from first to last,
    evenly in the log domain."""

    until: float
    books: tuple[int, ...]
    first: float
    last: float


@dataclass(frozen=True)
class Ladder:
    """How a rate 0..252 becomes a Step; the encoder's business alone."""

    segments: tuple[Segment, ...]

    def at(self, rate: float) -> Step:
        """The step of a rate."""
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
        """Raises ValueError for what to_json() doesn't give."""
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
    """Networks, priors and ladder of a file, checked. hash: 4 bytes; see the module. card: what
    `quantal codecs` tells."""

    net: VqNet
    priors: Priors
    ladder: Ladder
    hash: bytes
    card: dict[str, Any]


def _exact_tensors(net: VqNet, priors: Priors) -> dict[str, Tensor]:
    """Everything that the hash covers, by name."""
    tensors = priors.depth.tensors("priors.depth")
    for rung, sizes in enumerate(priors.rungs):
        for book, prior in enumerate(sizes):
            tensors |= prior.tensors(f"priors.{rung}.{book}")
            name = f"net.rungs.{rung}.books.{book}.codebook"
            tensors[name] = net.book(rung, book).codebook.detach().cpu().half()
    return tensors


def write_vq_weights(
    path: Path, net: VqNet, priors: Priors, ladder: Ladder, card: dict[str, Any]
) -> bytes:
    """Write a weights file; returns its hash. card: what `quantal codecs` tells; see CodecInfo."""
    exact = _exact_tensors(net, priors)
    floats = {
        f"net.{name}": value.detach().cpu().half()
        for name, value in net.state_dict().items()
        if not name.endswith(_TRAINING_STATE) and f"net.{name}" not in exact
    }
    metadata = {
        "format": net.layout,
        "model": json.dumps(net.config.to_dict()),
        "card": json.dumps(card),
        "ladder": ladder.to_json(),
        "hash": digest(net.layout, exact).hex(),
        "floats": digest(net.layout, floats).hex(),
    }
    save_tensors(path, {**floats, **exact}, metadata)
    return digest(net.layout, exact)


def _read_net(tensors: dict[str, Tensor], model: str) -> VqNet:
    sizes = json.loads(model)
    with torch.random.fork_rng(devices=[]):  # building a network must not move the user's seed
        net = VqNet(VqConfig.from_dict(sizes))
    state = {name[4:]: v.float() for name, v in tensors.items() if name.startswith("net.")}
    missing, unknown = net.load_state_dict(state, strict=False)
    lacking = [name for name in missing if not name.endswith(_TRAINING_STATE)]
    if unknown or lacking:
        raise ValueError(
            f"its tensors are not those of its sizes: {', '.join([*unknown, *lacking][:3])}"
        )
    for rung in range(RUNGS):
        for place in range(len(net.config.entries)):
            net.book(rung, place).restart()
    net.requires_grad_(False)
    return net.eval()


def _read_priors(tensors: dict[str, Tensor], entries: Sequence[int]) -> Priors:
    rungs: list[tuple[IndexPrior, ...]] = []
    for rung in range(RUNGS):
        sizes: list[IndexPrior] = []
        for book, size in enumerate(entries):
            prior = IndexPrior.from_tensors(tensors, f"priors.{rung}.{book}")
            if prior.entries != size:
                raise ValueError(f"codebook {book} has {size} entries, its tables {prior.entries}")
            sizes.append(prior)
        rungs.append(tuple(sizes))
    depth = IndexPrior.from_tensors(tensors, "priors.depth")
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
    """Read and check a weights file; raises ModelError if it is missing, damaged or another's."""
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != VqNet.layout:
        raise ModelError(
            f"weights {path.name} say format {metadata.get('format', '')!r}, "
            f"expected {VqNet.layout!r}"
        )
    try:
        net = _read_net(tensors, metadata["model"])
        priors = _read_priors(tensors, net.config.entries)
        ladder = Ladder.from_json(metadata["ladder"], net.config)
        card = dict(json.loads(metadata["card"]))
    except (KeyError, TypeError, ValueError, RuntimeError, ModelError) as error:
        raise ModelError(f"weights {path.name} are damaged: {error}; install them anew") from error
    exact = _exact_tensors(net, priors)
    floats = {n: v for n, v in tensors.items() if n.startswith("net.") and n not in exact}
    check_digest(path, net.layout, floats, metadata.get("floats"))
    found = check_digest(path, net.layout, exact, metadata.get("hash"))
    return VqWeights(net, priors, ladder, found, card)
