"""CompressAI's probability tables as ours: 16 bits become 24, an escape stays an escape.

Its tables are rows of cumulative counts up to 2^16 whose last slot codes what no other holds; ours
count to 2^24, so that a weight is multiplied by 256 and nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.zoo.coding import Batch, Coding
from quantal.entropy.tables import MOST_TABLES, PRECISION, TableSet
from quantal.errors import ModelError

__all__ = ["Bottleneck", "table_sets"]

_PRECISION = 16


def table_sets(model: Any) -> list[TableSet]:
    """The tables of an EntropyBottleneck or GaussianConditional, at most 256 in a set."""
    rows = model._quantized_cdf.numpy().astype(np.int64)
    lengths, first = model._cdf_length.flatten().tolist(), model._offset.flatten().tolist()
    if rows.ndim != 2 or not len(rows) == len(lengths) == len(first):
        raise ModelError("the weights' probability tables contradict each other")
    if not all(3 <= length <= rows.shape[1] for length in lengths):
        raise ModelError("the weights' probability tables are longer or shorter than they say")
    weights = [
        np.diff(row[:length]) << (PRECISION - _PRECISION)
        for row, length in zip(rows, lengths, strict=True)
    ]
    starts = range(0, len(rows), MOST_TABLES)
    return [
        TableSet.from_weights(first[s : s + MOST_TABLES], weights[s : s + MOST_TABLES])
        for s in starts
    ]


class Bottleneck:
    """A table of its own for each channel: what codes z, or y where there is no z.

    medians: float64 [C], the value of symbol 0; step: what a symbol is worth.
    """

    def __init__(self, model: Any, step: Tensor | None = None) -> None:
        self.sets = table_sets(model)
        self._medians = model.quantiles.detach()[:, 0, 1].double()[:, None, None]
        self._step = torch.ones((), dtype=torch.float64) if step is None else step
        #: The fewest bits that a position can cost, all channels together.
        self.least_bits = float(sum(tables.least_bits.sum() for tables in self.sets))

    def code(self, coding: Coding, rows: int, columns: int) -> Tensor:
        """Code all channels in turn; returns symbols int32 [C, rows, columns]."""
        parts, start = [], 0
        for tables in self.sets:
            channels = slice(start, start + len(tables))
            index = torch.arange(len(tables), dtype=torch.uint8)[:, None, None]
            index = index.expand(-1, rows, columns)
            median, gain = self._medians[channels], 1 / self._step
            parts.append(coding.code(Batch(0, (channels,), index, tables, median, gain)))
            start = channels.stop
        return torch.cat(parts)

    def values(self, symbols: Tensor) -> Tensor:
        """What symbols [C, h, w] stand for, float64."""
        return symbols * self._step + self._medians
