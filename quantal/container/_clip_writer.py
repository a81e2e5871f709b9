"""Writing of clips, from the first byte to the last, without going back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import IO

from quantal.arguments import typed
from quantal.container._chunks import CHECKSUM_BYTES, pack_chunk
from quantal.container._clip_fields import TRACK_KINDS, pack_clip_header
from quantal.container._clip_model import About, ClipHeader, Group, GroupInfo, Packet, Track
from quantal.container._records import (
    pack_about,
    pack_group,
    pack_index,
    pack_packets,
    pack_track,
)
from quantal.errors import ArgumentError

__all__ = ["TRAILER_BYTES", "TRAILER_MAGIC", "ClipWriter"]

TRAILER_MAGIC = b"QTL\x8b"
TRAILER_BYTES = 4 + len(TRAILER_MAGIC)


class ClipWriter:
    """Writes a clip to a file or a pipe: tracks, then groups with their packets, then the index.

    Args:
        file: Open for writing in binary mode; it need not be seekable.
        header: The header.
        tracks: What lies beside the pictures.
        about: Tags and chapters.

    Raises:
        ArgumentError: Something can't be written.

    Attributes:
        bytes: Number of bytes so far.
        frames: Number of frames so far.
    """

    def __init__(
        self,
        file: IO[bytes],
        header: ClipHeader,
        tracks: Sequence[Track] = (),
        about: About | None = None,
    ) -> None:
        self._file, self.bytes, self.frames = file, 0, 0
        self._groups: list[GroupInfo] = []
        self._end = 0
        self._tracks = {track.number for track in tracks}
        if len(self._tracks) < len(tracks):
            raise ArgumentError("several tracks have the same number; give each its own")
        head = pack_clip_header(typed("header", header, ClipHeader))
        self._seed = zlib.crc32(head)
        self._put(head + self._seed.to_bytes(CHECKSUM_BYTES, "little"))
        for track in tracks:
            if track.kind not in TRACK_KINDS:
                kinds = ", ".join(TRACK_KINDS)
                raise ArgumentError(f"a track of kind {track.kind!r} found, expected {kinds}")
            self._chunk("track", pack_track(track))
        if about is not None and (about.metadata or about.chapters):
            self._chunk("about", pack_about(about))
        self._settled = self.bytes

    def packets(self, track: int, packets: Sequence[Packet]) -> None:
        """Add packets of a track, before the group that is shown while they are.

        Args:
            track: Its number.
            packets: In order of decoding.
        """
        if track not in self._tracks:
            raise ArgumentError(f"there is no track {track}; declare it first")
        if packets:
            self._chunk("packets", pack_packets(track, packets))
            self._settled = self.bytes

    def group(self, group: Group) -> int:
        """Add a group of pictures; return the bytes of its chunk.

        Raises:
            ArgumentError: It does not follow the group before.
        """
        content = pack_group(group)
        late = bool(self._groups) and group.time < self._end
        if group.frame != self.frames or late:
            raise ArgumentError(
                f"a group of frame {group.frame} at {group.time} found, expected frame "
                f"{self.frames} at {self._end} or later"
            )
        begin = self.bytes
        self._chunk("group", content)
        size = self.bytes - begin
        self._groups.append(GroupInfo(begin, group.frame, group.time, group.count, size))
        self.frames += group.count
        self._end, self._settled = group.end, self.bytes
        return size

    def recover(self) -> None:
        """Take back what an interrupted call has written, if the file can be sought."""
        if self._file.seekable():
            self._file.seek(self._settled)
            self._file.truncate()
            self.bytes = self._settled

    def finish(self) -> None:
        """Write the index; nothing can follow."""
        begin = self.bytes
        self._chunk("end", pack_index(self._groups, self._end))
        self._put((self.bytes - begin).to_bytes(4, "little") + TRAILER_MAGIC)

    def _chunk(self, kind: str, content: bytes) -> None:
        self._put(pack_chunk(kind, content, self._seed))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.bytes += len(data)
