"""The writer: what every format of clips offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import numpy as np

from quantal.arguments import typed, whole
from quantal.clips._properties import Frame, Properties
from quantal.clips._tracks import LONGEST, Chapter, Packet, Track, is_time
from quantal.errors import ArgumentError, OutputError

__all__ = ["Writer"]


class Writer(ABC):
    """Frames and packets on their way to a file; `write` opens one.

    Args:
        properties: Size, times and colours.

    Attributes:
        frames: Number of frames so far.
    """

    def __init__(self, properties: Properties) -> None:
        self.properties = properties
        self._check_time(properties.start)
        self.frames = 0
        self._notes: dict[str, None] = {}
        self._last: int | None = None
        self._steps = (1 << 62, 0)  # shortest and longest

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the format can't hold so far, one sentence each."""
        return tuple(self._notes)

    def write(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            ArgumentError: Its pixels have another size or type than announced, or its time is not
                later than that of the frame before.
            OutputError: The file can't be written.
        """
        typed("frame", frame, Frame)
        time = self._check_time(frame.time)
        pixels, size = frame.pixels, (self.properties.height, self.properties.width, 3)
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != size:
            found = (getattr(pixels, "dtype", type(pixels).__name__), getattr(pixels, "shape", ""))
            raise ArgumentError(f"pixels {found[0]} {found[1]} found, expected uint8 {size}")
        if self._last is not None and time <= self._last:
            raise ArgumentError(
                f"a frame at {time} follows one at {self._last}, expected a later time"
            )
        self._write(frame)
        self._last = time
        self.frames += 1

    def finish(self) -> None:
        """Write what is held back; `write` calls it when its block ends.

        Raises:
            OutputError: There was no frame.
        """
        if not self.frames:
            raise OutputError("a clip without frames can't be written; write at least one")
        self._finish()

    def describe(self, metadata: Mapping[str, str], chapters: tuple[Chapter, ...]) -> None:
        """Set tags and chapters, before the first frame."""
        if metadata or chapters:
            self._note("the format has no tags and chapters; they were left out")

    def add_track(self, track: Track, packets: Iterable[Packet] = ()) -> int | None:
        """Add sound, subtitles or an attachment, before the first frame.

        Args:
            track: What a clip's `tracks` describes.
            packets: Its packets in order of decoding, which are taken in step with the frames.

        Returns:
            A number for `write_packet`; None if the format can't hold the track, which is then
            left out and named in `warnings`.

        Raises:
            ArgumentError: Frames were written already.
        """
        self._note(f"the format holds no {track.kind}; it was left out")
        return None

    def write_packet(self, number: int, packet: Packet) -> None:
        """Add a packet of a track; it may be some seconds ahead of or behind the frames.

        Args:
            number: What `add_track` returned.
            packet: The packet, in ticks of its track.
        """
        raise ArgumentError(f"there is no track {number}")

    @abstractmethod
    def close(self) -> None:
        """Release the file, complete or not."""

    @abstractmethod
    def _write(self, frame: Frame) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    def _check_time(self, time: int) -> int:
        """Return a time in ticks; ArgumentError if it is none that files can hold."""
        found = whole("time", time)
        if not is_time(found * self.properties.time_base):
            raise ArgumentError(f"a frame at {found} ticks is beyond {LONGEST} seconds")
        return found

    def _note_times(self, frame: Frame) -> None:
        """Note that times are left out, if frames do not follow each other evenly."""
        if self._last is None:
            return
        step = frame.time - self._last
        self._steps = min(step, self._steps[0]), max(step, self._steps[1])
        if self._steps[1] - self._steps[0] > 1:  # one is rounding
            self._note("the format has no times of frames, which differ here; they were left out")

    def _note(self, sentence: str) -> None:
        self._notes[sentence] = None
