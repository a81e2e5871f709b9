"""Coding orders: which step of a context model codes which latents.

Latents are seen as cells of 2x2 positions of all channels, gathered by pixel-unshuffle to 4C values
at half the resolution. There the elements of a step are a run of channels, so nothing is computed
for elements of other steps and nothing has to be masked (after Li et al., "Neural video compression
with diverse contexts", 2023, for the steps over 2x2 places; He et al., "ELIC", 2022, and Wang et
al., "S2LIC", 2024, for slices of channels in two checkerboard passes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.errors import ArgumentError

__all__ = ["CELL", "Order", "gather", "scatter"]

#: Latents per axis of a cell.
CELL = 2
_PLACES = CELL * CELL


@dataclass(frozen=True)
class Order:
    """Which step codes what.

    Attributes:
        sizes: channels of each group; a group is a run of the channels, most important first.
        steps: steps[g][p] is the step that codes group g at place p of a cell.
    """

    sizes: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        seen = {step for row in self.steps for step in row}
        rows_fit = all(len(row) == _PLACES for row in self.steps)
        if len(self.sizes) != len(self.steps) or not rows_fit or seen != set(range(self.count)):
            raise ArgumentError(
                f"a coding order needs a size and {_PLACES} steps for every group of channels, and "
                f"steps numbered from 0 without a gap; found {self}"
            )

    @property
    def count(self) -> int:
        """Number of steps."""
        return 1 + max(step for row in self.steps for step in row)

    @classmethod
    def named(cls, name: str, channels: int) -> Order:
        """Return one of the orders that recipes name.

        Args:
            name: "places": 4 groups, 4 steps; every step codes each group, each at another place,
                so that all channels and all places contribute from the first step on. "core": 8
                steps; the most salient quarter of the channels as in "places", then the others
                likewise, so that half of the steps are a whole picture. "slices": 5 groups, 10
                steps; one group after the other, each in two checkerboard passes.
            channels: C, a multiple of 4, 16 or 5.

        Raises:
            ArgumentError: If there is no such order, or channels don't fit it.
        """
        # Exclusive or makes the Latin square; opposite corners follow each other.
        turn = (0, 3, 2, 1)
        latin = tuple(tuple(turn[g ^ p] for p in range(_PLACES)) for g in range(4))
        shares: tuple[int, ...]
        steps: tuple[tuple[int, ...], ...]
        if name == "places":
            shares, steps = (1,) * 4, latin
        elif name == "core":
            second = tuple(tuple(step + 4 for step in row) for row in latin)
            shares, steps = (1,) * 4 + (3,) * 4, (*latin, *second)
        elif name == "slices":
            shares = (1,) * 5
            steps = tuple((2 * g, 2 * g + 1, 2 * g + 1, 2 * g) for g in range(5))
        else:
            known = "core, places, slices"
            raise ArgumentError(f"there is no coding order {name!r}; there are: {known}")
        unit, rest = divmod(channels, sum(shares))
        if rest:
            raise ArgumentError(f"order {name!r} needs a multiple of {sum(shares)} channels")
        return cls(tuple(unit * share for share in shares), steps)

    def elements(self, rank: Sequence[int]) -> list[list[int]]:
        """Return the elements (channel * 4 + place) of each step.

        Args:
            rank: channels, those of the first group first.
        """
        starts = [sum(self.sizes[:g]) for g in range(len(self.sizes))]
        found: list[list[int]] = [[] for _ in range(self.count)]
        for start, size, row in zip(starts, self.sizes, self.steps, strict=True):
            for place, step in enumerate(row):
                found[step] += [channel * _PLACES + place for channel in rank[start : start + size]]
        return found


def gather(y: npt.NDArray[Any], elements: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return latents as cells in coding order.

    Args:
        y: [..., C, h, w], h and w even.
        elements: channel * 4 + place of each element of a cell.

    Returns:
        [..., 4C, h/2, w/2].
    """
    *lead, channels, height, width = y.shape
    parts = y.reshape(-1, channels, height // CELL, CELL, width // CELL, CELL)
    cells = parts.transpose(0, 1, 3, 5, 2, 4).reshape(*lead, -1, height // CELL, width // CELL)
    return cells.take(elements, axis=-3)


def scatter(cells: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return cells in coding order as latents.

    Args:
        cells: [..., 4C, h, w].
        places: the argsort of the `elements` that gather() took.

    Returns:
        [..., C, 2h, 2w].
    """
    *lead, count, height, width = cells.shape
    parts = cells.take(places, axis=-3).reshape(*lead, count // _PLACES, CELL, CELL, height, width)
    rows = np.moveaxis(parts, (-2, -1), (-4, -2))  # [..., C, h, 2, w, 2]
    return rows.reshape(*lead, count // _PLACES, height * CELL, width * CELL)
