"""One walk through the samples of a picture; a Coding decides what happens to them.

Levels go from coarse to fine, windows from the top left down, and within a window each step adds a
phase of a channel. Writing and reading go the same way and fill in the same arrays, so they can't
drift apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.lattice import Lattice
from quantal.codecs.lossless.model import LosslessModel
from quantal.codecs.lossless.neighbourhood import ORIGIN, PHASES, Phase
from quantal.codecs.lossless.refit import WORTHWHILE, Changes
from quantal.codecs.lossless.residuals import Predicted
from quantal.codecs.lossless.step import Step
from quantal.threads import one_blas_thread

__all__ = ["Coding", "Known", "Layout", "walk"]

#: Where samples are known, bool [H, W]; None: nowhere.
Known = npt.NDArray[np.bool_] | None

#: Pixels along a side of the windows that are coded one by one.
WINDOW = 2048


@dataclass(frozen=True)
class Layout:
    """What is coded.

    Attributes:
        height: rows of samples.
        width: columns of samples.
        channels: the kind of each, 0..2; those of kind 0 depend on none before them.
        depth: bits of samples, 8..16.
    """

    height: int
    width: int
    channels: tuple[int, ...]
    depth: int

    @property
    def levels(self) -> int:
        """After how many levels one sample is left of a window."""
        return (min(max(self.height, self.width), WINDOW) - 1).bit_length()

    @property
    def samples(self) -> int:
        """How many samples there are in all channels."""
        return self.height * self.width * len(self.channels)

    def windows(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of the windows."""
        for top in range(0, self.height, WINDOW):
            for left in range(0, self.width, WINDOW):
                bottom, right = min(top + WINDOW, self.height), min(left + WINDOW, self.width)
                yield slice(top, bottom), slice(left, right)

    def lattices(self) -> list[tuple[int, ...]]:
        """Return the channels that are predicted together: each of kind 0 with those behind it."""
        starts = [n for n, kind in enumerate(self.channels) if kind == 0]
        ends = [*starts[1:], len(self.channels)]
        return [tuple(range(a, b)) for a, b in zip(starts, ends, strict=True)]


class Coding(Protocol):
    """What happens to samples on a walk."""

    def corners(self, samples: npt.NDArray[Any]) -> None:
        """Code the samples [C, h, w] that all levels start from, in place."""
        ...

    def changes(self, step: Step, count: int) -> Changes | None:
        """Code what a step of `count` coded samples does otherwise than its network."""
        ...

    def residuals(
        self, step: Step, by: Predicted, coded: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[np.int32]:
        """Code the samples of a step.

        Args:
            step: which.
            by: their predictions [n].
            coded: which of all samples of the step these are, bool [h * w]; None: all.

        Returns:
            The coded samples, int32 [n].
        """
        ...

    def complete(self, level: int) -> None:
        """Note that a level of all windows is complete."""
        ...


def walk(
    model: LosslessModel,
    layout: Layout,
    samples: npt.NDArray[Any],
    known: Sequence[Known],
    coding: Coding,
    last: int = 0,
) -> None:
    """Go through the samples of a picture.

    Args:
        model: predicts them.
        layout: of the picture.
        samples: integers [C, H, W]; filled in.
        known: for each channel where its samples are there already, bool [H, W]; None: nowhere.
        coding: what to do with them.
        last: the last level to go through; 0 is the finest.
    """
    errors = np.zeros_like(samples)
    top = layout.levels
    coding.corners(samples[:, :: 1 << top, :: 1 << top])
    coding.complete(top)
    with one_blas_thread():
        for level in range(top - 1, last - 1, -1):
            stride = 1 << level
            for rows, columns in layout.windows():
                window = (
                    slice(rows.start, rows.stop, stride),
                    slice(columns.start, columns.stop, stride),
                )
                for channels in layout.lattices():
                    part = (slice(channels[0], channels[-1] + 1), *window)
                    lattice = Lattice(samples[part], errors[part], 1 << (layout.depth - 1))
                    for channel, place in enumerate(channels):
                        for phase in PHASES:
                            if min(lattice.shape(phase)):
                                step = Step(
                                    model.steps[min(level, 2), channel, phase],
                                    model.tables[channel],
                                    model.changes,
                                    lattice,
                                    channel,
                                    phase,
                                    (place, *_places(window, phase)),
                                    layout.depth,
                                )
                                _take(step, samples, known[place], coding)
            coding.complete(level)


def _places(window: tuple[slice, slice], phase: Phase) -> tuple[slice, slice]:
    """Return rows and columns of a phase of a window."""
    rows, columns = (
        slice(axis.start + offset * axis.step, axis.stop, 2 * axis.step)
        for axis, offset in zip(window, ORIGIN[phase], strict=True)
    )
    return rows, columns


def _take(
    step: Step,
    samples: npt.NDArray[Any],
    known: Known,
    coding: Coding,
) -> None:
    """Go through one step."""
    own = samples[step.place]
    coded = None
    if known is not None and (there := known[step.place[1:]]).any():
        if there.all():
            step.lattice.put(step.channel, step.phase, own, np.zeros_like(own))
            return
        coded = ~there.reshape(-1)
    count = step.count if coded is None else int(coded.sum())
    changes = coding.changes(step, count) if count >= WORTHWHILE else None
    by = step.predict(changes)
    if coded is None:
        found = coding.residuals(step, by, None).reshape(step.shape)
    else:
        found = own.astype(np.int32).reshape(-1)
        found[coded] = coding.residuals(step, by.of(coded), coded)
        found = found.reshape(step.shape)
    step.lattice.put(step.channel, step.phase, found, found - by.whole.reshape(step.shape))
