"""The samples of one level by phase, with borders, as the networks of its steps read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.neighbourhood import (
    ACTIVITY,
    NEAREST,
    ORIGIN,
    Input,
    Phase,
    phase_at,
)

__all__ = ["Lattice", "Values"]

#: Whole numbers in float32, which holds them exactly up to 2^24.
Values = npt.NDArray[np.float32]

#: Rows and columns around each phase; inputs reach no farther.
_MARGIN = 2


def _mirrored(length: int, parity: int) -> npt.NDArray[np.intp]:
    """Return where the samples of a phase are taken from along an axis, borders included.

    A border mirrors the samples about the outermost one, so that every sample of it has the phase
    of the place that it fills. Where an axis has one sample, the border of the other phase has
    nothing to mirror and stays zero.

    Args:
        length: of the axis, in samples of all phases.
        parity: 0 or 1, of the phase along the axis.
    """
    count = (length + 1 - parity) // 2
    full = 2 * np.arange(-_MARGIN, count + _MARGIN) + parity
    if length > 1:
        period = 2 * (length - 1)
        full = full % period
        full = np.minimum(full, period - full)
    else:
        full = np.zeros_like(full)
    return (full - parity) // 2 + _MARGIN


class _Bordered:
    """The four phases of one plane of whole numbers.

    Args:
        height: of the plane.
        width: of the plane.
        mirrored: whether borders mirror the plane; else they are zero.
    """

    def __init__(self, height: int, width: int, mirrored: bool) -> None:
        self._mirrored = mirrored
        self.planes: dict[Phase, Values] = {}
        self._rows: dict[Phase, npt.NDArray[np.intp]] = {}
        self._columns: dict[Phase, npt.NDArray[np.intp]] = {}
        for phase, (down, across) in ORIGIN.items():
            rows, columns = (height + 1 - down) // 2, (width + 1 - across) // 2
            self.planes[phase] = np.zeros((rows + 2 * _MARGIN, columns + 2 * _MARGIN), np.float32)
            self._rows[phase], self._columns[phase] = (
                _mirrored(height, down),
                _mirrored(width, across),
            )

    def inside(self, phase: Phase) -> Values:
        """Return a phase without its border; a view."""
        return self.planes[phase][_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

    def put(self, phase: Phase, values: npt.NDArray[Any]) -> None:
        """Fill in a phase and its border."""
        self.inside(phase)[:] = values
        if not self._mirrored or not values.size:
            return
        plane, rows, columns = self.planes[phase], self._rows[phase], self._columns[phase]
        for edge in (*range(_MARGIN), *range(len(rows) - _MARGIN, len(rows))):
            plane[edge] = plane[rows[edge]]
        for edge in (*range(_MARGIN), *range(len(columns) - _MARGIN, len(columns))):
            plane[:, edge] = plane[:, columns[edge]]

    def part(self, phase: Phase, row: int, column: int, rows: slice, width: int) -> Values:
        """Return the samples at an offset from those of a phase; a view.

        Args:
            phase: of the samples that the offset starts from.
            row: the offset.
            column: the offset.
            rows: of the phase.
            width: of the phase, in samples.
        """
        down, across = ORIGIN[phase]
        top = rows.start + (down + row) // 2 + _MARGIN
        left = (across + column) // 2 + _MARGIN
        plane = self.planes[phase_at(phase, row, column)]
        return plane[top : top + rows.stop - rows.start : rows.step, left : left + width]


class Lattice:
    """One level of a window: what is known of it so far.

    Args:
        samples: planes [C, H, W], of which every second row and column is known.
        errors: magnitudes of residuals, likewise.
        middle: half of the range of samples.
    """

    def __init__(self, samples: npt.NDArray[Any], errors: npt.NDArray[Any], middle: int) -> None:
        self._samples, self._errors, self._middle = samples, errors, middle
        channels, height, width = samples.shape
        self._known = [_Bordered(height, width, True) for _ in range(channels)]
        self._wrong = [_Bordered(height, width, False) for _ in range(channels)]
        self._residual: dict[tuple[int, Phase], Values] = {}
        self._sums: dict[tuple[int, Phase], Values] = {}
        for channel in range(channels):
            self._known[channel].put("a", samples[channel, ::2, ::2])
            self._wrong[channel].put("a", errors[channel, ::2, ::2])

    def shape(self, phase: Phase) -> tuple[int, int]:
        """Return rows and columns of a phase."""
        height, width = self._known[0].inside(phase).shape
        return height, width

    def put(
        self,
        channel: int,
        phase: Phase,
        samples: npt.NDArray[Any],
        residuals: npt.NDArray[Any],
    ) -> None:
        """Fill in a phase of a channel.

        Args:
            channel: which.
            phase: which.
            samples: whole numbers [h, w].
            residuals: whole numbers [h, w].
        """
        down, across = ORIGIN[phase]
        magnitudes = np.abs(residuals)
        self._samples[channel, down::2, across::2] = samples
        self._errors[channel, down::2, across::2] = magnitudes
        self._known[channel].put(phase, samples)
        self._wrong[channel].put(phase, magnitudes)
        self._residual[channel, phase] = residuals.astype(np.float32)

    def prepare(self, channel: int, phase: Phase) -> None:
        """Sum up errors for a step; once, before its inputs are gathered."""
        for each in range(channel + 1):
            if (each, phase) not in self._sums:
                self._sums[each, phase] = self._activity(each, phase)

    def _activity(self, channel: int, phase: Phase) -> Values:
        height, width = self.shape(phase)
        rows, columns = ACTIVITY[phase]
        plane = self._wrong[channel].planes["a"]
        top, left = rows.start + _MARGIN, columns.start + _MARGIN
        sums: Values = np.zeros((height, plane.shape[1]), np.float32)
        for row in range(len(rows)):
            sums += plane[top + row : top + row + height]
        total: Values = np.zeros((height, width), np.float32)
        for column in range(len(columns)):
            total += sums[:, left + column : left + column + width]
        return total

    def here(self, channel: int, phase: Phase, rows: slice | None = None) -> Values:
        """Return the samples of a phase, or rows of it [h, w]; a view."""
        return self._known[channel].inside(phase)[slice(None) if rows is None else rows]

    def base(self, channel: int, phase: Phase, rows: slice) -> Values:
        """Return the mean of the nearest known samples, rounded down after adding a half [h, w]."""
        width = self.shape(phase)[1]
        first, *others = NEAREST[phase]
        known = self._known[channel]
        total: Values = known.part(phase, *first, rows, width).copy()
        for offset in others:
            total += known.part(phase, *offset, rows, width)
        total += 2
        total *= 0.25
        return np.floor(total, out=total)

    def gather(
        self,
        channel: int,
        phase: Phase,
        wanted: tuple[Input, ...],
        rows: slice,
        base: Values,
        out: Values,
    ) -> None:
        """Write the inputs of a step.

        Args:
            channel: that is predicted.
            phase: that is predicted.
            wanted: from inputs().
            rows: of the phase.
            base: from base(), for the same rows.
            out: [K, h, w].
        """
        width = base.shape[1]
        known, wrong = self._known, self._wrong
        here = [known[each].part(phase, 0, 0, rows, width) for each in range(channel)]
        for place, each in zip(out, wanted, strict=True):
            row, column = each.row, each.column
            if each.kind == "own":
                part = known[each.channel].part(phase, row, column, rows, width)
                np.subtract(part, base, out=place)
            elif each.kind in ("first", "second"):
                part = known[each.channel].part(phase, row, column, rows, width)
                np.subtract(part, here[each.channel], out=place)
            elif each.kind == "error":
                place[:] = wrong[each.channel].part(phase, row, column, rows, width)
            elif each.kind == "activity":
                place[:] = self._sums[each.channel, phase][rows]
            elif each.kind == "residual":
                place[:] = self._residual[each.channel, phase][rows]
            elif each.kind == "base":
                np.subtract(base, self._middle if channel == 0 else 0, out=place)
            elif each.kind == "level":
                np.subtract(here[0], self._middle, out=place)
            else:
                place[:] = here[1]
