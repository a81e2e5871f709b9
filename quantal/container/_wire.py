"""Encodings of values in headers and chunks.

An encoding reads from a `Cursor` and writes to a `Sink`. If a value has several encodings, only the
shortest one is accepted, so that a header has one encoding. `_fields` defines the values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from quantal.errors import ArgumentError, CorruptError, TruncatedError

__all__ = [
    "Blob",
    "Choice",
    "Cursor",
    "Ratio",
    "Raw",
    "Signed",
    "Sink",
    "Symbols40",
    "Tags",
    "Text",
    "UInt",
    "Varint",
    "Wire",
]

NAME_CHARACTERS = "\0abcdefghijklmnopqrstuvwxyz0123456789-_."
NAME_LIMIT = 23
VARINT_BYTES = 5


@dataclass
class Cursor:
    """A reader of bytes; `what` names the field and `place` what it is in, for messages."""

    data: bytes
    position: int = 0
    what: str = "header"
    place: str = "header"
    _bits: int = 0
    _bits_left: int = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes; TruncatedError if there are not enough."""
        end = self.position + count
        if end > len(self.data):
            raise TruncatedError(
                f"the .qtl {self.place} ends inside its {self.what}: {len(self.data)} bytes are "
                f"there, at least {end} are needed; the file was cut, fetch it again"
            )
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def take_bits(self, count: int) -> int:
        """Return the next bits of the current byte, lowest first; fields never cross bytes."""
        if not self._bits_left:
            self._bits, self._bits_left = self.take(1)[0], 8
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        self._bits_left -= count
        return value


@dataclass
class Sink:
    """A writer of the bytes of a header."""

    data: bytearray = field(default_factory=bytearray)
    _bits_used: int = 0

    def put(self, data: bytes) -> None:
        """Append bytes."""
        self.data += data

    def put_bits(self, value: int, count: int) -> None:
        """Append bits to the current byte, lowest first; fields never cross bytes."""
        if not self._bits_used:
            self.data.append(0)
        self.data[-1] |= value << self._bits_used
        self._bits_used = (self._bits_used + count) % 8


class Wire(Protocol):
    """An encoding of a value; `str(wire)` is its name in the specification."""

    def read(self, cursor: Cursor) -> Any:
        """Read a value; BitstreamError if there is none."""
        ...

    def write(self, sink: Sink, value: Any) -> None:
        """Write a value; ArgumentError if it can't be encoded."""
        ...


@dataclass(frozen=True)
class Raw:
    """A fixed number of bytes."""

    count: int

    def read(self, cursor: Cursor) -> bytes:
        return cursor.take(self.count)

    def write(self, sink: Sink, value: bytes) -> None:
        if not isinstance(value, bytes) or len(value) != self.count:
            raise ArgumentError(f"{value!r} found where {self.count} bytes are expected")
        sink.put(value)

    def __str__(self) -> str:
        return f"{self.count} bytes"


@dataclass(frozen=True)
class UInt:
    """An unsigned integer, value - `bias`, of 1..7 bits or of whole bytes, lowest byte first."""

    bits: int
    bias: int = 0

    def read(self, cursor: Cursor) -> int:
        if self.bits < 8:
            return cursor.take_bits(self.bits) + self.bias
        return int.from_bytes(cursor.take(self.bits // 8), "little") + self.bias

    def write(self, sink: Sink, value: int) -> None:
        if self.bits < 8:
            sink.put_bits(value - self.bias, self.bits)
        else:
            sink.put((value - self.bias).to_bytes(self.bits // 8, "little"))

    def __str__(self) -> str:
        name = f"{self.bits} bits" if self.bits < 8 else f"u{self.bits}"
        return f"{name}, value - {self.bias}" if self.bias else name


@dataclass(frozen=True)
class Choice:
    """One of several values, encoded as its index in `bits` bits."""

    values: tuple[object, ...]
    bits: int

    def read(self, cursor: Cursor) -> object:
        """Return the value, or its index if that is unknown."""
        index = cursor.take_bits(self.bits)
        return self.values[index] if index < len(self.values) else index

    def write(self, sink: Sink, value: object) -> None:
        sink.put_bits(self.values.index(value), self.bits)

    def __str__(self) -> str:
        return "1 bit" if self.bits == 1 else f"{self.bits} bits"


@dataclass(frozen=True)
class Symbols40:
    """A short name in radix 40: three characters in two bytes."""

    def read(self, cursor: Cursor) -> str:
        codes: list[int] = []
        while 0 not in codes:
            if len(codes) > NAME_LIMIT:
                raise CorruptError(f"the {cursor.what} has no end within {NAME_LIMIT} characters")
            group = int.from_bytes(cursor.take(2), "little")
            first, rest = divmod(group, 1600)
            if first >= 40:
                raise CorruptError(f"the {cursor.what} holds {group}, expected at most 63999")
            codes += [first, *divmod(rest, 40)]
        end = codes.index(0)
        if end == 0 or any(codes[end:]):
            raise CorruptError(f"the {cursor.what} is empty or not in its shortest form")
        return "".join(NAME_CHARACTERS[code] for code in codes[:end])

    def write(self, sink: Sink, value: str) -> None:
        if not isinstance(value, str) or not 1 <= len(value) <= NAME_LIMIT:
            raise ArgumentError(f"name {value!r} found, expected 1..{NAME_LIMIT} characters")
        codes = [NAME_CHARACTERS.find(character, 1) for character in value]
        if -1 in codes:
            raise ArgumentError(f"name {value!r} found, expected only a-z, 0-9, '-', '_' and '.'")
        codes += [0] * (3 - len(codes) % 3)
        for i in range(0, len(codes), 3):
            group = codes[i] * 1600 + codes[i + 1] * 40 + codes[i + 2]
            sink.put(group.to_bytes(2, "little"))

    def __str__(self) -> str:
        return "radix 40"


@dataclass(frozen=True)
class Varint:
    """An unsigned integer of 31, 32 or 64 bits in LEB128: seven bits per byte, lowest first."""

    bits: int = 32

    def read(self, cursor: Cursor) -> int:
        value, most = 0, -(-self.bits // 7)
        for index in range(most):
            byte = cursor.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if index and not byte:
                    raise CorruptError(f"the {cursor.what} is not in its shortest form")
                if value >> self.bits:
                    raise CorruptError(
                        f"the {cursor.what} is {value}, expected less than 2^{self.bits}"
                    )
                return value
        raise CorruptError(f"the {cursor.what} runs over {most} bytes")

    def write(self, sink: Sink, value: int) -> None:
        if not 0 <= value < 1 << self.bits:
            raise ArgumentError(f"{value} found where 0..2^{self.bits} - 1 is expected")
        while value >= 0x80:
            sink.put(bytes([value & 0x7F | 0x80]))
            value >>= 7
        sink.put(bytes([value]))

    def __str__(self) -> str:
        return "varint" if self.bits == 32 else f"varint of {self.bits} bits"


@dataclass(frozen=True)
class Signed:
    """An integer of 64 bits with sign: a varint of 2 n for n from 0 on, of -2 n - 1 below."""

    def read(self, cursor: Cursor) -> int:
        value = _LONG.read(cursor)
        return value >> 1 if not value & 1 else ~(value >> 1)

    def write(self, sink: Sink, value: int) -> None:
        _LONG.write(sink, 2 * value if value >= 0 else -2 * value - 1)

    def __str__(self) -> str:
        return "signed varint"


@dataclass(frozen=True)
class Ratio:
    """A fraction in its lowest terms; `optional`: 0/1 says that it is not known."""

    optional: bool = False
    bits: int = 31  # FFmpeg's fractions have no more

    def read(self, cursor: Cursor) -> Fraction | None:
        number = Varint(self.bits)
        above, below = number.read(cursor), number.read(cursor)
        if self.optional and (above, below) == (0, 1):
            return None
        found = Fraction(above, below or 1)
        if (found.numerator, found.denominator) != (above, below) or not found:
            raise CorruptError(
                f"the {cursor.what} is {above}/{below}, expected a positive fraction in its "
                "lowest terms"
            )
        return found

    def write(self, sink: Sink, value: Fraction | None) -> None:
        known = Fraction(0) if value is None and self.optional else value
        if not isinstance(known, Fraction) or known < 0 or (not known and not self.optional):
            raise ArgumentError(f"{value!r} found where a positive Fraction is expected")
        for number in (known.numerator, known.denominator):
            Varint(self.bits).write(sink, number)

    def __str__(self) -> str:
        name = "fraction" if self.bits == 31 else f"fraction of {self.bits} bits"
        return f"{name}, 0/1 for none" if self.optional else name


@dataclass(frozen=True)
class Blob:
    """Bytes behind their number."""

    def read(self, cursor: Cursor) -> bytes:
        return cursor.take(_SHORT.read(cursor))

    def write(self, sink: Sink, value: bytes) -> None:
        _SHORT.write(sink, len(value))
        sink.put(value)

    def __str__(self) -> str:
        return "bytes"


@dataclass(frozen=True)
class Text:
    """A text in UTF-8 behind the number of its bytes."""

    def read(self, cursor: Cursor) -> str:
        try:
            return _BLOB.read(cursor).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorruptError(f"the {cursor.what} is not UTF-8: {error.reason}") from error

    def write(self, sink: Sink, value: str) -> None:
        try:
            _BLOB.write(sink, value.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise ArgumentError(f"{value!r:.60} can't be written as UTF-8") from error

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class Tags:
    """Texts by name: their number, then names and texts in turn."""

    def read(self, cursor: Cursor) -> dict[str, str]:
        count = _SHORT.read(cursor)
        if 2 * count > len(cursor.data) - cursor.position:
            raise CorruptError(f"the {cursor.what} has {count} entries, its bytes hold fewer")
        tags: dict[str, str] = {}
        for _ in range(count):
            name = _TEXT.read(cursor)
            if name in tags:
                raise CorruptError(f"the {cursor.what} has {name!r:.60} twice")
            tags[name] = _TEXT.read(cursor)
        return tags

    def write(self, sink: Sink, value: dict[str, str]) -> None:
        _SHORT.write(sink, len(value))
        for name, text in value.items():
            _TEXT.write(sink, name)
            _TEXT.write(sink, text)

    def __str__(self) -> str:
        return "tags"


_SHORT, _LONG, _BLOB, _TEXT = Varint(), Varint(64), Blob(), Text()
