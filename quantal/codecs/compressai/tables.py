"""CompressAI's probability tables as TableSets: 16 bits become 24, escapes stay escapes.

Its tables are rows of cumulative counts up to 2^16 whose last slot is the escape; ours count to
2^24, so weights are multiplied by 256 and nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.entropy.coder import IntArray
from quantal.entropy.tables import MOST_TABLES, PRECISION, TableSet
from quantal.entropy.walk import Coding
from quantal.errors import ModelError

__all__ = ["Bottleneck", "table_sets"]

_PRECISION = 16


def table_sets(model: Any) -> list[TableSet]:
    """Return the tables of an EntropyBottleneck or GaussianConditional, at most 256 per set."""
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
    """A table for each channel, for z, or for y where there is no z.

    Args:
        model: an EntropyBottleneck, whose medians are the values of symbol 0.
        step: the value of a symbol, a float64 scalar; default 1.
    """

    def __init__(self, model: Any, step: Tensor | None = None) -> None:
        self.sets = table_sets(model)
        self._medians = model.quantiles.detach()[:, 0, 1].double().numpy()[:, None, None]
        self._step = 1.0 if step is None else float(step)
        #: The fewest bits that a position can cost, all channels together.
        self.least_bits = float(sum(tables.least_bits.sum() for tables in self.sets))

    def code(self, coding: Coding, rows: int, columns: int) -> IntArray:
        """Code all channels in turn, and return symbols int32 [C, rows, columns]."""
        channels = sum(map(len, self.sets))
        symbols = coding.begin((channels, rows, columns))
        start = 0
        for tables in self.sets:
            part = slice(start, start + len(tables))
            index = np.arange(len(tables), dtype=np.uint8)[:, None, None]
            shape = (len(tables), rows, columns)
            coding.code(
                part,
                tables,
                index=lambda index=index, shape=shape: np.broadcast_to(index, shape),  # type: ignore[misc]
                residual=lambda y, part=part: (y[part] - self._medians[part]) * (1 / self._step),  # type: ignore[misc]
            )
            start = part.stop
        return symbols

    def values(self, symbols: IntArray) -> Tensor:
        """Return the values of symbols [C, h, w], float64."""
        return torch.from_numpy(symbols * self._step + self._medians)
