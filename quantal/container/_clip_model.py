"""The structure of .qtl files of clips, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from quantal.arguments import typed, whole
from quantal.container._group_table import GroupInfo, GroupTable
from quantal.container._model import Header
from quantal.container._rate import rate_to_quality
from quantal.errors import ArgumentError

__all__ = [
    "About",
    "Chapter",
    "ClipHeader",
    "ClipInfo",
    "CodedFrame",
    "Group",
    "GroupInfo",
    "Packet",
    "Track",
    "TrackInfo",
]


@dataclass(frozen=True)
class ClipHeader(Header):
    """The header of a clip.

    Attributes:
        rate: Rate of predicted frames for which the clip was coded; frames state their own.
        media: "video".
        time_base: Duration of a tick, in which times of frames are counted, in seconds.
        frame_rate: Frames per second on average, if known.
        sample_aspect: Width of a pixel by its height.
        matrix: Matrix coefficients of the source, in code points of ITU-T H.273, as the next two.
        primaries: Colour primaries of the source.
        transfer: Transfer characteristics of the source.
        full_range: Whether samples of the source use all their values; None if it did not say.
    """

    media: str = "video"
    time_base: Fraction = Fraction(1, 25)
    frame_rate: Fraction | None = None
    sample_aspect: Fraction = Fraction(1)
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool | None = None


@dataclass(frozen=True)
class CodedFrame:
    """A frame after coding.

    Attributes:
        rate: At which it was coded, 0..252.
        duration: Ticks until the next frame.
        payload: Its bytes.
    """

    rate: int
    duration: int
    payload: bytes


@dataclass(frozen=True)
class Group:
    """A group of pictures: an intra frame, and frames that are predicted one from another.

    Attributes:
        frame: Number of its first frame in the clip, from 0.
        time: Time of that frame in ticks.
        frames: All of its frames.
    """

    frame: int
    time: int
    frames: tuple[CodedFrame, ...]

    @property
    def count(self) -> int:
        """Number of its frames."""
        return len(self.frames)

    @property
    def end(self) -> int:
        """Time in ticks at which its last frame is no longer shown."""
        return self.time + sum(frame.duration for frame in self.frames)


@dataclass(frozen=True)
class Track:
    """A stream beside the pictures; see `quantal.clips.Track`."""

    number: int
    kind: str
    codec: str
    time_base: Fraction
    parameters: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    disposition: int = 0


@dataclass(frozen=True)
class Packet:
    """A coded piece of a track; see `quantal.clips.Packet`."""

    data: bytes
    time: int | None
    decode_time: int | None
    duration: int = 0
    key: bool = True


@dataclass(frozen=True)
class Chapter:
    """A named part of a clip, from `start` to `end` in seconds."""

    start: Fraction
    end: Fraction
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What is known of a whole clip.

    Attributes:
        metadata: Tags, such as "title".
        chapters: Named parts.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    chapters: tuple[Chapter, ...] = ()


@dataclass(frozen=True)
class TrackInfo:
    """What a file holds of a track.

    Attributes:
        track: Its description.
        offset: Position of the chunk that describes it.
        bytes: Bytes of the chunks that hold its packets, or of an attachment.
        packets: Number of its packets.
    """

    track: Track
    offset: int
    bytes: int
    packets: int


@dataclass(frozen=True)
class ClipInfo:
    """What a file of a clip holds.

    Attributes:
        header: The header.
        header_bytes: Length of the header with its checksum in bytes.
        tracks: What lies beside the pictures.
        about: Tags and chapters.
        groups: Positions of the groups.
        end: Time in ticks at which the last frame is no longer shown; None without frames, and
            where the last group is damaged and no index says it.
        index: Position and length of the last chunk; None if the file was cut.
        bytes: Size of the file.
    """

    header: ClipHeader
    header_bytes: int
    tracks: tuple[TrackInfo, ...]
    about: About
    groups: GroupTable
    end: int | None
    index: tuple[int, int] | None
    bytes: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.groups.frames

    @property
    def duration(self) -> Fraction:
        """Duration in seconds."""
        if self.end is None or not self.groups:
            return Fraction(0)
        return (self.end - self.groups[0].time) * self.header.time_base

    @property
    def picture_bytes(self) -> int:
        """Bytes of all groups."""
        return sum(group.bytes or 0 for group in self.groups)

    @property
    def bpp(self) -> float:
        """Bits per pixel of all groups, without what lies beside the pictures."""
        pixels = self.header.width * self.header.height * self.frames
        return 8 * self.picture_bytes / pixels if pixels else 0.0

    @property
    def kbps(self) -> float:
        """Kilobits per second of all groups."""
        return float(8 * self.picture_bytes / self.duration / 1000) if self.duration else 0.0

    @property
    def quality(self) -> int:
        """The quality of 1..100 nearest to the rate in the header."""
        return rate_to_quality(self.header.rate)


def checked_group(group: Group) -> Group:
    """Return a group whose frames can be written; ArgumentError for others."""
    typed("group", group, Group)
    if not group.frames:
        raise ArgumentError("a group without frames can't be written; give it at least one")
    for frame in group.frames:
        whole("rate of a frame", frame.rate, 0, 252)
        whole("duration of a frame", frame.duration, 1)
        typed("payload of a frame", frame.payload, bytes)
    whole("end of a group in ticks", group.end, -1 << 63, (1 << 63) - 1)
    return group
