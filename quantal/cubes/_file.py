"""The layout of .qcube files: magic, version, header, sections, checksums.

The specification is in docs/how-to/cubes.md. What the header says is in `_header`. Only the
standard library is needed.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantal.errors import ArgumentError, CorruptError, TruncatedError, UnsupportedVersionError

__all__ = ["BEGINNING", "HEADER_LIMIT", "MAGIC", "Sections", "pack", "unpack", "unzipped"]

MAGIC = b"\x8bQCB"
VERSION = 1
HEADER_LIMIT = 1 << 23
"""Bytes that a header may have."""

_FIXED = struct.Struct("<4sBI")  # magic, version, bytes of the header
_CHECKSUM = struct.Struct("<I")
BEGINNING = _FIXED.size + HEADER_LIMIT + _CHECKSUM.size
"""Bytes of a file that hold its header."""
_ZLIB_RATIO, _ZLIB_SLACK = 1032, 64  # zlib packs no tighter


@dataclass(frozen=True)
class Sections:
    """The header of a file as JSON, and its sections.

    Attributes:
        header: what JSON gave, not yet checked.
        data: the whole file.
        places: offset and length in bytes of every section.
        checksum: of everything before the sections.
    """

    header: dict[str, Any]
    data: bytes
    places: tuple[tuple[int, int], ...]
    checksum: int

    def read(self, index: int) -> bytes:
        """Return a section whose checksum is verified.

        Raises:
            CorruptError: It is damaged.
        """
        offset, length = self.places[index]
        content = self.data[offset : offset + length]
        (stored,) = _CHECKSUM.unpack_from(self.data, offset + length)
        found = _section_checksum(content, index, self.checksum)
        if stored != found:
            raise CorruptError(
                f"section {index} of the .qcube file has the checksum {stored:08x}, expected "
                f"{found:08x}; it or the header is damaged, fetch the file again"
            )
        return content

    def check(self) -> None:
        """Verify the checksums of all sections; CorruptError if one is wrong."""
        for index in range(len(self.places)):
            self.read(index)


def pack(header: dict[str, Any], sections: Sequence[bytes]) -> bytes:
    """Return the bytes of a file.

    Args:
        header: everything but the lengths of the sections.
        sections: their contents.

    Raises:
        ArgumentError: The header is larger than HEADER_LIMIT.
    """
    document = {**header, "sections": [len(section) for section in sections]}
    text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > HEADER_LIMIT:
        raise ArgumentError(
            f"the dataset's attributes and bands need a header of {len(text):,} bytes, a file has "
            f"room for {HEADER_LIMIT:,}; leave attributes out, or split the dataset"
        )
    head = _FIXED.pack(MAGIC, VERSION, len(text)) + text
    seed = zlib.crc32(head)
    pieces = [head, _CHECKSUM.pack(seed)]
    for index, section in enumerate(sections):
        pieces += [section, _CHECKSUM.pack(_section_checksum(section, index, seed))]
    return b"".join(pieces)


def unpack(data: bytes, size: int | None = None) -> Sections:
    """Read the header of a file, and find its sections; their checksums are not verified.

    Args:
        data: the file, or its first BEGINNING bytes if no section will be read.
        size: of the file; default: of `data`.

    Raises:
        CorruptError: It is damaged, or no .qcube file.
        TruncatedError: It was cut.
        UnsupportedVersionError: It needs a newer Quantal.
    """
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise CorruptError(
            f"not a .qcube file: starts with {data[:4].hex(' ')}, expected {MAGIC.hex(' ')}; name "
            "one that `quantal compress` wrote"
        )
    size = len(data) if size is None else size
    if len(data) < _FIXED.size:
        raise _cut(size, _FIXED.size)
    _, version, length = _FIXED.unpack_from(data)
    if version != VERSION:
        raise UnsupportedVersionError(
            f"version {version} of .qcube found, expected {VERSION}; update Quantal"
        )
    if length > HEADER_LIMIT:
        raise CorruptError(f"a header of {length:,} bytes found, expected at most {HEADER_LIMIT:,}")
    end = _FIXED.size + length
    if end + _CHECKSUM.size > len(data):
        raise _cut(size, end + _CHECKSUM.size)
    seed = zlib.crc32(memoryview(data)[:end])
    if _CHECKSUM.unpack_from(data, end)[0] != seed:
        raise CorruptError("the header of the .qcube file is damaged; fetch the file again")
    try:
        header = json.loads(data[_FIXED.size : end])
        lengths = header["sections"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError(f"the header of the .qcube file can't be read: {error!r:.80}") from error
    return Sections(header, data, _places(lengths, end + _CHECKSUM.size, size), seed)


def unzipped(packed: bytes, size: int, what: str) -> bytes:
    """Return `size` bytes that zlib packed.

    Args:
        packed: a zlib stream.
        size: of the bytes that it must hold; no memory is taken that `packed` does not justify.
        what: is in it, for errors.

    Raises:
        CorruptError: It holds another number of bytes, or is damaged.
    """
    if size > _ZLIB_RATIO * len(packed) + _ZLIB_SLACK:
        raise CorruptError(f"{len(packed)} bytes of {what} found, too few for {size:,} bytes")
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(packed, size + 1)
    except zlib.error as error:
        raise CorruptError(f"{what} can't be unpacked: {error}") from error
    if len(found) != size or not unpacking.eof or unpacking.unused_data:
        raise CorruptError(f"{what} has other than the expected {size:,} bytes")
    return found


def _places(lengths: Any, start: int, size: int) -> tuple[tuple[int, int], ...]:
    if not isinstance(lengths, list) or any(type(n) is not int or n < 0 for n in lengths):
        raise CorruptError("the .qcube file has no list of the lengths of its sections")
    places = []
    for length in lengths:
        places.append((start, length))
        start += length + _CHECKSUM.size
    if start > size:
        raise _cut(size, start)
    if start < size:
        raise CorruptError(f"{size - start} bytes behind the last section belong to nothing")
    return tuple(places)


def _cut(found: int, expected: int) -> TruncatedError:
    return TruncatedError(
        f"the .qcube file has {found} bytes, at least {expected} are needed; it was cut, fetch it "
        "again"
    )


def _section_checksum(content: bytes, index: int, seed: int) -> int:
    """A checksum that also covers the header and the place of the section."""
    return zlib.crc32(content, zlib.crc32(_CHECKSUM.pack(index), seed))
