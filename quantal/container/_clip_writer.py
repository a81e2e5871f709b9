"""Writing of clips, from the first byte to the last, without going back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

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
from quantal.outputs import Sink

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
        file: Sink,
        header: ClipHeader,
        tracks: Sequence[Track] = (),
        about: About | None = None,
    ) -> None:
        self._file, self.bytes, self.frames = file, 0, 0
        self._groups: list[GroupInfo] = []
        self._end = 0
        #: Whether a call is at work; whether a part of a chunk was left in a pipe.
        self._busy = self._cut = False
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
        self._settle()

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
            self._settle()

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
        self._end = group.end
        self._settle()
        return size

    def recover(self) -> bool:
        """Take back what an interrupted call has done.

        Returns:
            Whether more can follow. It can't in a pipe, where a part of a chunk may be: the file
            stays one that was cut.
        """
        settled = not self._busy
        self.bytes, groups, self.frames, self._end = self._settled
        del self._groups[groups:]
        if not settled:
            if self._file.seekable():
                self._file.seek(self.bytes)
                self._file.truncate()
            else:
                self._cut = True
        self._busy = False
        return not self._cut

    def finish(self) -> None:
        """Write the index, unless the file was cut; nothing can follow."""
        if self._cut:
            return
        begin = self.bytes
        self._chunk("end", pack_index(self._groups, self._end))
        self._put((self.bytes - begin).to_bytes(4, "little") + TRAILER_MAGIC)

    def _chunk(self, kind: str, content: bytes) -> None:
        self._put(pack_chunk(kind, content, self._seed))

    def _settle(self) -> None:
        """Note what is complete, in one step that nothing interrupts."""
        self._settled = self.bytes, len(self._groups), self.frames, self._end
        self._busy = False

    def _put(self, data: bytes) -> None:
        self._busy = True
        self._file.write(data)
        self.bytes += len(data)
