"""Clips in .qtl files: frames with times, seeking, and what lies beside the pictures."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from quantal import clips, container, media
from quantal.arguments import path, whole
from quantal.codecs.video_contract import Reference, VideoCodec
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
    TruncatedError,
)
from quantal.files.clip_beside import chapters_in, packet_in, track_in
from quantal.files.matching import describe_work, video_codec_for
from quantal.memory import memory_errors
from quantal.names import shown
from quantal.sources import Copied, Source

__all__ = ["StoredClip", "open_clip", "verify_clip"]

_FAR = 1 << 62  # ticks: no time is later
_LONGEST = (1 << 31) - 1  # seconds: no file of video holds later frames


def _opened(source: Source) -> tuple[IO[bytes], bool, bool]:
    """Open a file; return it, whether to close it, and whether its end is not there yet."""
    if isinstance(source, (str, os.PathLike)):
        name = path("clip", source)
        try:
            file: Any = open(name, "rb")  # noqa: SIM115 - the clip closes it
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{shown(name)} can't be read: {reason}") from error
        if Path(name).is_file():
            return file, True, False
        return Copied(file, own=True), True, True  # type: ignore[return-value]
    if callable(getattr(source, "read", None)):
        file = source
        try:
            seekable = file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")
        except ValueError as error:  # a closed file
            raise MediaError(f"the clip can't be read: {error}") from error
        return (file, False, False) if seekable else (Copied(file), True, True)  # type: ignore
    try:
        return io.BytesIO(memoryview(source).tobytes()), True, False  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError) as error:
        raise ArgumentError(
            f"{type(source).__name__} is not a .qtl file: give its bytes, its path, or the file "
            "open in binary mode"
        ) from error


class StoredClip(clips.Clip):
    """A clip in a .qtl file, whose frames are decoded as they are asked for.

    Opening needs no model. Of a cut file, what is whole is there, and `warnings` says so.

    Args:
        source: the file: its path, its bytes in any buffer, or the file open in binary mode, which
            stays open. From a pipe no more is read than is asked for.
        device: where networks run, "auto", "cpu" or "cuda".
        codec: default: the one that the file names.

    Raises:
        BitstreamError: If it is no .qtl file of a clip, or its beginning is damaged.
        MediaError: If it can't be read.

    Attributes:
        header: what the file says of the clip.
    """

    def __init__(
        self, source: Source, device: str = "auto", codec: VideoCodec | None = None
    ) -> None:
        self._file, self._own, self._live = _opened(source)
        try:
            self._open(device, codec)
        except BaseException:
            self.close()
            raise

    def _open(self, device: str, codec: VideoCodec | None) -> None:
        self._reader = container.ClipReader(self._file, self._live)
        header = self.header = self._reader.header
        if header.width * header.height > media.PIXEL_LIMIT:
            raise BitstreamError(
                f"the file says {header.width}x{header.height} pixels, expected at most "
                f"{media.PIXEL_LIMIT} in all; its header is wrong"
            )
        self._device, self._given = device, codec
        self._codec: VideoCodec | None = None
        self._notes: dict[str, None] = {}
        self._closed = False
        self.tracks = tuple(map(track_in, self._reader.tracks))
        self.chapters = chapters_in(self._reader.about)
        self.metadata = self._reader.about.metadata
        self.properties = self._describe()
        self._begin(self._reader.groups())

    def _describe(self) -> clips.Properties:
        header, index = self.header, self._reader.index
        first = next(self._reader.groups(), None) if not index else None
        start = index[0].time if index else 0 if first is None else first.time
        known = index is not None and self._reader.end is not None
        duration = (self._reader.end or 0) - start if known else None
        return clips.Properties(
            header.width,
            header.height,
            header.time_base,
            start=start,
            rate=header.frame_rate,
            duration=None if duration is None else duration * header.time_base,
            frames=index.frames if index else None,
            sample_aspect=header.sample_aspect,
            colour=clips.Colour(
                header.matrix, header.primaries, header.transfer, header.full_range
            ),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._notes)

    @property
    def n_frames(self) -> int:
        """Number of frames; without an index, the file is looked through."""
        self._check_open()
        return self._reader.known_groups().frames

    def __enter__(self) -> StoredClip:
        return self

    def __len__(self) -> int:
        return self.n_frames

    # Frames

    def _begin(self, groups: Iterator[container.Group]) -> None:
        """Go on with groups."""
        self._groups = map(self._checked, groups)
        self._group: container.Group | None = None
        self._place = self._time = 0
        #: Number of frames up to the end of the last group that was read.
        self._frames = 0
        self._reference: Reference | None = None

    def _checked(self, group: container.Group) -> container.Group:
        """Return a group; CorruptError if its times are none that files of video can hold."""
        if max(abs(group.time), abs(group.end)) * self.header.time_base > _LONGEST:
            raise CorruptError(
                f"a group from {group.time} to {group.end} ticks found, expected times within "
                f"{_LONGEST} seconds of zero; the file is damaged"
            )
        return group

    def __next__(self) -> clips.Frame:
        self._check_open()
        if self._group is None or self._place == self._group.count:
            self._group = self._next_group()
            if self._group is None:
                raise StopIteration
            self._place, self._time = 0, self._group.time
        time = self._time
        coded, reference = self._decode()
        with self._memory():
            return clips.Frame(time, reference.pixels(), coded.duration)

    def _next_group(self) -> container.Group | None:
        """Return the next group; None at the end, also of a cut file."""
        try:
            group = next(self._groups, None)
        except TruncatedError as error:
            if self._reader.end is not None:  # the index says that more was there
                raise CorruptError(f"the file is damaged: {error}") from error
            self._note(f"the file was cut: {self._frames} frames were read, the others are lost")
            return None
        if group is not None:
            self._frames = group.frame + group.count
        return group

    def _decode(self) -> tuple[container.CodedFrame, Reference]:
        """Decode the frame at the place in the group, without drawing it, and go on."""
        if self._group is None:
            raise ArgumentError("the clip stands at no frame; seek first")
        coded, header = self._group.frames[self._place], self.header
        with self._memory():
            if self._place == 0:
                found = self._loaded().decode_intra(
                    coded.payload, header.width, header.height, coded.rate
                )
            else:
                found = self._loaded().decode_predicted(coded.payload, self._reference, coded.rate)
        self._reference = found
        self._place += 1
        self._time += coded.duration
        return coded, found

    def _loaded(self) -> VideoCodec:
        if self._codec is None:
            self._codec = video_codec_for(self.header, self._device, self._given)
            for warning in self._codec.warnings:
                self._note(warning)
        return self._codec

    def _memory(self) -> Any:
        return memory_errors(f"drawing {describe_work(self.header.width, self.header.height)}")

    def _note(self, sentence: str) -> None:
        self._notes[sentence] = None

    # Seeking

    def seek(self, time: int) -> None:
        self._check_open()
        time = min(max(whole("time", time), -_FAR), _FAR)
        group = self._enter(self._reader.groups_at(time))
        at, place = group.time, 0
        while place < group.count - 1 and at + group.frames[place].duration <= time:
            at += group.frames[place].duration
            place += 1
        self._skip(place)

    def seek_frame(self, number: int) -> None:
        """Move so that the next frame is that of a number, from 0.

        Raises:
            ArgumentError: There is no such frame.
            BitstreamError: The group that holds it is damaged.
        """
        self._check_open()
        number = whole("number", number)
        group = self._enter(self._reader.groups_at_frame(number))
        self._skip(number - group.frame)

    def _enter(self, groups: Iterator[container.Group]) -> container.Group:
        """Go on from the first of the groups, and return it."""
        if self._reader.misled:
            self._note("the index of the file is wrong; the file was looked through")
        self._begin(groups)
        group = self._group = next(self._groups)
        self._place, self._time, self._frames = 0, group.time, group.frame + group.count
        return group

    def _skip(self, count: int) -> None:
        """Decode the first frames of the group without drawing them."""
        for _ in range(count):
            self._decode()

    # Packets

    def packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        self._check_open()
        if track not in self.tracks:
            raise ArgumentError(f"the clip has no such track: {track.codec}")
        return self._packets(track)

    def _packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        try:
            yield from map(packet_in, self._reader.packets(track.number))
        except TruncatedError as error:
            if self._reader.end is not None:
                raise CorruptError(f"the file is damaged: {error}") from error
            self._note(f"the file was cut: {track.kind} ends with what was read")

    # Its end

    def verify(self, deep: bool) -> container.ClipInfo:
        """Read the whole file; see verify_clip()."""
        codec = self._loaded() if deep else None
        for group in map(self._checked, self._reader.groups()):
            if codec is not None:
                self._parse(codec, group)
        for _, packets in self._reader.all_packets():
            for _ in packets:
                pass
        return self._reader.check_index()

    def _parse(self, codec: VideoCodec, group: container.Group) -> None:
        header, symbols = self.header, None
        with self._memory():
            for place, frame in enumerate(group.frames):
                if place == 0:
                    symbols = codec.parse_intra(
                        frame.payload, header.width, header.height, frame.rate
                    )
                else:
                    symbols = codec.parse_predicted(frame.payload, symbols, frame.rate)

    def _check_open(self) -> None:
        if self._closed:
            raise ArgumentError("the clip is closed; open it again")

    def close(self) -> None:
        self._closed = True
        if self._own:
            self._file.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def open_clip(
    source: Source, *, device: str = "auto", codec: VideoCodec | None = None
) -> StoredClip:
    """Open the clip in a .qtl file: an iterator of frames with times, which can seek.

    No model is loaded before the first frame is asked for, and memory does not depend on the length
    of the clip.

    Args:
        source: the path of the file, its bytes in any buffer, or the file open in binary mode,
            which stays open. From a pipe no more is read than is asked for.
        device: "auto", "cpu" or "cuda".
        codec: default: the one that the file names, with the weights that ship.

    Raises:
        BitstreamError: If it is no .qtl file of a clip, or its beginning is damaged.
        MediaError: If the file can't be read.
    """
    return StoredClip(source, device, codec)


def verify_clip(
    source: Source, *, deep: bool = True, codec: VideoCodec | None = None
) -> container.ClipInfo:
    """Check structure, checksums, the index and, if `deep`, that every symbol parses.

    Args:
        source: see open_clip().
        deep: whether to parse symbols, which needs the codec.
        codec: parses; default: the one that the file names.

    Raises:
        BitstreamError: If the file is damaged or was cut.
        ModelError: If its codec isn't here.
    """
    with StoredClip(source, "cpu", codec) as clip:
        return clip.verify(deep)
