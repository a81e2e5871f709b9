"""The fields of the header of a .qtl file.

Writer, reader, `describe` and the tables of docs/reference/format.md are derived from `FIELDS` and
`PART_KINDS`. The header of a clip begins with the same fields; see `_clip_fields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from quantal.container._field import Field, read_fields, write_fields
from quantal.container._model import Header
from quantal.container._rate import RATES
from quantal.container._wire import Choice, Cursor, Raw, Sink, Symbols40, UInt
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    TruncatedError,
    UnsupportedVersionError,
)

__all__ = [
    "FIELDS",
    "MAGIC",
    "PART_KINDS",
    "check_magic",
    "check_media",
    "media_of",
    "pack_header",
    "unpack_header",
]

MAGIC = b"\x8bQTL"

PART_KINDS: Mapping[str, int] = MappingProxyType(
    {"image": 1, "alpha": 2, "icc": 3, "exif": 4, "xmp": 5}
)
"""Kinds of parts -> codes in the directory, in the order of the file."""

MEDIA = ("picture", "video", "features")
_HELD = {"picture": "a picture", "video": "a clip", "features": "features"}

FIELDS: tuple[Field, ...] = (
    Field("magic", Raw(4), (MAGIC,), "says that this is a .qtl file"),
    Field(
        "version",
        UInt(8),
        (1,),
        "of the layout; a reader refuses one it does not know",
        UnsupportedVersionError,
    ),
    Field("codec", Symbols40(), None, "name of the codec that wrote the image part"),
    Field(
        "model_hash",
        Raw(4),
        None,
        "the first four bytes of a SHA-256 over the tables and the integer network the codec needs",
    ),
    Field(
        "media",
        Choice(MEDIA, 4),
        MEDIA,
        "what is coded: 0 is a picture, 1 is a clip, 2 are features, 3..15 are reserved",
        UnsupportedVersionError,
    ),
    Field("grey", Choice((False, True), 1), (False, True), "1 if the picture has no colour"),
    Field("reserved", UInt(3), (0,), "nothing yet"),
    Field("width", UInt(16, bias=1), range(1, 65536), "in pixels"),
    Field("height", UInt(16, bias=1), range(1, 65536), "in pixels"),
    Field("rate", UInt(8), RATES, "rate index times 4, plus quarters of the way to the next"),
)


def pack_header(header: Header) -> bytes:
    """Encode a header, from the magic to the last byte before the directory."""
    if header.media != "picture":
        raise ArgumentError(f"media {header.media!r} found, expected picture")
    sink = Sink()
    write_fields(FIELDS, sink, header)
    return bytes(sink.data)


def check_magic(data: bytes) -> None:
    """Raise an error if a file does not begin as a .qtl file."""
    if not data:
        raise TruncatedError("the file is empty; fetch it again")
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise CorruptError(
            f"not a .qtl file: starts with {data[: len(MAGIC)].hex(' ')}, expected "
            f"{MAGIC.hex(' ')}; name one that `quantal compress` wrote"
        )


def unpack_header(cursor: Cursor) -> Header:
    """Decode the header at the cursor and check the values of all fields."""
    check_media(cursor.data, "picture")
    return Header(**read_fields(FIELDS, cursor))


def media_of(data: bytes) -> str:
    """Return what a file holds, "picture", "video" or "features", by its first bytes.

    >>> from quantal.container import Header, Part, write
    >>> media_of(write(Header("hyperprior", bytes(4), 640, 480, 150), [Part("image", b"")]))
    'picture'

    Args:
        data: The first bytes of a file; `HEADER_LIMIT` bytes are enough.

    Raises:
        BitstreamError: They can't be those of a .qtl file.
    """
    check_magic(data)
    fields = FIELDS[: 1 + [field.name for field in FIELDS].index("media")]
    return str(read_fields(fields, Cursor(data))["media"])


def check_media(data: bytes, expected: str) -> None:
    """Raise BitstreamError unless a file holds what is expected, one of `MEDIA`."""
    found = media_of(data)
    if found != expected:
        raise BitstreamError(
            f"the file holds {_HELD[found]}, expected {_HELD[expected]}; open it as such"
        )
