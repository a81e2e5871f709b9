"""Clips as files of an encoder and a container of PyAV, with their tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av import VideoFrame

from quantal.clips._container import FAILURES
from quantal.clips._encoders import X264, Encoder, Kind
from quantal.clips._properties import Frame, Properties
from quantal.clips._tracks import LONGEST, Chapter, Packet, Track, is_time, open_parameters, plain
from quantal.clips._writer import Writer
from quantal.errors import ArgumentError, OutputError
from quantal.memory import is_out_of_memory, memory_errors
from quantal.names import shown

__all__ = ["MuxedWriter"]

_MICROSECOND = Fraction(1, 1_000_000)
_LARGEST_BASE = (1 << 31) - 1  # of either number of a time base


class MuxedWriter(Writer):
    """A file of one video stream and carried tracks.

    Args:
        path: The file, which is created.
        name: What messages call it.
        properties: Size, time base, rate, aspect and colours.
        options: Options of the encoder, and "pix_fmt".
        kind: The format.

    Raises:
        ArgumentError: The encoder has no such pixel format.
        OutputError: The file can't be created, or PyAV lacks the encoder.
    """

    def __init__(
        self, path: Path, name: str, properties: Properties, options: Mapping[str, str], kind: Kind
    ) -> None:
        super().__init__(properties)
        self._name, self._kind = name, kind
        self._tracks: dict[int, tuple[Any, Track]] = {}
        self._feeds: list[_Feed] = []
        self._started = self._finished = False
        self._held: tuple[VideoFrame, int | None] | None = None
        self._step = max(1, round(1 / ((properties.rate or 25) * properties.time_base)))
        with self._errors():
            self._container = av.open(f"file:{path.absolute()}", "w", format=kind.container)
            self._encoder = Encoder(self._container, properties, options, kind)
        for note in self._encoder.notes:
            self._note(note)
        # Files begin at zero: what is earlier would be lost.
        self._shift = max(-properties.start * properties.time_base, Fraction(0))
        if self._shift and kind.timed:
            self._note(f"everything was moved by {float(self._shift):.3f} s, to begin at zero")

    # What lies beside

    def describe(self, metadata: Mapping[str, str], chapters: tuple[Chapter, ...]) -> None:
        if not self._kind.timed:
            super().describe(metadata, chapters)
            return
        self._container.metadata.update(plain(metadata))
        possible = [c for c in chapters if 0 <= c.start <= c.end <= LONGEST]
        if len(possible) < len(chapters):
            self._note("chapters at impossible times were left out")
        if possible:
            self._container.set_chapters(
                [
                    {
                        "id": number,
                        "start": round(chapter.start / _MICROSECOND),
                        "end": round(chapter.end / _MICROSECOND),
                        "time_base": _MICROSECOND,
                        "metadata": plain(chapter.metadata),
                    }
                    for number, chapter in enumerate(possible)
                ]
            )

    def add_track(self, track: Track, packets: Iterable[Packet] = ()) -> int | None:
        if self._started:
            raise ArgumentError("tracks are added before the first frame")
        if not self._kind.timed:
            return super().add_track(track)
        try:
            stream = self._new_stream(track)
        except FAILURES:
            self._note(f"{self._kind.container} can't hold {track.codec}; it was left out")
            return None
        stream.metadata.update(plain(track.metadata))
        with suppress(AttributeError, OverflowError, *FAILURES):
            stream.disposition = track.disposition
        number = int(stream.index)
        self._tracks[number] = stream, track
        if track.kind != "attachment":
            self._feeds.append(_Feed(number, track, iter(packets)))
        return number

    def _new_stream(self, track: Track) -> Any:
        if track.kind == "attachment":
            if self._kind.container != "matroska":
                raise ValueError
            name = plain(track.metadata).get("filename", f"attachment {track.number}")
            kind = "".join(plain({track.codec: ""}))
            return self._container.add_attachment(name, kind, track.parameters)
        if max(track.time_base.as_integer_ratio()) > _LARGEST_BASE:
            raise ValueError
        with open_parameters(track.parameters) as found:
            stream = self._container.add_stream_from_template(found.streams[0], opaque=True)
        stream.time_base = track.time_base
        return stream

    def write_packet(self, number: int, packet: Packet) -> None:
        if number not in self._tracks:
            super().write_packet(number, packet)
        stream, track = self._tracks[number]
        self._start()
        times = [t for t in (packet.time, packet.decode_time, packet.duration) if t is not None]
        if packet.time is None or not all(is_time(t * track.time_base) for t in times):
            self._note(f"packets of {track.codec} without a possible time were left out")
            return
        found: Any = av.Packet(packet.data)
        found.time_base, found.stream = track.time_base, stream
        moved = round(self._shift / track.time_base)
        found.pts = packet.time + moved
        found.dts = found.pts if packet.decode_time is None else packet.decode_time + moved
        found.duration, found.is_keyframe = max(packet.duration, 0), packet.key
        with self._errors():
            try:
                self._container.mux(found)
            except av.error.ArgumentError:
                self._note(f"packets of {track.codec} whose times do not rise were left out")

    # Pictures

    def _start(self) -> None:
        """Write the header, once tracks are known."""
        if self._started:
            return
        self._started = True
        with self._errors():
            self._container.start_encoding()
        self._encoder.check_options()

    def _write(self, frame: Frame) -> None:
        self._start()
        for feed in self._feeds:
            for packet in feed.until(frame.time * self.properties.time_base):
                self.write_packet(feed.number, packet)
        with self._errors(), memory_errors(f"writing {shown(self._name)}"):
            following = self._encoder.frame(frame.pixels, self._time_of(frame))
            if self._last is not None:
                self._step = frame.time - self._last
                self._check_step()
            self._encode(self._step)
            self._held = following, frame.duration

    def _encode(self, duration: int) -> None:
        """Code the frame that is held back until its duration is known."""
        if self._held is not None:
            self._container.mux(self._encoder.encode(self._held[0], duration))

    def _check_step(self) -> None:
        """Raise OutputError where MP4, whose steps have 32 bits, would write another one."""
        seconds = self._step * self.properties.time_base
        if self._kind.container == X264.container and seconds / self._encoder.tick >= 1 << 31:
            raise OutputError(
                f"{shown(self._name)} can't hold a frame that is shown for {float(seconds):.0f} s; "
                "repeat it, or use a longer time base"
            )

    def _time_of(self, frame: Frame) -> int:
        """Return a frame's time in the file, in ticks; its number for formats without times."""
        if not self._kind.timed:
            self._note_times(frame)
            return self.frames
        base = self.properties.time_base
        time = frame.time + round(self._shift / base)
        if time < 0:
            raise ArgumentError(
                f"a frame at {frame.time} is before the announced start, {self.properties.start}"
            )
        if self._kind.tick and (time * base / self._kind.tick).denominator != 1:
            self._note("Matroska counts times in milliseconds; they were rounded to those")
        return time

    # Its end

    def _finish(self) -> None:
        with self._errors():
            duration = (self._held and self._held[1]) or self._step
            possible = is_time(duration * self.properties.time_base)
            self._encode(duration if possible else self._step)
            self._container.mux(self._encoder.flush())
            for feed in self._feeds:
                for packet in feed.until(None):
                    self.write_packet(feed.number, packet)
            self._container.close()
        self._finished = True

    def close(self) -> None:
        if not self._finished:
            with suppress(*FAILURES):
                self._container.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert what PyAV raises while it writes to OutputError."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            if is_out_of_memory(error):
                raise
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{shown(self._name)} can't be written: {reason}; make room, or choose other "
                "options or another format"
            ) from error


class _Feed:
    """Packets of a track, taken in step with the frames."""

    def __init__(self, number: int, track: Track, packets: Iterator[Packet]) -> None:
        self.number = number
        self._track, self._packets = track, packets
        self._next: Packet | None = None

    def until(self, time: Fraction | None) -> Iterator[Packet]:
        """Yield those that begin up to a time in seconds; all that are left if None."""
        while True:
            packet = self._next if self._next is not None else next(self._packets, None)
            self._next = packet
            if packet is None:
                return
            begin = packet.time if packet.decode_time is None else packet.decode_time
            if time is not None and begin is not None and begin * self._track.time_base > time:
                return
            self._next = None
            yield packet
