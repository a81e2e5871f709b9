"""Files that are written whole or not at all, and errors of writing as one error of ours."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from quantal.errors import OutputError
from quantal.names import shown

__all__ = [
    "OutputFile",
    "Sink",
    "create_folder",
    "output_errors",
    "replaced_whole",
    "write_whole",
]


@contextmanager
def output_errors(path: str | Path) -> Iterator[None]:
    """Convert errors of the operating system to OutputError, which names the file."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError for names that no file can have
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{shown(path)} can't be written: {reason}; make room, or name another place"
        ) from error


class Sink(Protocol):
    """What a file is written to."""

    def write(self, data: bytes, /) -> int: ...
    def seekable(self) -> bool: ...
    def seek(self, offset: int, /) -> int: ...
    def truncate(self) -> int: ...


class OutputFile:
    """A new file whose errors are OutputError; those of what is written to it stay as they are.

    Args:
        path: The file, which is created.
        name: What messages call it.

    Raises:
        OutputError: It can't be created.
    """

    def __init__(self, path: str | Path, name: str | Path) -> None:
        self._name = name
        with output_errors(name):
            self._file = open(path, "wb")  # noqa: SIM115 - lives as long as this object

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(self, *error: object) -> None:
        with output_errors(self._name):
            self._file.close()

    def write(self, data: bytes) -> int:
        with output_errors(self._name):
            return self._file.write(data)

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int) -> int:
        with output_errors(self._name):
            return self._file.seek(offset)

    def truncate(self) -> int:
        with output_errors(self._name):
            return self._file.truncate()


def create_folder(path: str | Path) -> None:
    """Create a folder and those above it, unless it is there; OutputError if that fails."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if getattr(error, "errno", None) in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
            there = next((p for p in (folder, *folder.parents) if os.path.lexists(p)), folder)
            what = "a link that leads to no folder" if there.is_symlink() else "a file"
            reason = f"{shown(there)} is {what}; remove it, or name another place"
        raise OutputError(f"{shown(path)} can't be created as a folder: {reason}") from error


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Write a file, or leave what is there.

    Args:
        path: The file; if it is a link, what the link names.
        content: Its bytes, or a text to encode as UTF-8.

    Raises:
        OutputError: It can't be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replaced_whole(path) as partial, output_errors(path):
        partial.write_bytes(data)


@contextmanager
def replaced_whole(path: str | Path) -> Iterator[Path]:
    """Give a place for a file, or a new folder, that takes a name only when it is complete.

    After an error or an interrupt nothing is left of it.

    Args:
        path: The name to take; if it is a link, what the link names.

    Yields:
        A path beside it, where nothing is. A device or a pipe can't be replaced: its own path.

    Raises:
        OutputError: The name can't be taken.
    """
    with output_errors(path):
        target = Path(os.path.realpath(path))
        replaceable = not target.exists() or target.is_file() or target.is_dir()
    if not replaceable:
        yield target
        return
    # 60 characters are at most 240 bytes; with the rest, a name has at most 255.
    partial = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.part")
    try:
        yield partial
        with output_errors(path):
            os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            _remove(partial)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
