"""The clip: what everything that reads one offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import TracebackType

from quantal.clips._properties import Frame, Properties
from quantal.clips._tracks import Chapter, Packet, Track

__all__ = ["Clip"]


class Clip(ABC):
    """Frames in the order of their times, read as they are asked for.

    A clip is an iterator of frames and a context manager that closes it.

    Attributes:
        properties: Size, times and colours.
        tracks: Sound, subtitles and attachments.
        chapters: Named parts.
        metadata: Tags of the whole clip, such as "title".
    """

    properties: Properties
    tracks: tuple[Track, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    metadata: Mapping[str, str] = {}

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """What was converted, dropped or lost so far, one sentence each."""

    @abstractmethod
    def __next__(self) -> Frame:
        """Return the next frame.

        Raises:
            MediaError: The clip can't be read on, for example because its size changes.
        """

    @abstractmethod
    def seek(self, time: int) -> None:
        """Move so that the next frame is the one that is shown at a time.

        Args:
            time: In ticks of `properties.time_base`. Before the beginning it is the first frame,
                behind the end the last.
        """

    @abstractmethod
    def packets(self, track: Track) -> Iterator[Packet]:
        """Yield the packets of one of the tracks, from the beginning, in order of decoding.

        The position among the frames does not change.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __iter__(self) -> Clip:
        return self

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
