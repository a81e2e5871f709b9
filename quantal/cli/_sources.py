"""One input of a call: a file, or bytes from standard input or another stream."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from quantal.cli._guard import describe
from quantal.errors import MediaError, QuantalError
from quantal.names import printable

__all__ = ["Failure", "Source", "is_folder", "is_stream", "read_stream"]

STREAM_LIMIT = 1 << 32
"""Bytes that are taken from a stream, which may have no end, as /dev/zero."""

_PIECE = 1 << 20  # bytes


@dataclass(frozen=True)
class Failure:
    """A file that was not done, and why."""

    name: str
    reason: str

    @property
    def line(self) -> str:
        """Both for a terminal."""
        return f"{printable(self.name)}: {self.reason}"


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: As it was given; the true name, which need not be text that can be encoded.
        path: Of a file, beside which its output may go; None for a stream that is in no folder.
        relative: Its place below an output folder: its name, or its path inside the folder that was
            given.
        data: The bytes of a stream, which can be read only once.
        pattern: Pattern of the names of numbered pictures in the folder `path`, which are one clip.
    """

    name: str
    path: Path | None
    relative: Path
    data: bytes | None = None
    pattern: str | None = None

    def content(self) -> Path | bytes:
        """Return the path of a file, or the bytes of a stream."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise QuantalError(f"{self.name} has neither a path nor bytes")
        return self.path

    def bytes(self, limit: int = -1) -> bytes:
        """Return the first `limit` bytes, or all."""
        content = self.content()
        if isinstance(content, bytes):
            return content if limit < 0 else content[:limit]
        with content.open("rb") as file:
            return file.read(limit)

    def size(self) -> int:
        """Return the length in bytes."""
        content = self.content()
        if isinstance(content, bytes):
            return len(content)
        if self.pattern is None and content.is_dir():  # of Zarr
            return sum(each.stat().st_size for each in content.rglob("*") if each.is_file())
        if self.pattern is None:
            return content.stat().st_size
        return sum(entry.stat().st_size for entry in os.scandir(content) if entry.is_file())

    def times(self) -> tuple[int, int] | None:
        """Return the times of access and modification in nanoseconds; None of a stream."""
        if self.data is not None or self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:  # reading it names the reason
            return None
        return found.st_atime_ns, found.st_mtime_ns

    def failure(self, error: Exception) -> Failure:
        """Return an error as a Failure, without the name, which precedes the reason."""
        path = printable(self.name if self.path is None else self.path)
        reason = describe(error).removeprefix(f"{path} ").removesuffix(f": {path}")
        return Failure(self.name, reason)


def is_folder(path: str | Path) -> bool:
    """Whether a path is a folder of files; one of Zarr, by its suffix, is taken for a file."""
    zarr = os.path.splitext(os.path.basename(os.path.normpath(path)))[1].lower() == ".zarr"
    return os.path.isdir(path) and not zarr


def is_stream(path: str | Path) -> bool:
    """Whether a path is a pipe, a device or a socket, which can't be read a second time."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def read_stream(file: BinaryIO) -> bytes:
    """Return all bytes of an open stream.

    Raises:
        MediaError: It has more than STREAM_LIMIT.
    """
    pieces, size = [], 0
    while piece := file.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > STREAM_LIMIT:
            raise MediaError(f"more than {STREAM_LIMIT:,} bytes came, expected one file")
    return b"".join(pieces)
