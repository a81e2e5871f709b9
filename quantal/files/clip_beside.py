"""What lies beside the pictures of a clip: tracks, packets, tags and chapters, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from quantal import clips, container
from quantal.errors import QuantalError

__all__ = [
    "PacketFeed",
    "about_of",
    "chapters_in",
    "packet_in",
    "track_in",
    "tracks_of",
]

_BATCH = 512  # packets that are written together where no group asks for them
_ZERO = Fraction(0)


def tracks_of(clip: clips.Clip) -> tuple[container.Track, ...]:
    """Return the tracks of a clip as a file describes them."""
    return tuple(
        container.Track(
            track.number,
            track.kind,
            track.codec,
            track.time_base,
            track.parameters,
            dict(track.metadata),
            track.disposition,
        )
        for track in clip.tracks
    )


def track_in(track: container.Track) -> clips.Track:
    """Return the track that a file describes."""
    return clips.Track(
        track.number,
        track.kind,
        track.codec,
        track.time_base,
        track.parameters,
        dict(track.metadata),
        track.disposition,
    )


def packet_in(packet: container.Packet) -> clips.Packet:
    """Return a packet of a file as one of a clip."""
    return clips.Packet(packet.data, packet.time, packet.decode_time, packet.duration, packet.key)


def about_of(clip: clips.Clip) -> container.About:
    """Return tags and chapters as a file has them; chapters begin no earlier than at zero."""
    chapters = (
        container.Chapter(max(chapter.start, _ZERO), max(chapter.end, _ZERO), chapter.metadata)
        for chapter in clip.chapters
    )
    return container.About(dict(clip.metadata), tuple(chapters))


def chapters_in(about: container.About) -> tuple[clips.Chapter, ...]:
    """Return the chapters of a file as those of a clip."""
    return tuple(clips.Chapter(each.start, each.end, each.metadata) for each in about.chapters)


class PacketFeed:
    """Takes the packets of all tracks in step with the frames.

    Args:
        clip: Their clip.

    Attributes:
        warnings: What was lost, a sentence each.
    """

    def __init__(self, clip: clips.Clip) -> None:
        self.warnings: list[str] = []
        self._streams = {
            track.number: (track, self._readable(track, clip.packets(track)))
            for track in clip.tracks
            if track.kind != "attachment"
        }
        self._waiting: dict[int, clips.Packet] = {}

    def _readable(
        self, track: clips.Track, packets: Iterator[clips.Packet]
    ) -> Iterator[clips.Packet]:
        """Yield packets as long as they can be read."""
        try:
            yield from packets
        except QuantalError as error:
            self.warnings.append(f"{track.kind} was lost from some place on: {error}")

    def until(self, seconds: Fraction) -> Iterator[tuple[int, list[container.Packet]]]:
        """Yield the packets of each track that begin before a time, by the track's number."""
        for number, (track, stream) in self._streams.items():
            found: list[container.Packet] = []
            while True:
                packet = self._waiting.pop(number, None) or next(stream, None)
                if packet is None:
                    break
                at = packet.decode_time if packet.time is None else packet.time
                if at is not None and at * track.time_base >= seconds:
                    self._waiting[number] = packet
                    break
                found.append(_stored(packet))
                if len(found) == _BATCH:
                    yield number, found
                    found = []
            yield number, found

    def rest(self) -> Iterator[tuple[int, list[container.Packet]]]:
        """Yield all packets that are left."""
        return self.until(Fraction(1 << 62))


def _stored(packet: clips.Packet) -> container.Packet:
    return container.Packet(
        packet.data, packet.time, packet.decode_time, max(packet.duration, 0), packet.key
    )
