"""Maps of codebook indices to bytes and back, exact by construction.

Parsing needs no network: the indices around a position choose its table. All positions of an
anti-diagonal are coded at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from quantal.entropy.indices.prior import (
    ABSENT,
    BoolMap,
    ByteMap,
    CountedTables,
    IndexPrior,
    IntMap,
)
from quantal.entropy.walk import Coding
from quantal.errors import ArgumentError, CorruptError

__all__ = ["walk_map"]


def _diagonals(present: BoolMap) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield rows and columns of the positions that are coded, anti-diagonal by anti-diagonal."""
    height, width = present.shape
    for number in range(height + width - 1):
        rows = np.arange(max(0, number - width + 1), min(height, number + 1))
        rows = rows[present[rows, number - rows]]
        if len(rows):
            yield rows, number - rows


def walk_map(
    prior: IndexPrior,
    present: BoolMap,
    parents: ByteMap | None,
    coding: Coding,
    counted: CountedTables | None = None,
) -> IntMap:
    """Go through the indices of a map, from the top left down.

    Args:
        prior: contexts and tables.
        present: which positions are coded, bool [h, w].
        parents: class of each position's parent, uint8 [h, w]; None: no parents.
        coding: what to do with the indices.
        counted: adaptive tables; default: new ones of the prior.

    Returns:
        int32 [h, w], ABSENT where nothing is coded.

    Raises:
        CorruptError: If an index has no entry.
        ArgumentError: If maps don't fit.
    """
    if present.dtype != np.bool_ or present.ndim != 2:
        raise ArgumentError(f"presence is {present.dtype} {present.shape}, expected bool [h, w]")
    around = prior.around
    height, width = present.shape
    parents = around.parents_of(parents, (height, width))
    counted = CountedTables(prior) if counted is None else counted
    indices = coding.begin((height, width), fill=ABSENT)
    # An empty border at the top and the left.
    classes = np.full((height + 1, width + 1), around.count, np.uint8)
    for rows, columns in _diagonals(present):
        context = around.context(
            classes[rows + 1, columns],
            classes[rows, columns + 1],
            classes[rows, columns],
            parents[rows, columns],
        )
        states = around.states[context]
        symbols = coding.code((rows, columns), counted.tables(), index=lambda s=states: s)  # type: ignore[misc]
        if int(symbols.min()) < 0 or int(symbols.max()) >= prior.entries:
            found = int(symbols.max()) if int(symbols.min()) >= 0 else int(symbols.min())
            raise CorruptError(
                f"index {found} found, expected 0..{prior.entries - 1}: the image part is damaged"
            )
        classes[rows + 1, columns + 1] = around.classes[symbols]
        counted.learn(states, symbols)
    return indices
