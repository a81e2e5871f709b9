"""Positions of the groups of a clip, compactly: a file may announce millions of them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

__all__ = ["GroupInfo", "GroupTable"]


@dataclass(frozen=True)
class GroupInfo:
    """The position of a group in a file.

    Attributes:
        offset: Position of its chunk.
        frame: Number of its first frame.
        time: Time of its first frame in ticks.
        count: Number of its frames.
        bytes: Length of its chunk, if known.
    """

    offset: int
    frame: int
    time: int
    count: int
    bytes: int | None = None


class GroupTable(Sequence[GroupInfo]):
    """Positions of groups in the order of the file; each takes 40 bytes.

    Frames are numbered by adding up how many the groups hold.

    Attributes:
        frames: Number of frames of all groups.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._offsets, self._numbers, self._times = array("q"), array("q"), array("q")
        self._counts, self._bytes = array("q"), array("q")

    def append(self, offset: int, time: int, count: int, size: int | None = None) -> None:
        """Add a group behind the others; see GroupInfo. Numbers are below 2^63, `size` above 0."""
        self._offsets.append(offset)
        self._numbers.append(self.frames)
        self._times.append(time)
        self._counts.append(count)
        self._bytes.append(size or 0)
        self.frames += count

    def at_time(self, time: int) -> GroupInfo:
        """Return the group that is shown at a time in ticks; the first before the beginning."""
        return self[max(0, bisect_right(self._times, time) - 1)]

    def at_frame(self, number: int) -> GroupInfo:
        """Return the group that holds a frame, of 0..frames - 1."""
        return self[bisect_right(self._numbers, number) - 1]

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, place: int) -> GroupInfo: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[GroupInfo]: ...

    def __getitem__(self, place: int | slice) -> GroupInfo | Sequence[GroupInfo]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        return GroupInfo(
            self._offsets[place],
            self._numbers[place],
            self._times[place],
            self._counts[place],
            self._bytes[place] or None,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupTable):
            return NotImplemented
        return self.tells_as(other) and self._bytes == other._bytes

    __hash__ = None  # type: ignore[assignment]

    def tells_as(self, other: GroupTable) -> bool:
        """Whether places, times and frames are those of another table; sizes are not compared."""
        return (self._offsets, self._times, self._counts) == (
            other._offsets,
            other._times,
            other._counts,
        )
