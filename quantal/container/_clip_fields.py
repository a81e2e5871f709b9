"""The fields of the header and of the chunks of a clip.

Writer, reader, `describe` and the tables of docs/reference/format.md are derived from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from quantal.container._clip_model import ClipHeader
from quantal.container._features import FEATURE_FIELDS, FeatureHeader
from quantal.container._field import Field, FieldValue, read_fields, write_fields
from quantal.container._fields import FIELDS, check_media
from quantal.container._model import Header
from quantal.container._wire import (
    NAME_LIMIT,
    Blob,
    Choice,
    Cursor,
    Ratio,
    Signed,
    Sink,
    Tags,
    Text,
    UInt,
    Varint,
)
from quantal.errors import ArgumentError, CorruptError

__all__ = [
    "CHAPTER_FIELDS",
    "CHUNK_KINDS",
    "CLIP_FIELDS",
    "CLIP_HEADER_LIMIT",
    "GROUP_FIELDS",
    "GROUP_LIMIT",
    "PACKETS_FIELDS",
    "TRACK_FIELDS",
    "TRACK_KINDS",
    "describe",
    "pack_clip_header",
    "unpack_clip_header",
]

CHUNK_KINDS: Mapping[str, int] = MappingProxyType(
    {"track": 1, "about": 2, "packets": 3, "group": 4, "end": 5}
)
"""Kinds of chunks -> their codes."""

TRACK_KINDS = ("audio", "subtitle", "attachment")

GROUP_LIMIT = 4096
"""Frames that a group may have: it is held in memory as a whole."""

CLIP_FIELDS: tuple[Field, ...] = (
    *FIELDS,
    Field("time_base", Ratio(), None, "seconds of a tick, in which times of frames are counted"),
    Field("frame_rate", Ratio(optional=True), None, "frames per second on average"),
    Field("sample_aspect", Ratio(), None, "width of a pixel by its height"),
    Field("matrix", UInt(8), None, "matrix of the source, as in ITU-T H.273; 2 is unspecified"),
    Field("primaries", UInt(8), None, "primaries of the source, as in ITU-T H.273"),
    Field("transfer", UInt(8), None, "transfer characteristics of the source, likewise"),
    Field(
        "full_range",
        Choice((None, False, True), 2),
        (None, False, True),
        "range of the source: 0 is not known, 1 limited, 2 full",
    ),
    Field("reserved", UInt(6), (0,), "nothing yet"),
)

TRACK_FIELDS: tuple[Field, ...] = (
    Field("number", Varint(), None, "by which packets name it; each number once"),
    Field("kind", Choice(TRACK_KINDS, 7), TRACK_KINDS, "0 sound, 1 subtitles, 2 an attachment"),
    Field("reserved", UInt(1), (0,), "nothing yet"),
    Field("codec", Text(), None, "FFmpeg's name of its codec; of an attachment its media type"),
    Field("time_base", Ratio(), None, "seconds of a tick of its packets"),
    Field("disposition", Varint(31), None, "flags as FFmpeg counts them, 1 is default"),
    Field("metadata", Tags(), None, "its tags"),
    Field(
        "parameters",
        Blob(),
        None,
        "what its decoder needs: the beginning of a Matroska or MP4 file of this track alone; the "
        "content of an attachment",
    ),
)

CHAPTER_FIELDS: tuple[Field, ...] = (
    Field("start", Ratio(True, 64), None, "in seconds; 0/1 is the beginning"),
    Field("end", Ratio(True, 64), None, "in seconds"),
    Field("metadata", Tags(), None, "its tags"),
)

PACKETS_FIELDS: tuple[Field, ...] = (
    Field("track", Varint(), None, "number of the track"),
    Field("count", Varint(), None, "number of packets"),
)

GROUP_FIELDS: tuple[Field, ...] = (
    Field("frame", Varint(), None, "number of its first frame in the clip, from 0"),
    Field("time", Signed(), None, "time of that frame in ticks"),
    Field("count", Varint(), range(1, GROUP_LIMIT + 1), "number of frames"),
)


def pack_clip_header(header: ClipHeader) -> bytes:
    """Encode a header, from the magic to the last byte before its checksum."""
    if header.media != "video" or header.grey:
        raise ArgumentError(f"media {header.media!r} or grey frames found, expected video in RGB")
    sink = Sink()
    write_fields(CLIP_FIELDS, sink, header)
    return bytes(sink.data)


def unpack_clip_header(cursor: Cursor) -> ClipHeader:
    """Decode the header at the cursor and check the values of all fields."""
    check_media(cursor.data, "video")
    header = Header(**read_fields(FIELDS, cursor))
    if header.grey:
        raise CorruptError("the header of a clip says grey, expected colour; the file is damaged")
    return ClipHeader(**vars(header), **read_fields(CLIP_FIELDS[len(FIELDS) :], cursor))


def describe(header: Header | FeatureHeader) -> tuple[FieldValue, ...]:
    """Return the fields of a header with their meanings, in the order of the file."""
    fields = FIELDS
    if isinstance(header, ClipHeader | FeatureHeader):
        fields = CLIP_FIELDS if isinstance(header, ClipHeader) else FEATURE_FIELDS
    return tuple(
        FieldValue(field.name, getattr(header, field.name), field.meaning)
        for field in fields
        if field.in_header
    )


_FRACTION_BYTES = 10  # two varints of 31 bits

CLIP_HEADER_LIMIT: int = len(
    pack_clip_header(ClipHeader("a" * NAME_LIMIT, bytes(4), 1, 1, 0))
) + 3 * (_FRACTION_BYTES - 2)
"""Maximum length of the header of a clip in bytes, without its checksum."""
