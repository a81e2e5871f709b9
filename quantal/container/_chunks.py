"""Chunks: self-delimiting pieces of a clip, each with a checksum that also covers the header.

No length is believed: what a chunk announces is read in pieces, or compared with the file's size.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from quantal.arguments import typed
from quantal.container._clip_fields import CHUNK_KINDS
from quantal.container._wire import Cursor, Sink, UInt, Varint
from quantal.errors import (
    ArgumentError,
    CorruptError,
    MediaError,
    QuantalError,
    TruncatedError,
    UnsupportedVersionError,
)

__all__ = ["CHECKSUM", "ChunkInfo", "pack_chunk", "read_at", "read_chunk", "read_head", "size_of"]

CHECKSUM = UInt(32)
CHECKSUM_BYTES = 4
_HEAD_BYTES = 6  # at most
_PIECE = 1 << 20
_KIND, _LENGTH = UInt(8), Varint()
_NAMES = {code: kind for kind, code in CHUNK_KINDS.items()}


@dataclass(frozen=True)
class ChunkInfo:
    """The head of a chunk.

    Attributes:
        kind: One of `CHUNK_KINDS`, or an unknown number.
        offset: Position of its first byte.
        start: Position of its content.
        length: Length of its content in bytes.
    """

    kind: str | int
    offset: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """Position behind its checksum."""
        return self.start + self.length + CHECKSUM_BYTES

    @property
    def bytes(self) -> int:
        """Its length as a whole."""
        return self.end - self.offset


def pack_chunk(kind: str, content: bytes, seed: int) -> bytes:
    """Encode a chunk.

    Args:
        kind: One of `CHUNK_KINDS`.
        content: Its bytes.
        seed: Checksum of the header.
    """
    sink = Sink()
    _KIND.write(sink, CHUNK_KINDS[kind])
    _LENGTH.write(sink, len(content))
    head = bytes(sink.data)
    checksum = zlib.crc32(content, zlib.crc32(head, seed))
    return b"".join((head, content, checksum.to_bytes(CHECKSUM_BYTES, "little")))


def read_at(file: IO[bytes], place: int, count: int) -> bytes:
    """Return up to `count` bytes at a place; memory grows no faster than bytes come.

    Raises:
        ArgumentError: It is no file open for reading in binary mode.
        MediaError: The file can't be read.
    """
    pieces: list[bytes] = []
    with _read_errors(file):
        file.seek(place)
        while count > 0:
            piece = typed("what a file returns", file.read(min(count, _PIECE)), bytes)
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
    return b"".join(pieces)


def size_of(file: IO[bytes]) -> int:
    """Return the size of a file in bytes; errors are those of read_at()."""
    with _read_errors(file):
        return file.seek(0, os.SEEK_END)


@contextmanager
def _read_errors(file: IO[bytes]) -> Iterator[None]:
    try:
        yield
    except QuantalError:
        raise
    except (AttributeError, TypeError, ValueError) as error:  # ValueError from a closed file
        raise ArgumentError(
            f"{type(file).__name__} is not a file open for reading in binary mode: {error}"
        ) from error
    except OSError as error:
        raise MediaError(f"the file can't be read: {error.strerror or error}") from error


def read_head(file: IO[bytes], offset: int) -> ChunkInfo | None:
    """Read the head of the chunk at an offset; None at the end of the file.

    Raises:
        TruncatedError: The file ends inside it.
        CorruptError: It has no length.
    """
    data = read_at(file, offset, _HEAD_BYTES)
    if not data:
        return None
    cursor = Cursor(data, what="length", place="head of a chunk")
    code = _KIND.read(cursor)
    length = _LENGTH.read(cursor)
    return ChunkInfo(_NAMES.get(code, code), offset, offset + cursor.position, length)


def read_chunk(file: IO[bytes], chunk: ChunkInfo, seed: int) -> bytes:
    """Return the content of a chunk, whose checksum is verified.

    Args:
        file: The file, seekable.
        chunk: Its head.
        seed: Checksum of the header.

    Raises:
        TruncatedError: The file ends inside it.
        CorruptError: It or the header is damaged.
        UnsupportedVersionError: It is whole, but of an unknown kind.
    """
    data = read_at(file, chunk.offset, chunk.bytes)
    if len(data) < chunk.bytes:
        raise TruncatedError(
            f"the {chunk.kind} chunk at {chunk.offset} announces {chunk.bytes} bytes, "
            f"{len(data)} are there; the file was cut, fetch it again"
        )
    stored = data[-CHECKSUM_BYTES:]
    found = zlib.crc32(memoryview(data)[:-CHECKSUM_BYTES], seed).to_bytes(CHECKSUM_BYTES, "little")
    if stored != found:
        raise CorruptError(
            f"the {chunk.kind} chunk at {chunk.offset} has the checksum {stored.hex()}, expected "
            f"{found.hex()}; it or the header is damaged, fetch the file again"
        )
    if isinstance(chunk.kind, int):
        raise UnsupportedVersionError(
            f"chunk kind {chunk.kind} found, expected 1..{max(_NAMES)}; the file needs a newer "
            "Quantal: update this one"
        )
    return data[chunk.start - chunk.offset : -CHECKSUM_BYTES]
