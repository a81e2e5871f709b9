"""From index maps of training pictures to the contexts and tables of an IndexPrior.

Used at export alone. Combinations of the neighbours' classes are clustered into states by the
indices that follow them: each combination goes to the state whose distribution codes its counts
with the fewest bits, and distributions follow (Lloyd's iterations with relative entropy as the
distance, as in the information bottleneck of Tishby et al. 1999). The classes of entries are the
caller's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.entropy.indices.prior import ABSENT, IndexPrior, Neighbourhood
from quantal.entropy.tables import MOST_TABLES, TableSet, freeze
from quantal.errors import ArgumentError

__all__ = ["Sample", "fit_prior"]

#: The law of all contexts counts in a state's own as so many symbols for every entry.
_PRIOR_COUNT = 2.0
_ITERATIONS = 12
#: Least probability of an entry, so that none is expensive beyond reason.
_LEAST = 2.0**-15


@dataclass(frozen=True)
class Sample:
    """One map.

    Attributes:
        indices: int32 [h, w], ABSENT where there is none.
        parents: classes of the parents, uint8 [h, w].
    """

    indices: npt.NDArray[np.int32]
    parents: npt.NDArray[np.uint8] | None = None


def _contexts(
    sample: Sample, around: Neighbourhood
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the combination of every position that has an index, and its index."""
    indices = sample.indices
    entries = len(around.classes)
    lowest, highest = int(indices.min(initial=0)), int(indices.max(initial=0))
    if indices.ndim != 2 or lowest < ABSENT or highest >= entries:
        raise ArgumentError(
            f"a map {indices.shape} of indices {lowest}..{highest}, expected [h, w] of "
            f"0..{entries - 1}, or {ABSENT} where none is"
        )
    height, width = indices.shape
    parents = around.parents_of(sample.parents, (height, width))
    classes = np.full((height + 1, width + 1), around.count, np.uint8)
    there = indices != ABSENT
    classes[1:, 1:][there] = around.classes[indices[there]]
    context = around.context(classes[1:, :-1], classes[:-1, 1:], classes[:-1, :-1], parents)
    return context[there], indices[there]


def fit_prior(
    samples: Sequence[Sample],
    classes: npt.NDArray[np.uint8],
    count: int,
    parents: int,
    states: int,
) -> IndexPrior:
    """Fit an IndexPrior to maps of one codebook.

    Args:
        samples: the maps.
        classes: class of each entry, uint8 [K], below `count`.
        count: how many classes.
        parents: how many classes a position's parent has; 1 for none.
        states: the most states, up to 256.

    Raises:
        ArgumentError: If maps don't fit, or there are too many states.
    """
    if not 1 <= states <= MOST_TABLES:
        raise ArgumentError(f"{states} states, expected 1..{MOST_TABLES}")
    entries = len(classes)
    blank = Neighbourhood(count, parents, classes, np.zeros((count + 1) ** 3 * parents, np.uint8))
    seen = torch.zeros(len(blank.states), entries, dtype=torch.float64)
    for sample in samples:
        context, symbols = _contexts(sample, blank)
        cells = torch.from_numpy(context * entries + symbols)
        seen.view(-1).index_add_(0, cells, torch.ones(len(cells), dtype=torch.float64))
    total = seen.sum(0) + 0.25
    law = (total / total.sum()).clamp_min(_LEAST)
    mass = seen.sum(1)
    known = torch.nonzero(mass)[:, 0]
    assigned = torch.zeros(len(seen), dtype=torch.int64)
    laws = law[None]
    if states > 1 and len(known) > 1:
        rows = seen[known]
        laws = _laws(rows[mass[known].topk(min(states, len(known))).indices], law)
        for _ in range(_ITERATIONS):
            # Bits of what every combination was followed by, under every law.
            owner = (rows @ -laws.log2().T).argmin(1)
            sums = torch.zeros(len(laws), entries).double().index_add_(0, owner, rows)
            laws = _laws(sums, law)
        # Of what never occurred nothing is known but the law of all.
        assigned[:] = (total @ -laws.log2().T).argmin()
        assigned[known] = owner
        used, assigned = torch.unique(assigned, return_inverse=True)
        laws = laws[used]
    around = Neighbourhood(count, parents, classes, assigned.numpy().astype(np.uint8))
    frozen = [freeze(row.numpy(), 2.0**-24) for row in laws]
    return IndexPrior(around, TableSet.from_weights([0] * len(frozen), frozen))


def _laws(counts: Tensor, law: Tensor) -> Tensor:
    """Return distributions [S, K] from counts [S, K], each mixed with the overall one.

    That of a state that was hardly seen is near the overall one.
    """
    mixed = counts + _PRIOR_COUNT * len(law) * law
    found = (mixed / mixed.sum(1, keepdim=True)).clamp_min(_LEAST / 4)
    return found / found.sum(1, keepdim=True)
