"""Reading and writing of .qtl files: header, directory, parts and checksums.

Lengths of parts are checked against the length of the file before parts are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import IO, Any

from quantal.arguments import flag, typed, whole
from quantal.container._fields import PART_KINDS, pack_header, unpack_header
from quantal.container._model import File, Header, Info, Part, PartInfo
from quantal.container._wire import NAME_LIMIT, VARINT_BYTES, Cursor, Sink, UInt, Varint
from quantal.errors import ArgumentError, CorruptError, TruncatedError, UnsupportedVersionError

__all__ = ["HEADER_LIMIT", "as_bytes", "probe", "read", "read_part", "write"]

CHECKSUM_BYTES = 4
_MORE = 0x80
_KINDS = {code: kind for kind, code in PART_KINDS.items()}
_KIND, _LENGTH = UInt(8), Varint()


def _header_limit() -> int:
    longest = Header("a" * NAME_LIMIT, bytes(4), 1, 1, 0)
    return len(pack_header(longest)) + len(PART_KINDS) * (1 + VARINT_BYTES)


HEADER_LIMIT: int = _header_limit()
"""Maximum length of header and directory in bytes; `probe` needs no more of a file."""


def write(header: Header, parts: Sequence[Part]) -> bytes:
    """Encode a file.

    >>> header = Header("hyperprior", bytes(4), width=640, height=480, rate=150)
    >>> data = write(header, [Part("image", b"coded")])
    >>> len(data) - len(b"coded")
    29

    Args:
        header: The header.
        parts: The parts in any order, at most one of each kind; the image part is required.

    Returns:
        The bytes of the file.

    Raises:
        ArgumentError: The header or the parts are invalid.
    """
    typed("header", header, Header)
    for part in typed("parts", parts, Sequence):  # type: ignore[type-abstract]
        if typed("part", part, Part).kind not in PART_KINDS:
            raise ArgumentError(f"part {part.kind!r} found, expected {', '.join(PART_KINDS)}")
    ordered = sorted(parts, key=lambda part: PART_KINDS[part.kind])
    kinds = [part.kind for part in ordered]
    if kinds[:1] != ["image"]:
        raise ArgumentError("no image part found; every file needs one")
    if any(kind == following for kind, following in pairwise(kinds)):
        raise ArgumentError(f"parts {', '.join(kinds)} found, expected at most one of each kind")

    sink = Sink(bytearray(pack_header(header)))
    for part in ordered:
        more = _MORE if part is not ordered[-1] else 0
        _KIND.write(sink, PART_KINDS[part.kind] | more)
        _LENGTH.write(sink, len(part.data))
    head = bytes(sink.data)
    pieces = [head]
    for part in ordered:
        pieces += [part.data, _checksum(head, part.data)]
    return b"".join(pieces)


def probe(data: bytes, size: int | None = None, cut: bool = False) -> Info:
    """Read the header and directory of a file. Checksums are not verified; `read` does that.

    >>> header = Header("hyperprior", bytes(4), width=640, height=480, rate=150)
    >>> info = probe(write(header, [Part("image", b"coded")]))
    >>> info.quality, info.parts
    (60, (PartInfo(name='image', offset=25, bytes=5),))

    Args:
        data: The first bytes of a file; `HEADER_LIMIT` bytes are enough.
        size: Size of the file in bytes, by default that of `data`.
        cut: Accept a truncated file.

    Raises:
        CorruptError: The file is damaged or no .qtl file.
        TruncatedError: The file is truncated.
        UnsupportedVersionError: The file needs a newer version of Quantal.
    """
    data = as_bytes(data)
    size = len(data) if size is None else whole("size", size, 0)
    cut = flag("cut", cut)
    cursor = Cursor(data[:HEADER_LIMIT])
    header = unpack_header(cursor)
    lengths = _read_directory(cursor)
    parts, position = [], cursor.position
    for kind, length in lengths:
        parts.append(PartInfo(kind, position, length))
        position += length + CHECKSUM_BYTES
    if position > size and not cut:
        raise TruncatedError(
            f"the file has {size} bytes, its header announces {position}; it was cut, "
            "fetch it again"
        )
    if position < size:
        raise CorruptError(
            f"the file has {size} bytes, its header announces {position}; "
            f"{size - position} trailing bytes belong to nothing"
        )
    return Info(header, cursor.position, tuple(parts), size)


def read(data: bytes, cut: bool = False, damaged: bool = False) -> File:
    """Read a file and verify its structure and all checksums.

    Args:
        data: The bytes of a file.
        cut: Accept a truncated file. Its image part may then be shorter and is not verified;
            other incomplete parts are left out.
        damaged: Accept parts with wrong checksums. A damaged image part is returned; other
            damaged parts are left out.

    Raises:
        CorruptError: The file is damaged or no .qtl file.
        TruncatedError: The file is truncated.
        UnsupportedVersionError: The file needs a newer version of Quantal.
    """
    data, damaged = as_bytes(data), flag("damaged", damaged)
    info = probe(data, cut=cut)
    head = data[: info.header_bytes]
    parts, missing, wrong = [], 0, []
    for part in info.parts:
        end = part.offset + part.bytes
        content = data[part.offset : end]
        if end + CHECKSUM_BYTES <= len(data):
            try:
                _check(part, content, head, data[end : end + CHECKSUM_BYTES])
            except CorruptError:
                if not damaged:
                    raise
                wrong.append(part.name)
                if part.name != "image":
                    continue
        elif part.name == "image":
            missing = part.bytes - len(content)
            wrong.append(part.name)
        else:
            continue
        parts.append(Part(part.name, content))
    short = end + CHECKSUM_BYTES > len(data)
    return File(info.header, tuple(parts), missing, short, tuple(wrong))


def read_part(file: IO[bytes], info: Info, kind: str) -> bytes | None:
    """Read one part of an open file and verify its checksum, without the others.

    Args:
        file: The file, seekable.
        info: Its header and directory, from `probe`.
        kind: One of `PART_KINDS`.

    Returns:
        The bytes of the part; None if the file has none of this kind.

    Raises:
        CorruptError: The part or the header is damaged.
    """
    typed("kind", kind, str)
    part = next((part for part in typed("info", info, Info).parts if part.name == kind), None)
    if part is None:
        return None
    head = _read_at(file, 0, info.header_bytes)
    content = _read_at(file, part.offset, part.bytes + CHECKSUM_BYTES)
    content, stored = content[: part.bytes], content[part.bytes :]
    _check(part, content, head, stored)
    return content


def _read_at(file: IO[bytes], place: int, count: int) -> bytes:
    try:
        file.seek(place)
        return typed("what a file returns", file.read(count), bytes)
    except (AttributeError, TypeError, ValueError) as error:  # ValueError from a closed file
        raise ArgumentError(
            f"{type(file).__name__} is not a file open for reading in binary mode: {error}"
        ) from error


def as_bytes(data: Any) -> bytes:
    """Return the bytes of a buffer."""
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).tobytes()
    except (TypeError, ValueError, BufferError) as error:
        raise ArgumentError(
            f"{type(data).__name__} is not a .qtl file, expected its bytes; read the file first"
        ) from error


def _check(part: PartInfo, content: bytes, head: bytes, stored: bytes) -> None:
    expected = _checksum(head, content)
    if stored != expected:
        raise CorruptError(
            f"the {part.name} part has the checksum {stored.hex()}, expected {expected.hex()}; "
            "it or the header is damaged, fetch the file again"
        )


def _checksum(head: bytes, content: bytes) -> bytes:
    """Return the checksum of a part, which also covers the header."""
    return zlib.crc32(content, zlib.crc32(head)).to_bytes(CHECKSUM_BYTES, "little")


def _read_directory(cursor: Cursor) -> list[tuple[str, int]]:
    """Return the kind and the length in bytes of every part."""
    cursor.what = "directory"
    lengths: list[tuple[str, int]] = []
    last, more = 0, True
    while more:
        byte = _KIND.read(cursor)
        code, more = byte & ~_MORE, bool(byte & _MORE)
        if code <= last or (not lengths and code != PART_KINDS["image"]):
            raise CorruptError(
                f"part kind {code} found after {last} in the directory, expected the image part "
                "first and rising kinds; the file is damaged"
            )
        if code not in _KINDS:
            raise UnsupportedVersionError(
                f"part kind {code} found, expected 1..{max(_KINDS)}; "
                "the file needs a newer Quantal: update this one"
            )
        lengths.append((_KINDS[code], _LENGTH.read(cursor)))
        last = code
    return lengths
