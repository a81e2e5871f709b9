"""Probability tables of a trained model: from counts of symbols, and from trained distributions.

Tables of y are not computed from the distribution that training assumed alone, but counted: how
often each symbol occurred at each scale, with that distribution as a prior for rare symbols.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.entropy.frozen.factorized import LIMIT, TABLE_STEP
from quantal.entropy.models.likelihoods import index_to_scale, logistic_bits
from quantal.entropy.models.prior import FactorizedPrior
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.scales import SCALES
from quantal.entropy.tables import TableSet, freeze

__all__ = ["SURE", "SymbolCounts", "law_table", "side_tables", "y_tables"]

FloatArray = npt.NDArray[np.float64]

#: The prior counts as so many observed symbols.
_PRIOR_COUNT = 2000.0
#: Scale indices below this are certain of zero: their symbols are not coded at all.
SURE = 4
#: A table spans this many standard deviations; symbols beyond it are escaped.
_SPAN = 8.0
#: Least probability of a side symbol's escape: it bounds the pixels that a byte can claim
#: (docs/reference/format.md).
_SIDE_ESCAPE = 2.0**-11


class SymbolCounts:
    """How often each symbol occurred at each scale index."""

    def __init__(self) -> None:
        # One wider than the widest table, so that clamped symbols count as beyond it.
        self._half = int(_SPAN * index_to_scale(torch.tensor(SCALES - 1.0))) + 4
        self.counts = np.zeros((SCALES, 2 * self._half + 1))

    def add(self, symbols: Tensor, index: Tensor) -> None:
        """Count symbols and their scale indices, whole numbers of one shape."""
        half, width = self._half, self.counts.shape[1]
        cell = index.long() * width + symbols.clamp(-half, half).long() + half
        seen = np.bincount(cell.flatten().cpu().numpy(), minlength=self.counts.size)
        self.counts += seen.reshape(self.counts.shape)


def _law(index: int) -> tuple[int, FloatArray]:
    """Return the logistic distribution of a scale index: first symbol and probabilities."""
    scale = index_to_scale(torch.tensor(float(index)))
    half = int(torch.ceil(_SPAN * scale)) + 2
    symbols = torch.arange(-half, half + 1, dtype=torch.float32)
    bits = logistic_bits(symbols, scale.expand_as(symbols))
    return -half, (2.0 ** -bits.double()).numpy()


def law_table(index: int) -> tuple[int, npt.NDArray[np.int32]]:
    """Return the first symbol and the weights of a scale index by the distribution alone."""
    low, law = _law(index)
    return low, freeze(law / law.sum(), 1e-5)


def y_tables(counts: SymbolCounts, sure: int = SURE) -> TableSet:
    """Return a table for each scale index; symmetric by averaging.

    Args:
        counts: of symbols.
        sure: scale indices below this are certain of zero.
    """
    first, weights = [], []
    for index in range(SCALES):
        low, law = _law(index)
        if index < sure:
            first.append(0)
            weights.append(np.array([1 << 24], dtype=np.int32))
            continue
        seen = counts.counts[index]
        middle, half = len(seen) // 2, -low
        inside = seen[middle - half : middle + half + 1]
        beyond = seen.sum() - inside.sum()
        inside = (inside + inside[::-1]) / 2
        total = inside.sum() + beyond + _PRIOR_COUNT
        escape = (beyond + _PRIOR_COUNT * 1e-5) / total
        first.append(low)
        weights.append(freeze((inside + _PRIOR_COUNT * law / law.sum()) / total, escape))
    return TableSet.from_weights(first, weights)


@torch.no_grad()
def side_tables(prior: FactorizedPrior) -> tuple[TableSet, ...]:
    """Return the tables of a trained factorized prior, at the middle of every four rate indices."""
    device = prior.means.anchors.device
    values = torch.arange(-LIMIT, LIMIT + 1, dtype=torch.float32, device=device)
    grid = values.expand(1, prior.channels, -1)
    sets = []
    for low in range(0, RATE_INDICES, TABLE_STEP):
        rate = torch.tensor([low + (TABLE_STEP - 1) / 2], device=device)
        law = prior.probabilities(grid, rate)[0].double().cpu().numpy()
        first, weights = [], []
        for row in law:
            likely = np.flatnonzero(row > 2.0**-16)
            start, end = int(likely[0]), int(likely[-1]) + 1
            beyond = max(1 - row[start:end].sum(), _SIDE_ESCAPE)
            first.append(start - LIMIT)
            weights.append(freeze(row[start:end], beyond))
        sets.append(TableSet.from_weights(first, weights))
    return tuple(sets)
