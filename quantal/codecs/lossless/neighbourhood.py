"""What the network of a step sees: which samples, residuals and sums, in which order.

A level of a picture is a lattice of samples whose phase `a`, every second row and column, is known
from the level above it. Each step adds one phase of one channel: `d` in the middle of four `a`,
then `b` between two of them in a row, then `c` between two in a column (the lazy wavelet of
Sweldens, 1996, as used for lossless coding by Kamisli, "Learned lossless image compression through
interpolation with low complexity", 2023). Training and coding read the same lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["ACTIVITY", "NEAREST", "ORIGIN", "PHASES", "Input", "Phase", "inputs", "phase_at"]

Phase = Literal["a", "d", "b", "c"]
#: The phases that are coded, in this order.
PHASES: tuple[Phase, ...] = ("d", "b", "c")
_ORDER: tuple[Phase, ...] = ("a", *PHASES)
#: Row and column of a phase within a cell of 2x2 samples.
ORIGIN: dict[Phase, tuple[int, int]] = {"a": (0, 0), "d": (1, 1), "b": (0, 1), "c": (1, 0)}
_AT: dict[tuple[int, int], Phase] = {place: phase for phase, place in ORIGIN.items()}

Offset = tuple[int, int]
_DIAGONAL: tuple[Offset, ...] = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_CROSS: tuple[Offset, ...] = ((0, -1), (0, 1), (-1, 0), (1, 0))
#: The known samples that are nearest to one of a phase; their mean is the base of its prediction.
NEAREST: dict[Phase, tuple[Offset, ...]] = {"d": _DIAGONAL, "b": _CROSS, "c": _CROSS}
#: Errors around a sample that its network sees one by one.
_ERRORS: dict[Phase, tuple[Offset, ...]] = {
    "d": _DIAGONAL,
    "b": (*_CROSS, (-1, -2), (-1, 2), (1, -2), (1, 2)),
    "c": (*_CROSS, *_DIAGONAL),
}
#: Samples of a channel that was coded before, around the one to be predicted.
_AROUND: tuple[Offset, ...] = tuple(
    (row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)
)
_FARTHER: tuple[Offset, ...] = ((0, 2), (0, -2), (2, 0), (-2, 0))
#: Rows and columns of phase `a` over which errors are summed up, relative to the cell.
ACTIVITY: dict[Phase, tuple[range, range]] = {
    "d": (range(-1, 3), range(-1, 3)),
    "b": (range(-1, 2), range(-1, 3)),
    "c": (range(-1, 3), range(-1, 2)),
}

Kind = Literal["own", "first", "second", "here", "base", "level", "error", "residual", "activity"]


@dataclass(frozen=True)
class Input:
    """One input of a step's network.

    Attributes:
        kind: "own", a sample of the predicted channel less the base; "first" and "second", a
            sample of these channels less the one at the predicted place; "here", the second
            channel at that place; "base", the base; "level", the first channel at that place, less
            half of the range; "error", the magnitude of a residual; "residual", a residual;
            "activity", the sum of magnitudes over ACTIVITY.
        channel: of the sample or the residual.
        row: relative to the predicted sample.
        column: likewise.
    """

    kind: Kind
    channel: int
    row: int = 0
    column: int = 0

    @property
    def range(self) -> int:
        """How many times the range of samples the magnitude of this input reaches at most."""
        if self.kind == "activity":
            return 2 * max(len(rows) * len(columns) for rows, columns in ACTIVITY.values())
        return 2 if self.channel or self.kind in ("error", "residual") else 1


def phase_at(phase: Phase, row: int, column: int) -> Phase:
    """Return the phase of the sample at an offset from one of a phase."""
    down, across = ORIGIN[phase]
    return _AT[(down + row) % 2, (across + column) % 2]


def _window(phase: Phase, reach: int) -> list[Offset]:
    """Return offsets of samples that are known before a phase, up to 3 away on each axis.

    Args:
        phase: which is to be coded.
        reach: the largest sum of both distances.
    """
    before = _ORDER[: _ORDER.index(phase)]
    return [
        (row, column)
        for row in range(-3, 4)
        for column in range(-3, 4)
        if phase_at(phase, row, column) in before and abs(row) + abs(column) <= reach
    ]


@cache
def inputs(channel: int, phase: Phase) -> tuple[Input, ...]:
    """Return the inputs of a step.

    Args:
        channel: 0, or 1 and 2 for channels that are coded after it.
        phase: the one that the step adds.
    """
    reach = (6 if phase == "d" else 4) if channel == 0 else (4 if phase == "d" else 3)
    found = [Input("own", channel, *offset) for offset in _window(phase, reach)]
    if channel:
        found += [Input("first", 0, *offset) for offset in (*_AROUND, *_FARTHER)]
    if channel == 2:
        found += [Input("here", 1)]
        found += [Input("second", 1, *offset) for offset in (*_VERTICAL, *_DIAGONAL)]
    found += [Input("base", channel)]
    if channel:
        found += [Input("level", 0)]
    found += [Input("error", channel, *offset) for offset in _ERRORS[phase]]
    if channel:
        found += [Input("residual", 0), Input("error", 0)]
        found += [Input("error", 0, *offset) for offset in _VERTICAL]
    if channel == 2:
        found += [Input("residual", 1), Input("error", 1)]
    found += [Input("activity", each) for each in range(channel + 1)]
    return tuple(found)


_VERTICAL: tuple[Offset, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
