"""The content of a `vq` file as maps of numbers, and the priors of these maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantal.entropy.indices import IndexPrior, IntMap
from quantal.errors import ModelError
from quantal.planes import ceil_div

__all__ = ["CELL", "RUNGS", "Maps", "Priors", "Step", "cells_of"]

#: Pixels along a side of a cell.
CELL = 32
#: Rungs of the ladder of codebooks, at 1/32, 1/16 and 1/8.
RUNGS = 3


@dataclass(frozen=True)
class Step:
    """The choices of an encoder at a rate.

    Attributes:
        books: which codebook each rung uses.
        price: what a cell must gain by a further rung for every bit that it costs, in squared error
            per sample (0..1).
    """

    books: tuple[int, ...]
    price: float


@dataclass(frozen=True)
class Maps:
    """The content of a file.

    Attributes:
        books: which codebook each rung uses.
        depth: finest rung of every cell, int32 [h, w], 0..2.
        indices: of each rung, int32 [h << rung, w << rung], ABSENT where a cell is less deep.
    """

    books: tuple[int, ...]
    depth: IntMap
    indices: tuple[IntMap, ...]


@dataclass(frozen=True)
class Priors:
    """Contexts and tables of all maps.

    Attributes:
        depth: of the cells' depths.
        rungs: of the indices, by rung and by codebook.
    """

    depth: IndexPrior
    rungs: tuple[tuple[IndexPrior, ...], ...]

    def chosen(self, books: Sequence[int]) -> list[IndexPrior]:
        """Return the priors of the codebooks that a stream names.

        Raises:
            ModelError: If the weights lack one.
        """
        for rung, book in enumerate(books):
            if book >= len(self.rungs[rung]):
                raise ModelError(
                    f"the file needs codebook {book} of rung {rung}, and these weights have "
                    f"{len(self.rungs[rung])}; decode it with the weights that wrote it"
                )
        return [self.rungs[rung][book] for rung, book in enumerate(books)]


def cells_of(width: int, height: int) -> tuple[int, int]:
    """Return how many rows and columns of cells cover a picture."""
    return ceil_div(height, CELL), ceil_div(width, CELL)
