"""The fields of the header of a .qtl file.

Writer, reader, `describe` and the tables of docs/format.md are derived from `FIELDS` and
`PART_KINDS`. `_wire` encodes values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from quantal.container._model import Header
from quantal.container._rate import RATES
from quantal.container._wire import Choice, Cursor, Raw, Sink, Symbols40, UInt, Wire
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
    "Field",
    "FieldValue",
    "describe",
    "pack_header",
    "unpack_header",
]

MAGIC = b"\x8bQTL"

PART_KINDS: Mapping[str, int] = MappingProxyType(
    {"image": 1, "alpha": 2, "icc": 3, "exif": 4, "xmp": 5}
)
"""Kinds of parts -> codes in the directory, in the order of the file."""


@dataclass(frozen=True)
class Field:
    """A field of the header.

    A field that is no attribute of `Header` has a constant value, its only allowed one.

    Attributes:
        name: Name of the field.
        wire: Encoding of the value.
        allowed: Allowed values; None for all values of the encoding.
        meaning: Description for people.
        refusal: Error for other values in a file.
    """

    name: str
    wire: Wire
    allowed: range | tuple[object, ...] | None
    meaning: str
    refusal: type[BitstreamError] = CorruptError

    @property
    def in_header(self) -> bool:
        """Whether the field is an attribute of `Header`."""
        return self.name in Header.__dataclass_fields__

    @property
    def expected(self) -> str:
        """The allowed values as text; empty if all values of the encoding are allowed."""
        if isinstance(self.allowed, range):
            return f"{self.allowed[0]}..{self.allowed[-1]}"
        names = (v.hex(" ") if isinstance(v, bytes) else str(v) for v in self.allowed or ())
        return " or ".join(names).lower()

    def allows(self, value: object) -> bool:
        """Whether a value is allowed."""
        if isinstance(self.allowed, range):
            return isinstance(value, int) and not isinstance(value, bool) and value in self.allowed
        return self.allowed is None or value in self.allowed

    def read(self, cursor: Cursor) -> object:
        """Read the value at the cursor; raise `refusal` if it is not allowed."""
        cursor.what = self.name
        value = self.wire.read(cursor)
        if not self.allows(value):
            hint = (
                "the file needs a newer Quantal: update this one"
                if self.refusal is UnsupportedVersionError
                else "the file is damaged or not a .qtl file"
            )
            raise self.refusal(f"{self.name} {value!r} found, expected {self.expected}; {hint}")
        return value

    def write(self, sink: Sink, header: Header) -> None:
        """Write the value of a header; ArgumentError if it is not allowed."""
        value = getattr(header, self.name) if self.in_header else (self.allowed or (None,))[0]
        if not self.allows(value):
            raise ArgumentError(f"{self.name} {value!r} found, expected {self.expected}")
        self.wire.write(sink, value)


@dataclass(frozen=True)
class FieldValue:
    """The value of a field in one file.

    Attributes:
        name: Name of the field.
        value: Its value.
        meaning: Description for people.
    """

    name: str
    value: object
    meaning: str


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
        Choice(("picture",), 4),
        ("picture",),
        "what is coded: 0 is a picture, 1..15 are reserved",
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
    sink = Sink()
    for field in FIELDS:
        field.write(sink, header)
    return bytes(sink.data)


def unpack_header(cursor: Cursor) -> Header:
    """Decode the header at the cursor and check the values of all fields."""
    if not cursor.data:
        raise TruncatedError("the file is empty; fetch it again")
    if not MAGIC.startswith(cursor.data[: len(MAGIC)]):
        found = cursor.data[: len(MAGIC)].hex(" ")
        raise CorruptError(
            f"not a .qtl file: starts with {found}, expected {MAGIC.hex(' ')}; "
            "name one that `quantal compress` wrote"
        )
    values = {field.name: field.read(cursor) for field in FIELDS}
    return Header(**{name: values[name] for name in Header.__dataclass_fields__})  # type: ignore[arg-type]


def describe(header: Header) -> tuple[FieldValue, ...]:
    """Return the fields of a header with their meanings, in the order of the file."""
    return tuple(
        FieldValue(field.name, getattr(header, field.name), field.meaning)
        for field in FIELDS
        if field.in_header
    )
