"""Files that are read from several places at once: a path, bytes, or an open file."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar, Union

from quantal.arguments import path
from quantal.errors import ArgumentError, MediaError
from quantal.names import shown

__all__ = ["Readable", "Source"]

Value = TypeVar("Value")

#: The path of a file, the bytes of one in any buffer, or a file open in binary mode.
Readable = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, IO[bytes]]


class Source:
    """A file of which independent readers can be opened.

    What can't be read twice, such as a pipe, is copied to a temporary file first. An open file is
    read from its start if it is seekable, and stays open.

    Args:
        source: A path, the bytes of a file, or an open file.

    Attributes:
        name: The source's name for messages.
        interrupt: What interrupted a read, such as KeyboardInterrupt, if something did. Readers
            are called from C, which can't pass it on.

    Raises:
        MediaError: It can't be opened, or is empty.
        ArgumentError: It is none of these.
    """

    def __init__(self, source: Readable) -> None:
        self.name = "the clip"
        self.interrupt: BaseException | None = None
        self.lock = threading.Lock()
        self._copy: IO[bytes] | None = None
        self._path: str | None = None
        self.file: Any = None
        self._bytes: bytes | None = None
        if isinstance(source, (str, os.PathLike)):
            self._from_path(path("clip", source))
        elif hasattr(source, "read"):
            self._from_file(source)
        else:
            try:
                self._bytes = bytes(memoryview(source).cast("B"))
            except (TypeError, ValueError) as error:
                raise ArgumentError(
                    f"{type(source).__name__} is not a clip: give a path, the bytes of a file, or "
                    "a file open in binary mode"
                ) from error
            if not self._bytes:
                raise MediaError(f"{self.name} is empty")

    def open(self) -> Any:
        """Return a new reader, as PyAV takes it: a URL of a file, or a binary file."""
        if self._path is not None:
            return f"file:{self._path}"
        if self._bytes is not None:
            return io.BytesIO(self._bytes)
        return _View(self)

    def close(self) -> None:
        """Remove the temporary copy, if there is one."""
        if self._copy is not None:
            self._copy.close()

    def _from_path(self, name: str) -> None:
        self.name = shown(name)
        try:
            with open(name, "rb") as file:
                if not Path(name).is_file():  # a pipe or a device
                    self._from_file(file)
                elif not file.read(1):
                    raise MediaError(f"{self.name} is empty")
                else:
                    self._path = os.path.abspath(name)
        except IsADirectoryError as error:
            raise MediaError(f"{self.name} is a folder, expected a file") from error
        except (OSError, ValueError) as error:
            if isinstance(error, ArgumentError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{self.name} can't be opened: {reason}") from error

    def _from_file(self, file: Any) -> None:
        try:
            if getattr(file, "seekable", bool)():
                self.file = file
                file.seek(0)
                beginning = file.read(1)
            else:
                beginning = file.read(1)
                if isinstance(beginning, bytes):
                    self._spool(beginning, file)
        except Exception as error:  # a closed file raises ValueError, other objects anything
            raise MediaError(f"{self.name} can't be read: {error}") from error
        if not isinstance(beginning, bytes):
            raise ArgumentError("a file in text mode is not a clip: open it in binary mode")
        if not beginning:
            raise MediaError(f"{self.name} is empty")

    def _spool(self, beginning: bytes, file: Any) -> None:
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the source
        try:
            copy.write(beginning)
            shutil.copyfileobj(file, copy, 1 << 20)
        except BaseException:
            copy.close()
            raise
        self._copy = self.file = copy

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


class _View:
    """A reader with a position of its own on a file that others read too.

    It raises nothing but OSError.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._at = source, 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end, or after an interrupt."""
        data = self._call(lambda file: self._read(file, size))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, as files do, and return it."""
        if whence == os.SEEK_CUR:
            offset, whence = self._at + offset, os.SEEK_SET
        self._at = self._call(lambda file: int(file.seek(offset, whence)))
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def _read(self, file: Any, size: int) -> bytes:
        file.seek(self._at)
        return bytes(file.read(size))

    def _call(self, work: Callable[[Any], Value]) -> Value:
        try:
            with self._source.lock:
                return work(self._source.file)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        except BaseException as interrupt:
            self._source.interrupt = interrupt
            raise OSError("interrupted") from interrupt
