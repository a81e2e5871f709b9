"""Reading of clips from files of video."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

from av import VideoFrame

from quantal.arguments import whole
from quantal.clips._clip import Clip
from quantal.clips._container import FAILURES, open_input, reading_errors
from quantal.clips._convert import Converter
from quantal.clips._decoder import Decoder, Loss, demuxed
from quantal.clips._notes import notes_of_frame, notes_of_loss, notes_of_streams
from quantal.clips._properties import Frame, check_frames
from quantal.clips._source import Readable, Source
from quantal.clips._stream import pictures_of, properties_of, turn_of_frame
from quantal.clips._tracks import (
    TRACK_KINDS,
    Packet,
    Track,
    chapters_of,
    content_of,
    describe,
    packet_of,
)
from quantal.errors import ArgumentError, MediaError

__all__ = ["read"]

_FAR = 1 << 62  # ticks: no time is later
_FURTHER = (0, 1, 4, 16)  # seconds to begin earlier where a seek lands too late


def read(source: Readable) -> Clip:
    """Open a clip: MP4, MOV, Matroska, WebM, AVI, Y4M, GIF, and what else PyAV reads.

    Nothing but the first frame is decoded. Memory does not depend on the length of the clip.

    Args:
        source: A path, the bytes of a file, or a file open in binary mode, which stays open. What
            is not seekable, such as a pipe, is copied to a temporary file.

    Raises:
        MediaError: The source holds no clip that can be read, or its frames are too large.
        ArgumentError: The source is none of these.
    """
    opened = Source(source)
    try:
        return _VideoClip(opened)
    except BaseException:
        opened.close()
        raise


class _VideoClip(Clip):
    """A clip that PyAV decodes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loss = Loss()
        self._converter = Converter()
        self._container = open_input(source)
        self._closed = False
        try:
            with reading_errors(source):
                self._stream = pictures_of(self._container, source)
                self._decode()
                self._describe()
        except BaseException:
            self._container.close()
            raise

    # What it is

    def _describe(self) -> None:
        first = next(self._decoder, None)
        if first is None:
            raise MediaError(
                f"{self._source.name} has no frame that can be decoded; {self._what_is_lost()}"
            )
        self._queue.append(first)
        self._form = first.width, first.height
        check_frames(*self._form, self._source.name)
        self._turn = turn_of_frame(first)
        self.properties = properties_of(self._container, self._stream, first, self._turn)
        others = [s for s in self._container.streams if s.type in TRACK_KINDS]
        found = {stream.index: describe(stream) for stream in others}
        self.tracks = tuple(track for track in found.values() if track is not None)
        self.chapters = tuple(chapters_of(self._container))
        self.metadata = content_of(self._container.metadata)
        left = [stream for stream in others if found[stream.index] is None]
        self._notes = [
            *notes_of_frame(first, self.properties, self._turn),
            *notes_of_streams(self._container, self._stream, left),
        ]

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self._notes, *notes_of_loss(self._loss))

    def _what_is_lost(self) -> str:
        lost = notes_of_loss(self._loss)
        return "; ".join(lost) if lost else "the file holds none"

    # Frames

    def _decode(self, began: bool = True) -> None:
        """Begin to decode where the container stands.

        Args:
            began: Whether that is at its beginning.
        """
        self._began = began
        self._decoder = Decoder(self._container, self._stream, self._source, self._loss)
        self._queue: deque[VideoFrame] = deque()
        self._last: int | None = None

    def __next__(self) -> Frame:
        self._check_open()
        with reading_errors(self._source):
            raw = self._raw()
            if raw is None:
                self._check_end()
                raise StopIteration
            time = self._time_of(raw)
            if (raw.width, raw.height) != self._form:
                raise MediaError(
                    f"{self._source.name} changes from {self._form[0]}x{self._form[1]} to "
                    f"{raw.width}x{raw.height} pixels at {float(time * self._tick):.3f} s, "
                    "expected one size; cut the clip there"
                )
            if raw.is_corrupt:
                self._loss.damaged.add(time)
            if raw.pts is not None and raw.pts < time:
                self._loss.moved.add(time)
            self._last = time
            pixels = self._turn.apply(self._converter.to_rgb(raw))
            return Frame(time, pixels, self._duration_of(raw), bool(raw.is_corrupt))

    def _raw(self) -> VideoFrame | None:
        """Return the next frame as it was decoded."""
        return self._queue.popleft() if self._queue else next(self._decoder, None)

    def _duration_of(self, raw: VideoFrame) -> int:
        """Return how long the frame that was returned last is shown, in ticks.

        What files say of frames is not asked: MP4 has the steps between times of decoding.
        """
        following = self._raw()
        if following is None:
            return int(getattr(raw, "duration", 0)) or self._step
        self._queue.appendleft(following)
        return self._time_of(following) - (self._last or 0)

    @property
    def _tick(self) -> Fraction:
        return self.properties.time_base

    @property
    def _step(self) -> int:
        """Ticks from one frame to the next on average."""
        rate = self.properties.rate or 25
        return max(1, round(1 / (rate * self._tick)))

    def _time_of(self, raw: VideoFrame) -> int:
        """Return the time of a frame, behind that of the frame before."""
        if raw.pts is None:
            return 0 if self._last is None else self._last + self._step
        return raw.pts if self._last is None else max(raw.pts, self._last + 1)

    def _check_end(self) -> None:
        """Find out whether the file ended before what it announces."""
        entries = len(getattr(self._stream, "index_entries", ()))
        if self._began and self._decoder.packets < entries:
            self._loss.cut = True
        announced = self.properties.duration
        if announced is None or self._last is None or "mp4" in self._container.format.name:
            return  # the duration of MP4 includes what its edit list leaves out
        begin = (self._stream.start_time or 0) * self._tick
        if (self._last + 2 * self._step) * self._tick - begin < announced - Fraction(1, 10):
            self._loss.cut = True

    # Seeking

    def seek(self, time: int) -> None:
        self._check_open()
        time = min(max(whole("time", time), -_FAR), _FAR)
        with reading_errors(self._source):
            begin = self._stream.start_time or 0
            for seconds in _FURTHER:
                target = time - round(seconds / self._tick)
                if target <= begin or not self._jump(target):
                    break
                if self._advance(time):
                    return
            container = open_input(self._source)
            self._container.close()
            self._container = container
            self._stream = pictures_of(container, self._source)
            self._decode()
            self._advance(time)

    def _jump(self, time: int) -> bool:
        """Move to a key packet, or near one, no later than a time; False if that fails."""
        try:
            self._container.seek(time, stream=self._stream)
        except FAILURES:
            return False
        self._decode(began=False)
        return True

    def _advance(self, time: int) -> bool:
        """Decode up to the frame that is shown at a time and put it back.

        Returns:
            Whether that frame is what reading from the beginning would give. It is if decoding
            began at a key frame before it: frames that are shown before that key frame may refer
            to what was skipped.
        """
        shown: VideoFrame | None = None
        known = set(self._loss.packets)
        for raw in self._decoder:
            raw.pts = at = self._time_of(raw)
            self._last = at
            if not self._began and (self._decoder.key is None or at < self._decoder.key):
                continue
            if at > time:
                self._queue.append(raw)
                break
            shown = raw
        self._loss.packets = known  # what is lost before the frame is not asked for
        self._last = None
        if shown is not None:
            self._queue.appendleft(shown)
            return not shown.is_corrupt
        return False

    # Packets

    def packets(self, track: Track) -> Iterator[Packet]:
        self._check_open()
        if track not in self.tracks:
            raise ArgumentError(f"{self._source.name} has no such track: {track.codec}")
        return self._packets(track)

    def _packets(self, track: Track) -> Iterator[Packet]:
        if track.kind == "attachment":
            return
        with reading_errors(self._source), open_input(self._source) as container:
            stream = container.streams[track.number]
            for other in container.streams:
                with suppress(AttributeError, *FAILURES):  # saves reading
                    other.discard = "default" if other is stream else "all"  # type: ignore[assignment]
            for packet in demuxed(container, stream, self._source, self._loss):
                if packet.size:
                    yield packet_of(packet)

    # Its end

    def _check_open(self) -> None:
        if self._closed:
            raise ArgumentError("the clip is closed; open it again")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._queue.clear()
            self._container.close()
            self._source.close()
