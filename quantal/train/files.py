"""The files of training pictures, in folders and tar shards, before they are decoded."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from quantal import media
from quantal.errors import ArgumentError, MediaError
from quantal.names import shown

__all__ = ["files_under", "pictures_in", "pictures_under"]

_SHARD = ".tar"
_BLOCK = 512  # bytes; a tar file consists of such
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)


def pictures_under(place: str | Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name, for messages, and the bytes of every picture of a place.

    Args:
        place: a folder, whose folders and tar shards are searched too, a tar shard, or a picture.

    Raises:
        ArgumentError: If the place does not exist.
        MediaError: If a folder, a shard or a file can't be read.
    """
    for file in files_under(place):
        yield from pictures_in(file)


def pictures_in(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name, for messages, and the bytes of every picture of a tar shard or a picture.

    Raises:
        MediaError: If it can't be read.
    """
    if file.suffix.lower() == _SHARD:
        yield from _members(file)
    else:
        yield shown(file), _bytes_of(file)


def files_under(place: str | Path) -> list[Path]:
    """Return the tar shards and pictures of a place, as pictures_under() takes it."""
    path = Path(place)
    if not os.fspath(place):
        raise ArgumentError("training data has an empty path; name a folder, shard or picture")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise ArgumentError(
            f"training data {shown(path)} does not exist; name a folder, shard or picture"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISDIR(mode):
        return [path]
    return [
        file for file in _files_below(path) if file.suffix.lower() == _SHARD or _is_picture(file)
    ]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in media.PICTURE_SUFFIXES


def _files_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename), error)

    return sorted(
        Path(parent, name) for parent, _, names in os.walk(folder, onerror=refuse) for name in names
    )


def _bytes_of(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            raise MediaError(f"training picture {shown(path)} is not a file; remove it")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _members(shard: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures in a tar shard."""
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                name = f"{shown(shard)}: {shown(member.name)}"
                if not _is_picture(Path(member.name)) or member.isdir():
                    continue
                try:
                    stream = tar.extractfile(member)
                except KeyError as error:
                    raise MediaError(
                        f"training picture {name} is a link to a member that the shard lacks"
                    ) from error
                if stream is not None:
                    yield name, stream.read()
            _check_end(tar, shard)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise _unreadable(shard, error) from error
        raise _damaged(shard, str(error)) from error


def _check_end(tar: tarfile.TarFile, shard: Path) -> None:
    """Raise MediaError unless a shard ends with its end mark.

    tarfile takes a damaged header within a shard for its end, and says nothing.
    """
    if tar.fileobj is not None:
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(_BLOCK) != bytes(_BLOCK):
            raise _damaged(shard, f"no member or end mark at byte {tar.offset:,}")


def _damaged(shard: Path, why: str) -> MediaError:
    return MediaError(
        f"training data {shown(shard)} is not a tar shard, or a damaged or cut one: {why}; make it "
        "again"
    )


def _unreadable(path: Path, error: OSError) -> MediaError:
    why = error.strerror or str(error)
    return MediaError(f"training data {shown(path)} can't be read: {why}")
