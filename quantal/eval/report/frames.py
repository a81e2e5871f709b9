"""Clips frame by frame: what every codec spent and reached at about equal bytes, as measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantal.eval.rd import RDResult
from quantal.eval.report.digest import Digest
from quantal.eval.rows import Row

__all__ = ["FrameLine", "frame_lines"]

#: Digits of values in a page.
_DIGITS = 4


@dataclass(frozen=True)
class FrameLine:
    """A codec on a clip.

    Attributes:
        codec: Label of the codec.
        quality: Its quality.
        bytes: Bytes of all frames.
        series: "bytes" or a metric -> values of the frames [T]; None where undefined or infinite.
    """

    codec: str
    quality: float
    bytes: int
    series: Mapping[str, tuple[float | None, ...]]


def frame_lines(result: RDResult, summed: Digest) -> dict[str, tuple[FrameLine, ...]]:
    """Return clip -> the measurement of each codec that is nearest in bytes to the anchor's.

    The anchor's is the one in the middle of its qualities.
    """
    found: dict[str, tuple[FrameLine, ...]] = {}
    for clip in summed.pictures:
        rows = [row for row in result.rows if row.picture == clip and row.bytes and row.series]
        anchor = sorted(row.bytes or 0 for row in rows if row.codec == summed.picture_anchor)
        if anchor:
            target = anchor[len(anchor) // 2]
            codecs = dict.fromkeys(row.codec for row in rows)
            found[clip] = tuple(_line(_nearest(rows, codec, target)) for codec in codecs)
    return found


def _nearest(rows: Sequence[Row], codec: str, target: int) -> Row:
    own = [row for row in rows if row.codec == codec]
    return min(own, key=lambda row: abs(math.log((row.bytes or 1) / target)))


def _line(row: Row) -> FrameLine:
    series = {
        name: tuple(
            round(value, _DIGITS) if value is not None and math.isfinite(value) else None
            for value in values
        )
        for name, values in (row.series or {}).items()
    }
    return FrameLine(row.codec, row.quality, row.bytes or 0, series)
