"""From index maps of training pictures to the contexts and tables of an IndexPrior.

Used at export alone. Entries are put into classes by k-means of their vectors; the combinations of
neighbours' classes into states by clustering what they are followed by: each combination goes to
the state whose law codes its counts with fewest bits, and laws follow (Lloyd's iterations with
relative entropy as the distance, as in the information bottleneck of Tishby et al. 1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.entropy.indices import ABSENT, IndexPrior, Neighbourhood
from quantal.entropy.kmeans import kmeans, nearest
from quantal.entropy.tables import TableSet, freeze

__all__ = ["Sample", "fit_prior", "vector_classes"]

FloatArray = npt.NDArray[np.float64]

#: The law of all contexts counts in a state's own as so many symbols.
_PRIOR_COUNT = 60.0
_ITERATIONS = 12
#: Least probability of an entry, so that none is dear beyond reason.
_LEAST = 2.0**-15


@dataclass(frozen=True)
class Sample:
    """One map: indices int32 [h, w], ABSENT where none is; parents: classes uint8 [h, w]."""

    indices: npt.NDArray[np.int32]
    parents: npt.NDArray[np.uint8] | None = None


def vector_classes(codebook: Tensor, counts: Tensor, count: int) -> npt.NDArray[np.uint8]:
    """A class for every entry of a codebook [K, D], below `count` or K: k-means of the vectors."""
    if count >= len(codebook):
        return np.arange(len(codebook), dtype=np.uint8)
    centres = kmeans(codebook, count, counts.float() + 1.0, iterations=40)
    return nearest(codebook.float(), centres).numpy().astype(np.uint8)


def _contexts(
    sample: Sample, around: Neighbourhood
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The combination of every position that is there, and its index."""
    indices = sample.indices
    height, width = indices.shape
    classes = np.full((height + 1, width + 1), around.count, np.uint8)
    there = indices != ABSENT
    classes[1:, 1:][there] = around.classes[indices[there]]
    parents = np.zeros((height, width), np.uint8) if sample.parents is None else sample.parents
    context = around.context(classes[1:, :-1], classes[:-1, 1:], classes[:-1, :-1], parents)
    return context[there], indices[there]


def fit_prior(
    samples: Sequence[Sample],
    classes: npt.NDArray[np.uint8],
    count: int,
    parents: int,
    states: int,
) -> IndexPrior:
    """An IndexPrior of at most `states` states from maps of one codebook.

    classes: uint8 [K] of its entries, below `count`; parents: how many classes a position's parent
    has, 1: none.
    """
    entries = len(classes)
    blank = Neighbourhood(count, parents, classes, np.zeros((count + 1) ** 3 * parents, np.uint8))
    seen = torch.zeros(len(blank.states), entries)
    for sample in samples:
        context, symbols = _contexts(sample, blank)
        if len(symbols):
            cells = torch.from_numpy(context * entries + symbols)
            seen.view(-1).index_add_(0, cells, torch.ones(len(cells)))
    total = seen.sum(0).double() + 0.25
    law = (total / total.sum()).clamp_min(_LEAST)
    mass = seen.sum(1)
    known = torch.nonzero(mass)[:, 0]
    assigned = torch.zeros(len(seen), dtype=torch.int64)
    laws = law[None].float()
    if states > 1 and len(known) > 1:
        rows = seen[known]
        first = mass[known].topk(min(states, len(known))).indices
        laws = _laws(rows[first], law)
        owner = torch.zeros(len(known), dtype=torch.int64)
        for _ in range(_ITERATIONS):
            # A law of its own is dear for a context that was hardly seen.
            owner = (rows @ -laws.log2().T).argmin(1)
            sums = torch.zeros(len(laws), entries).index_add_(0, owner, rows)
            laws = _laws(sums, law)
        assigned[known] = owner
        assigned[mass == 0] = int(torch.bincount(owner, weights=mass[known]).argmax())
    around = Neighbourhood(count, parents, classes, assigned.numpy().astype(np.uint8))
    frozen = [freeze(row.double().numpy(), 2.0**-24) for row in laws]
    return IndexPrior(around, TableSet.from_weights([0] * len(frozen), frozen))


def _laws(counts: Tensor, law: Tensor) -> Tensor:
    """Laws [S, K] from counts [S, K], each with the law of all mixed in."""
    mixed = counts.double() + _PRIOR_COUNT * law
    found = (mixed / mixed.sum(1, keepdim=True)).clamp_min(_LEAST / 4)
    return (found / found.sum(1, keepdim=True)).float()
