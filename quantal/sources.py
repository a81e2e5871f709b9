"""The bytes of a file from any buffer, a path, or an open binary file."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any, Union

from quantal.arguments import path
from quantal.errors import ArgumentError, MediaError
from quantal.names import shown

__all__ = ["Copied", "Source", "read_source"]

#: The bytes of a file in any buffer, its path, or a binary file open for reading.
Source = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", IO[bytes]]


def read_source(source: Source, what: str = ".qtl file") -> bytes:
    """Return the bytes of a file.

    Args:
        source: The bytes in any contiguous buffer, such as bytes, mmap or a uint8 array; a path;
            or a file open in binary mode, which is read from where it is.
        what: The kind of file, for errors.

    Raises:
        ArgumentError: The source is of another type.
        MediaError: A file can't be read.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, (str, os.PathLike)):
        name = path(what, source)
        try:
            return Path(name).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{shown(name)} can't be read: {reason}") from error
    found: Any = source
    if not _is_buffer(found) and callable(getattr(found, "read", None)):
        found = _read_from(found, what)
    if _is_buffer(found):
        return memoryview(found).tobytes()
    raise ArgumentError(
        f"{type(source).__name__} is not a {what}: give its bytes, its path, or the file open in "
        "binary mode"
    )


def _read_from(file: IO[Any], what: str) -> object:
    try:
        data = file.read()
    except UnicodeDecodeError:
        data = ""
    except (OSError, ValueError) as error:  # a closed file raises ValueError
        raise MediaError(f"the {what} can't be read: {error}") from error
    if isinstance(data, str):
        raise ArgumentError(
            f"a text file ({type(file).__name__}) is not a {what}: open it in binary mode"
        )
    return data


def _is_buffer(source: Any) -> bool:
    """Whether an object is a contiguous buffer of bytes."""
    try:
        view = memoryview(source)
    except (TypeError, ValueError, BufferError):
        return False
    return view.contiguous and view.format in ("B", "b", "c")


class Copied:
    """A pipe as a file that can be sought: what was read of it is in a temporary file.

    No more is taken from the pipe than was asked for.

    Args:
        pipe: Open for reading in binary mode.
        own: Whether close() closes the pipe as well.
    """

    def __init__(self, pipe: IO[bytes], own: bool = False) -> None:
        self._pipe, self._own, self._at, self._taken = pipe, own, 0, 0
        self._copy = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end."""
        self._copy.seek(0, os.SEEK_END)
        while self._taken < self._at + count:
            piece = self._pipe.read(self._at + count - self._taken)
            if not piece:
                break
            self._copy.write(piece)
            self._taken += len(piece)
        self._copy.seek(self._at)
        data = self._copy.read(count)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it; the end is known only once all of the pipe was read."""
        if whence == os.SEEK_END:
            self._copy.seek(0, os.SEEK_END)
            shutil.copyfileobj(self._pipe, self._copy)
            self._taken = self._copy.tell()
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._taken}[whence]
        self._at = begin + offset
        return self._at

    def close(self) -> None:
        """Remove the temporary file."""
        self._copy.close()
        if self._own:
            self._pipe.close()
