"""Writing and reading of a walk: sections, each a stream of its own.

A section ends behind the step that makes it hold 2^20 samples, so that neither side keeps more than
that. It is stored last byte first, and behind its length: what is read first comes first, and the
first bytes of a picture are a coarser picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.refit import Changes, Sample, fit, put_changes, take_changes
from quantal.codecs.lossless.residuals import (
    RAW_TABLES,
    Predicted,
    join,
    raw_runs,
    split,
    table_costs,
)
from quantal.codecs.lossless.step import Step
from quantal.codecs.lossless.walk import Layout
from quantal.entropy.coder import Decoder, Encoder
from quantal.entropy.lengths import put_length, take_length
from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError, TruncatedError

__all__ = ["Reading", "Writing"]

#: Samples after which a section ends.
_SECTION = 1 << 20
#: Estimates give all symbols beyond this magnitude the same cost.
_REACH = 600

Integers = npt.NDArray[np.int32]


def _table(bits: int, count: int) -> npt.NDArray[np.uint8]:
    return np.full(count, bits - 1, np.uint8)


def _corner_runs(layout: Layout) -> list[tuple[int, int, int]]:
    """Return channel, shift and width of the runs of bits that corners are coded in."""
    found = []
    for channel, kind in enumerate(layout.channels):
        bits = layout.depth + (kind > 0)
        found += [(channel, shift, min(8, bits - shift)) for shift in range(0, bits, 8)]
    return found


def _corner_offsets(layout: Layout) -> npt.NDArray[np.int64]:
    """Return what makes corners positive, by channel [C, 1, 1]."""
    most = (1 << layout.depth) - 1
    return np.array([most if kind else 0 for kind in layout.channels], np.int64)[:, None, None]


class Writing:
    """Write samples; a Coding.

    Args:
        planes: all samples [C, H, W].
        layout: theirs.
        fitted: whether means are fitted to the picture.
    """

    def __init__(self, planes: npt.NDArray[Any], layout: Layout, fitted: bool = True) -> None:
        self._planes, self._layout, self._fitted = planes, layout, fitted
        self._encoder, self._count = Encoder(), 0
        self._sections: list[bytes] = []
        self._costs: dict[int, npt.NDArray[np.float32]] = {}

    def corners(self, samples: npt.NDArray[Any]) -> None:
        """Write the samples that all levels start from."""
        stride = 1 << self._layout.levels
        samples[:] = self._planes[:, ::stride, ::stride]
        positive = samples + _corner_offsets(self._layout)
        for channel, shift, width in _corner_runs(self._layout):
            run = (positive[channel].reshape(-1) >> shift) & ((1 << width) - 1)
            self._encoder.put(run.astype(np.int32), _table(width, run.size), RAW_TABLES)

    def changes(self, step: Step, count: int) -> Changes | None:
        """Fit a step's means to the picture, and write what changes."""
        found = self._fit(step, count) if self._fitted else None
        put_changes(found, step.network, step.change_tables, self._encoder)
        return found

    def _fit(self, step: Step, count: int) -> Changes | None:
        costs = self._costs_of(step.tables)

        def cost(
            sample: Sample, mean: npt.NDArray[Any], scale: npt.NDArray[np.uint8]
        ) -> npt.NDArray[np.float32]:
            by = step.coded(sample.base, sample.first, mean, scale)
            symbols, _ = split(sample.true, by)
            places = np.clip(symbols, -_REACH, _REACH) + _REACH
            found: npt.NDArray[np.float32] = costs[by.table, places]
            return found if by.raw is None else found + by.raw

        equations = step.equations(self._planes[step.place])
        return fit(equations, step.network, step.extra, count, cost)

    def _costs_of(self, tables: TableSet) -> npt.NDArray[np.float32]:
        if id(tables) not in self._costs:
            self._costs[id(tables)] = table_costs(tables, _REACH)
        return self._costs[id(tables)]

    def residuals(self, step: Step, by: Predicted, coded: npt.NDArray[np.bool_] | None) -> Integers:
        """Write the samples of a step."""
        samples = self._planes[step.place].reshape(-1).astype(np.int32)
        if coded is not None:
            samples = samples[coded]
        symbols, low = split(samples, by)
        self._encoder.put(symbols, by.table, step.tables)
        if by.raw is not None and low is not None:
            for there, shift, widths in raw_runs(by.raw):
                run = (low[there] >> shift) & ((1 << widths) - 1)
                self._encoder.put(run, (widths - 1).astype(np.uint8), RAW_TABLES)
        self._count += len(samples)
        if self._count >= _SECTION:
            self._end_section()
        return samples

    def complete(self, level: int) -> None:
        """Note that a level is complete."""
        if level == 0 and self._count:
            self._end_section()

    def _end_section(self) -> None:
        self._sections.append(self._encoder.finish()[::-1])
        self._count = 0

    def finish(self) -> bytes:
        """Return all sections."""
        if self._count or not self._sections:
            self._end_section()
        return b"".join(put_length(len(part)) + part for part in self._sections)


class Reading:
    """Read samples; a Coding.

    Args:
        data: the sections, or the first bytes of them.
        missing: how many bytes are missing behind these.
        layout: of the samples.
    """

    def __init__(self, data: bytes, missing: int, layout: Layout) -> None:
        self._data, self._missing, self._layout = data, missing, layout
        self._place, self._count = 0, 0
        self._decoder: Decoder | None = None
        self.levels = 0

    def _stream(self) -> Decoder:
        """Return the decoder of the present section."""
        if self._decoder is None:
            length, self._place = take_length(self._data, self._place, "a section")
            part = self._data[self._place : self._place + length]
            lacking = length - len(part)
            if lacking and not self._missing:
                raise TruncatedError(
                    f"a section of {length} bytes ends after {len(part)}: the image part was cut"
                )
            self._place += length
            self._decoder = Decoder(part[::-1], lacking)
        return self._decoder

    def corners(self, samples: npt.NDArray[Any]) -> None:
        """Read the samples that all levels start from."""
        positive = np.zeros(samples.shape, np.int64)
        for channel, shift, width in _corner_runs(self._layout):
            run = self._stream().take(_table(width, positive[channel].size), RAW_TABLES)
            positive[channel] |= run.reshape(positive[channel].shape).astype(np.int64) << shift
        found = positive - _corner_offsets(self._layout)
        for channel in range(len(samples)):
            self._check(found[channel], channel)
        samples[:] = found

    def changes(self, step: Step, count: int) -> Changes | None:
        """Read what a step does otherwise than its network."""
        return take_changes(step.network, step.change_tables, self._stream())

    def residuals(self, step: Step, by: Predicted, coded: npt.NDArray[np.bool_] | None) -> Integers:
        """Read the samples of a step."""
        symbols = self._stream().take(by.table, step.tables)
        low = None
        if by.raw is not None:
            low = np.zeros(len(symbols), np.int32)
            for there, shift, widths in raw_runs(by.raw):
                run = self._stream().take((widths - 1).astype(np.uint8), RAW_TABLES)
                low[there] |= run << shift
        # Beyond this, symbols are damaged whatever they stand for; sums of them might overflow.
        limit = 2 << self._layout.depth
        if len(symbols) and not -limit <= int(symbols.min()) <= int(symbols.max()) <= limit:
            raise _beyond(int(symbols.min()), int(symbols.max()))
        samples = join(symbols, low, by)
        self._check(samples, step.place[0])
        self._count += len(samples)
        if self._count >= _SECTION:
            self._end_section()
        return samples

    def _check(self, samples: npt.NDArray[Any], channel: int) -> None:
        """Raise CorruptError unless all samples are within the range of a channel."""
        most = (1 << self._layout.depth) - 1
        least = -most if self._layout.channels[channel] else 0
        if samples.size and not least <= int(samples.min()) <= int(samples.max()) <= most:
            raise _beyond(int(samples.min()), int(samples.max()))

    def complete(self, level: int) -> None:
        """Note that a level is complete."""
        self.levels += 1

    def _end_section(self) -> None:
        self._stream().finish()
        self._decoder, self._count = None, 0

    def finish(self) -> None:
        """Check that exactly everything was read.

        Raises:
            BitstreamError: If not.
        """
        if self._decoder is not None:
            self._end_section()
        if self._place != len(self._data):
            raise CorruptError(
                f"the image part has {len(self._data)} bytes, and the picture ends after "
                f"{self._place}: it is damaged"
            )


def _beyond(least: int, most: int) -> CorruptError:
    return CorruptError(
        f"samples of {least}..{most} found, more than the picture's depth holds: the image part "
        "is damaged"
    )
