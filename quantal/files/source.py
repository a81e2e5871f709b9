"""The bytes of a .qtl file from bytes, a path, or an open binary file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Union

from quantal.errors import ArgumentError, MediaError

__all__ = ["Source", "read_source"]

#: The bytes of a file, its path, or a binary file open for reading.
Source = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", IO[bytes]]


def read_source(source: Source) -> bytes:
    """Return the bytes of a file.

    Args:
        source: the bytes themselves, a path, or a file open in binary mode.

    Raises:
        ArgumentError: If it is of another type.
        MediaError: If a file can't be read.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        if not str(source):
            raise ArgumentError("an empty path names no .qtl file")
        try:
            return Path(source).read_bytes()
        except OSError as error:
            raise MediaError(f"{source} can't be read: {error.strerror or error}") from error
    read = getattr(source, "read", None)
    data = read() if callable(read) else None
    if isinstance(data, bytes):
        return data
    kind = f"a text file ({type(source).__name__})" if isinstance(data, str) else None
    raise ArgumentError(
        f"{kind or type(source).__name__} is no .qtl file: give its bytes, its path, or the file "
        "open in binary mode"
    )
