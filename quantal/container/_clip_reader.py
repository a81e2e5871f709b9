"""Reading of clips: groups and packets in the order of the file, or from an index."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, TypeVar

from quantal.container._chunks import (
    CHECKSUM_BYTES,
    ChunkInfo,
    read_at,
    read_chunk,
    read_head,
    size_of,
)
from quantal.container._clip_fields import CLIP_HEADER_LIMIT, unpack_clip_header
from quantal.container._clip_model import (
    About,
    ClipInfo,
    Group,
    Packet,
    Track,
    TrackInfo,
)
from quantal.container._clip_writer import TRAILER_BYTES, TRAILER_MAGIC
from quantal.container._group_table import GroupInfo, GroupTable
from quantal.container._records import (
    parsed,
    unpack_about,
    unpack_group,
    unpack_group_head,
    unpack_index,
    unpack_packets,
    unpack_packets_head,
    unpack_track,
)
from quantal.container._wire import Cursor
from quantal.errors import ArgumentError, BitstreamError, CorruptError, TruncatedError

__all__ = ["ClipReader", "probe_clip"]

T = TypeVar("T")

_HEAD_BYTES = 30  # of what a group or packets begin with, at most


class ClipReader:
    """Reads a clip.

    Opening reads the header, the tracks, and the index where there is one.

    Args:
        file: Open for reading in binary mode, with `seek`.
        live: Whether the end is not there yet, as of a pipe; the index is not looked for.

    Raises:
        BitstreamError: It is no clip, or its beginning is damaged.
        MediaError: It can't be read.

    Attributes:
        header: The header.
        header_bytes: Its length with its checksum.
        tracks: What lies beside the pictures.
        about: Tags and chapters.
        index: Positions of the groups; None if the file has no usable index.
        end: Time in ticks at which the last frame is no longer shown, from the index.
        misled: Whether the index was wrong; from then on it is None.
    """

    def __init__(self, file: IO[bytes], live: bool = False) -> None:
        self._file = file
        data = read_at(file, 0, CLIP_HEADER_LIMIT + CHECKSUM_BYTES)
        cursor = Cursor(data)
        self.header = unpack_clip_header(cursor)
        stored = int.from_bytes(cursor.take(CHECKSUM_BYTES), "little")
        self.header_bytes = cursor.position
        self._seed = zlib.crc32(data[: self.header_bytes - CHECKSUM_BYTES])
        if stored != self._seed:
            raise CorruptError("the header does not fit its checksum; fetch the file again")
        self.tracks: tuple[Track, ...] = ()
        self.about = About()
        self._places: dict[int, ChunkInfo] = {}
        self._first = self._declarations()
        self.index: GroupTable | None = None
        self.end: int | None = None
        self.misled = False
        self._index_chunk: ChunkInfo | None = None
        self._found: GroupTable | None = None
        if not live:
            self._find_index()

    def _declarations(self) -> int:
        """Read tracks, tags and chapters; return where groups and packets begin."""
        tracks: dict[int, Track] = {}
        place, known = self.header_bytes, False
        while (chunk := read_head(self._file, place)) is not None:
            if chunk.kind == "track":
                track = parsed(unpack_track, self._content(chunk), "track")
                if track.number in tracks:
                    raise CorruptError(f"track {track.number} is described twice")
                tracks[track.number], self._places[track.number] = track, chunk
            elif chunk.kind == "about" and not known:
                self.about, known = parsed(unpack_about, self._content(chunk), "about chunk"), True
            else:
                break
            place = chunk.end
        self.tracks = tuple(tracks.values())
        return place

    def _find_index(self) -> None:
        size = size_of(self._file)
        trailer = read_at(self._file, max(0, size - TRAILER_BYTES), TRAILER_BYTES)
        length = int.from_bytes(trailer[:4], "little")
        place = size - TRAILER_BYTES - length
        if trailer[4:] != TRAILER_MAGIC or place < self._first:
            return
        try:
            chunk = read_head(self._file, place)
            if chunk is None or chunk.kind != "end" or chunk.end != size - TRAILER_BYTES:
                return
            index, end = parsed(unpack_index, self._content(chunk), "index")
        except BitstreamError:
            return
        if not index:
            fits = place == self._first
        else:
            fits = self._first <= index[0].offset and index[-1].offset < place
        if fits:
            self.index, self.end, self._index_chunk = index, end, chunk

    def _content(self, chunk: ChunkInfo) -> bytes:
        return read_chunk(self._file, chunk, self._seed)

    def _walk(self, place: int) -> Iterator[ChunkInfo]:
        """Yield the heads of chunks up to the end chunk, that included."""
        while (chunk := read_head(self._file, place)) is not None:
            if chunk.kind in ("track", "about"):
                raise CorruptError(f"a {chunk.kind} chunk at {place} follows groups or packets")
            yield chunk
            if chunk.kind == "end":
                return
            place = chunk.end
        raise TruncatedError(
            f"the file ends at {place} without its index; it was cut, fetch it again"
        )

    def groups(self, begin: GroupInfo | None = None) -> Iterator[Group]:
        """Yield groups in order; every checksum on the way is verified.

        Args:
            begin: The first group to read; by default the first of the file.

        Raises:
            TruncatedError: The file was cut; all groups before that have been given.
            CorruptError: A chunk is damaged, or there is no such group.
        """
        frame = 0 if begin is None else begin.frame
        end = None if begin is None else begin.time
        for chunk in self._walk(self._first if begin is None else begin.offset):
            content = self._content(chunk)
            group = parsed(unpack_group, content, "group") if chunk.kind == "group" else None
            if begin is not None and chunk.offset == begin.offset:
                _check_is(begin, group)
            if group is None:
                continue
            if group.frame != frame or (end is not None and group.time < end):
                raise CorruptError(
                    f"a group of frame {group.frame} at {group.time} found, expected frame "
                    f"{frame} at {end or 0} or later; groups were lost, fetch the file again"
                )
            frame, end = frame + group.count, group.end
            yield group

    def packets(self, track: int) -> Iterator[Packet]:
        """Yield the packets of a track, in order of decoding.

        Args:
            track: Its number.

        Raises:
            TruncatedError: The file was cut; all packets before that have been given.
            CorruptError: A chunk of packets is damaged.
        """
        for number, packets in self.all_packets():
            if number == track:
                yield from packets

    def all_packets(self) -> Iterator[tuple[int, Iterator[Packet]]]:
        """Yield the number of a track and packets, for each chunk of packets.

        Packets are read only as they are asked for; errors are those of packets().
        """
        for chunk in self._walk(self._first):
            if chunk.kind != "packets":
                continue
            track, _ = self._begins(chunk, unpack_packets_head)
            if track not in self._places:
                self._content(chunk)  # where it is damaged, that is what to say
                raise CorruptError(f"packets of track {track} found, which the file lacks")
            yield track, self._packets_in(chunk)

    def _packets_in(self, chunk: ChunkInfo) -> Iterator[Packet]:
        yield from unpack_packets(self._content(chunk))

    # Finding

    def known_groups(self) -> GroupTable:
        """Return the index; where there is none, the file is looked through, once.

        Raises:
            CorruptError: The head of a chunk is damaged.
        """
        if self.index is not None:
            return self.index
        if self._found is None:
            self._found = self.scan().groups
        return self._found

    def find(self, time: int) -> GroupInfo:
        """Return the group that is shown at a time in ticks; the first before the beginning.

        Raises:
            TruncatedError: The file holds no whole group.
        """
        groups = self.known_groups()
        if not groups:
            raise TruncatedError("the file holds no whole group; fetch it again")
        return groups.at_time(time)

    def find_frame(self, number: int) -> GroupInfo:
        """Return the group that holds a frame of a number, from 0.

        Raises:
            ArgumentError: There is no such frame.
        """
        groups = self.known_groups()
        if not 0 <= number < groups.frames:
            raise ArgumentError(f"there is no frame {number}; the clip has {groups.frames}, from 0")
        return groups.at_frame(number)

    def groups_at(self, time: int) -> Iterator[Group]:
        """Return groups from that on which is shown at a time in ticks; see find().

        The first is read at once. Where the index leads elsewhere, the file is looked through.

        Raises:
            TruncatedError: The file holds no whole group.
            CorruptError: The group is damaged.
        """
        return self._entered(lambda: self.find(time))

    def groups_at_frame(self, number: int) -> Iterator[Group]:
        """Return groups from that on which holds a frame; as groups_at() and find_frame()."""
        return self._entered(lambda: self.find_frame(number))

    def _entered(self, find: Callable[[], GroupInfo]) -> Iterator[Group]:
        info = find()
        groups = self.groups(info)
        try:
            first = next(groups)
        except BitstreamError as error:
            if self._misleads(info):
                self.index, self.end, self.misled = None, None, True
                return self._entered(find)
            if isinstance(error, TruncatedError):  # the whole group was there, or is listed
                raise CorruptError(f"the file is damaged: {error}") from error
            raise
        return chain((first,), groups)

    def _misleads(self, info: GroupInfo) -> bool:
        """Whether it is the index, and not the file, that is wrong about an unreadable group."""
        if self._index_chunk is None or self.index is None:
            return False
        place = None
        try:
            for chunk in self._walk(self._first):
                place = chunk.offset
                if place == info.offset:
                    self._content(chunk)  # raises an error if it is damaged
                    return True
        except BitstreamError:
            return False
        return place == self._index_chunk.offset

    # Looking through

    def scan(self) -> ClipInfo:
        """Look through the heads of all chunks; of contents only the last group's is read.

        Of a cut file, what is whole is listed, and `index` of the result is None.

        Raises:
            CorruptError: A head is damaged.
        """
        size = size_of(self._file)
        groups = GroupTable()
        sizes = {track.number: [0, 0] for track in self.tracks}
        last: ChunkInfo | None = None
        try:
            for chunk in self._walk(self._first):
                if chunk.end > size:
                    break
                if chunk.kind == "end":
                    last = chunk
                elif chunk.kind == "group":
                    _, time, count = self._begins(chunk, unpack_group_head)
                    groups.append(chunk.offset, time, count, chunk.bytes)
                elif chunk.kind == "packets":
                    track, count = self._begins(chunk, unpack_packets_head)
                    sums = sizes.setdefault(track, [0, 0])
                    sums[0] += chunk.bytes
                    sums[1] += count
                else:
                    self._content(chunk)  # which names what is wrong with it
        except TruncatedError:
            pass
        tracks = tuple(self._track_info(track, *sizes[track.number]) for track in self.tracks)
        return ClipInfo(
            header=self.header,
            header_bytes=self.header_bytes,
            tracks=tracks,
            about=self.about,
            groups=groups,
            end=self._end_of(groups[-1]) if groups else None,
            index=None if last is None else (last.offset, last.bytes),
            bytes=size,
        )

    def check_index(self) -> ClipInfo:
        """Return what scan() finds.

        Raises:
            CorruptError: The index says something else, or is missing.
        """
        info, chunk = self.scan(), self._index_chunk
        good = (
            chunk is not None
            and self.index is not None
            and info.index == (chunk.offset, chunk.bytes)
            and self.index.tells_as(info.groups)
            and (self.end == info.end or not info.groups)
        )
        if not good:
            raise CorruptError("the index is damaged or wrong; frames can be read all the same")
        return info

    def _track_info(self, track: Track, size: int, packets: int) -> TrackInfo:
        place = self._places[track.number]
        if track.kind == "attachment":
            size = place.bytes
        return TrackInfo(track, place.offset, size, packets)

    def _begins(self, chunk: ChunkInfo, unpack: Callable[[Cursor, int], T]) -> T:
        """Unpack what a chunk begins with; its checksum is not verified."""
        wanted = min(chunk.length, _HEAD_BYTES)
        data = read_at(self._file, chunk.start, wanted)
        try:
            return unpack(Cursor(data, what="head", place=f"{chunk.kind} chunk"), chunk.length)
        except TruncatedError as error:
            if len(data) < wanted:
                raise
            raise CorruptError(f"{error}: the {chunk.kind} chunk contradicts itself") from error

    def _end_of(self, info: GroupInfo) -> int | None:
        """Return when a group ends, from its content, or else what the index says of the end."""
        try:
            return next(self.groups(info)).end
        except BitstreamError:
            return self.end


def _check_is(info: GroupInfo, group: Group | None) -> None:
    """Raise CorruptError if a group is another one than expected."""
    found = None if group is None else (group.frame, group.time, group.count)
    if found != (info.frame, info.time, info.count):
        raise CorruptError(
            f"there is no group of {info.count} frames from frame {info.frame} on at "
            f"{info.offset}; groups were lost or the index is wrong, fetch the file again"
        )


def probe_clip(file: IO[bytes]) -> ClipInfo:
    """List a clip: header, tracks, groups and their sizes. Checksums of groups are not verified.

    Args:
        file: The file, open for reading in binary mode, with `seek`.

    Raises:
        BitstreamError: It is no clip, or its structure is damaged. A cut file is listed.
    """
    return ClipReader(file).scan()
