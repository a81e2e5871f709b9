"""Reading of clips: groups and packets in the order of the file, or from an index."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from typing import IO

from quantal.container._chunks import (
    CHECKSUM_BYTES,
    ChunkInfo,
    read_at,
    read_chunk,
    read_head,
)
from quantal.container._clip_fields import CLIP_HEADER_LIMIT, GROUP_FIELDS, unpack_clip_header
from quantal.container._clip_model import (
    About,
    ClipInfo,
    Group,
    GroupInfo,
    Packet,
    Track,
    TrackInfo,
)
from quantal.container._clip_writer import TRAILER_BYTES, TRAILER_MAGIC
from quantal.container._records import (
    parsed,
    unpack_about,
    unpack_group,
    unpack_group_head,
    unpack_index,
    unpack_packets,
    unpack_track,
)
from quantal.container._wire import Cursor, Varint
from quantal.errors import BitstreamError, CorruptError, TruncatedError

__all__ = ["ClipReader", "probe_clip"]

_GROUP_HEAD_BYTES = 10 * len(GROUP_FIELDS)
_PACKETS_HEAD_BYTES = 10


class ClipReader:
    """Reads a clip.

    Opening reads the header, the tracks, and the index where there is one.

    Args:
        file: Open for reading in binary mode, with `seek`.
        live: Whether the end is not there yet, as of a pipe; the index is not looked for.

    Raises:
        BitstreamError: It is no clip, or its beginning is damaged.

    Attributes:
        header: The header.
        header_bytes: Its length with its checksum.
        tracks: What lies beside the pictures.
        about: Tags and chapters.
        index: Positions of the groups; None if the file has no usable index.
        end: Time in ticks at which the last frame is no longer shown, from the index.
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
        self.index: tuple[GroupInfo, ...] | None = None
        self.end: int | None = None
        self._index_chunk: ChunkInfo | None = None
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
        size = self._file.seek(0, os.SEEK_END)
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
        if all(self._first <= group.offset < place for group in index):
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
            CorruptError: A chunk is damaged.
        """
        frame = 0 if begin is None else begin.frame
        end = None if begin is None else begin.time
        for chunk in self._walk(self._first if begin is None else begin.offset):
            content = self._content(chunk)
            if chunk.kind == "group":
                group = parsed(unpack_group, content, "group")
                if group.frame != frame or (end is not None and group.time < end):
                    raise CorruptError(
                        f"a group of frame {group.frame} at {group.time} found, expected frame "
                        f"{frame} at {end or 0} or later; groups were lost, fetch the file again"
                    )
                frame, end = frame + group.count, group.end
                yield group
            elif begin is not None and frame == begin.frame:
                raise CorruptError(f"the index is wrong: there is no group at {chunk.offset}")

    def packets(self, track: int) -> Iterator[Packet]:
        """Yield the packets of a track, in order of decoding.

        Args:
            track: Its number.

        Raises:
            TruncatedError: The file was cut; all packets before that have been given.
            CorruptError: A chunk of packets is damaged.
        """
        for chunk in self._walk(self._first):
            if chunk.kind != "packets":
                continue
            head = Cursor(read_at(self._file, chunk.start, min(chunk.length, 5)), what="track")
            if Varint().read(head) == track:
                yield from parsed(unpack_packets, self._content(chunk), "packets")[1]

    def find(self, time: int) -> GroupInfo:
        """Return the group that is shown at a time in ticks; the first before the beginning.

        Without an index the file is looked through, once.

        Raises:
            TruncatedError: It holds no whole group.
        """
        if self.index is None:
            self.index = self.scan().groups
        if not self.index:
            raise TruncatedError("the file holds no whole group; fetch it again")
        return self.index[max(0, bisect_right(self.index, time, key=lambda group: group.time) - 1)]

    def scan(self) -> ClipInfo:
        """Look through the heads of all chunks; contents of groups and packets are not read.

        Of a cut file, what is whole is listed, and `index` of the result is None.

        Raises:
            CorruptError: A head is damaged.
        """
        size = self._file.seek(0, os.SEEK_END)
        groups: list[GroupInfo] = []
        sizes = {track.number: [0, 0] for track in self.tracks}
        last: ChunkInfo | None = None
        try:
            for chunk in self._walk(self._first):
                if chunk.end > size:
                    break
                if chunk.kind == "end":
                    last = chunk
                elif chunk.kind == "group":
                    groups.append(self._group_info(chunk))
                elif chunk.kind == "packets":
                    head = self._head(chunk, _PACKETS_HEAD_BYTES)
                    sums = sizes.setdefault(Varint().read(head), [0, 0])
                    sums[0] += chunk.bytes
                    sums[1] += Varint().read(head)
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
            groups=tuple(groups),
            end=self._end_of(groups) if groups else None,
            index=None if last is None else (last.offset, last.bytes),
            bytes=size,
        )

    def _track_info(self, track: Track, size: int, packets: int) -> TrackInfo:
        place = self._places[track.number]
        if track.kind == "attachment":
            size = place.bytes
        return TrackInfo(track, place.offset, size, packets)

    def _head(self, chunk: ChunkInfo, count: int) -> Cursor:
        data = read_at(self._file, chunk.start, min(chunk.length, count))
        return Cursor(data, what="head", place=f"{chunk.kind} chunk")

    def _group_info(self, chunk: ChunkInfo) -> GroupInfo:
        frame, time, count = unpack_group_head(self._head(chunk, _GROUP_HEAD_BYTES))
        if not 1 <= count <= chunk.length:
            raise CorruptError(f"a group says {count} frames, its {chunk.length} bytes hold fewer")
        return GroupInfo(chunk.offset, frame, time, count, chunk.bytes)

    def _end_of(self, groups: list[GroupInfo]) -> int:
        """Return when the last of the groups ends, from its content."""
        chunk = read_head(self._file, groups[-1].offset)
        if chunk is None:
            raise TruncatedError("the file became shorter while it was read")
        return parsed(unpack_group, self._content(chunk), "group").end


def probe_clip(file: IO[bytes]) -> ClipInfo:
    """List a clip: header, tracks, groups and their sizes. Checksums of groups are not verified.

    Args:
        file: The file, open for reading in binary mode, with `seek`.

    Raises:
        BitstreamError: It is no clip, or its structure is damaged. A cut file is listed.
    """
    return ClipReader(file).scan()
