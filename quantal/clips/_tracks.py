"""Sound, subtitles and attachments, as packets that are copied and never coded again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.container

from quantal.clips._container import FAILURES

__all__ = [
    "Chapter",
    "Packet",
    "Track",
    "chapters_of",
    "content_of",
    "describe",
    "is_time",
    "open_parameters",
    "packet_of",
    "plain",
]

#: Kinds of streams that are carried.
TRACK_KINDS = ("audio", "subtitle", "attachment")

LONGEST = (1 << 31) - 1
"""Time in seconds beyond which nothing is written: 68 years."""

#: An empty Cluster, which ends the header of a Matroska file that has no packets.
_EMPTY_CLUSTER = b"\x1f\x43\xb6\x75\x80"
#: Formats that hold a track's parameters, with their options: a header alone is a valid file.
_HOLDERS: tuple[tuple[str, dict[str, str], bytes], ...] = (
    ("matroska", {}, _EMPTY_CLUSTER),
    ("mp4", {"movflags": "frag_keyframe+empty_moov"}, b""),
)


#: Tags that describe a file rather than its content, in lower case.
_TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_TECHNICAL |= {"handler_name", "vendor_id"}
_STATISTICS = ("bps", "number_of_", "_statistics")  # of Matroska


@dataclass(frozen=True)
class Track:
    """A stream beside the pictures.

    Attributes:
        number: Its number in the clip, by which `Clip.packets` finds it.
        kind: "audio", "subtitle" or "attachment".
        codec: Name of its codec; the media type of an attachment.
        time_base: Duration of a tick of its packets' times in seconds.
        parameters: What its decoder needs, as the beginning of a Matroska or MP4 file that holds
            this track alone; the content of an attachment.
        metadata: Its tags, such as "language", "title" or "filename".
        disposition: Flags such as default and forced, as FFmpeg counts them.
    """

    number: int
    kind: str
    codec: str
    time_base: Fraction
    parameters: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    disposition: int = 0


@dataclass(frozen=True)
class Packet:
    """A coded piece of a track.

    Attributes:
        data: Its bytes.
        time: When it is heard or shown, in ticks of its track; None if unknown.
        decode_time: When it has to be decoded, in ticks; None if unknown.
        duration: Its duration in ticks, 0 if unknown.
        key: Whether decoding can begin here.
    """

    data: bytes
    time: int | None
    decode_time: int | None
    duration: int = 0
    key: bool = True


@dataclass(frozen=True)
class Chapter:
    """A named part of a clip.

    Attributes:
        start: Its beginning in seconds.
        end: Its end in seconds.
        metadata: Its tags, such as "title".
    """

    start: Fraction
    end: Fraction
    metadata: Mapping[str, str] = field(default_factory=dict)


def describe(stream: Any) -> Track | None:
    """Return a stream of PyAV as a track; None if its parameters can't be carried."""
    metadata = content_of(stream.metadata)
    time_base = stream.time_base or Fraction(1, 1000)
    if stream.type == "attachment":
        return Track(
            stream.index,
            "attachment",
            stream.mimetype or "application/octet-stream",
            time_base,
            bytes(stream.data),
            metadata,
        )
    if stream.codec_context is None:  # PyAV has no decoder, so it can't copy the stream either
        return None
    codec = stream.codec_context.codec.canonical_name
    first = "mp4" if "mp4" in stream.container.format.name else "matroska"
    for name, options, ending in sorted(_HOLDERS, key=lambda holder: holder[0] != first):
        with suppress(*FAILURES):
            file = io.BytesIO()
            with av.open(file, "w", format=name, options=options) as container:
                container.add_stream_from_template(stream, opaque=True)
                container.start_encoding()
            parameters = file.getvalue() + ending
            with open_parameters(parameters) as found:
                if found.streams[0].codec_context.codec.canonical_name != codec:
                    continue
            return Track(
                stream.index,
                stream.type,
                codec,
                time_base,
                parameters,
                metadata,
                int(stream.disposition.value),
            )
    return None


def open_parameters(parameters: bytes) -> av.container.InputContainer:
    """Open the parameters of a track, whose only stream is a template for a new one."""
    options = {"format_whitelist": "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2"}
    return av.open(io.BytesIO(parameters), "r", options=options)


def packet_of(packet: Any) -> Packet:
    """Return a packet of PyAV as one of ours."""
    return Packet(
        bytes(packet), packet.pts, packet.dts, packet.duration or 0, bool(packet.is_keyframe)
    )


def chapters_of(container: av.container.InputContainer) -> Iterator[Chapter]:
    """Yield the chapters of a file whose times make sense."""
    for chapter in container.chapters():
        base = chapter["time_base"] or Fraction(1)
        start, end = chapter["start"] * base, chapter["end"] * base
        if start <= end:
            yield Chapter(start, end, dict(chapter["metadata"]))


def content_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return tags without those that describe how a file was made."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _TECHNICAL
        and not key.lower().startswith(_STATISTICS)
        and (key.lower(), value) != ("language", "und")  # undetermined
    }


def is_time(seconds: Fraction) -> bool:
    """Whether a time is one that files can hold."""
    return abs(seconds) <= LONGEST


def plain(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return tags as files can hold them: text of Unicode without zeros."""

    def text(value: object) -> str:
        return str(value).encode("utf-8", "replace").decode("utf-8").replace("\0", " ")

    return {text(key): text(value) for key, value in metadata.items()}
