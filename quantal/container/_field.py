"""A field: its name, its encoding, the values it may have, and what it means.

Headers and records of chunks are tuples of fields; `_wire` encodes values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quantal.container._wire import Cursor, Sink, Wire
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    UnsupportedVersionError,
)

__all__ = ["Field", "FieldValue", "read_fields", "write_fields"]

CONSTANT = ("magic", "reserved")


@dataclass(frozen=True)
class Field:
    """A field of a header or a chunk.

    The fields named in `CONSTANT` have a single value and are no attribute of what is written.

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
        """Whether the field is an attribute of what is written."""
        return self.name not in CONSTANT

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

    def write(self, sink: Sink, holder: object) -> None:
        """Write the attribute of a header or a record; ArgumentError if it is not allowed."""
        value = getattr(holder, self.name) if self.in_header else (self.allowed or (None,))[0]
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


def write_fields(fields: Iterable[Field], sink: Sink, holder: object) -> None:
    """Write the attributes of an object, in order."""
    for field in fields:
        field.write(sink, holder)


def read_fields(fields: Iterable[Field], cursor: Cursor) -> dict[str, Any]:
    """Read values by the names of their attributes."""
    values = {field: field.read(cursor) for field in fields}
    return {field.name: value for field, value in values.items() if field.in_header}
