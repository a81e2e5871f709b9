"""Tars as webdataset writes them: their members as rows, and a batch of results as one of them.

A tar is read where it lies: a row names its member by offset and size. It must not be compressed.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from quantal.engine.places import Place
from quantal.errors import MediaError, QuantalError

__all__ = ["Member", "bundle", "key_of", "members"]


@dataclass(frozen=True)
class Member:
    """A file inside a tar.

    Attributes:
        beside: Names, offsets and sizes of the other files of its sample, such as its class.
    """

    name: str
    offset: int
    size: int
    beside: tuple[tuple[str, int, int], ...] = ()


def key_of(name: str) -> str:
    """Return what the files of a sample have in common: the path up to the name's first dot."""
    folder, base = posixpath.split(name)
    return posixpath.join(folder, base.partition(".")[0])


def members(place: Place, path: str, suffixes: Collection[str]) -> Iterator[Member]:
    """Yield the members of a tar that have one of some suffixes.

    Raises:
        MediaError: It is no tar, or it can't be read.
    """
    samples: dict[str, list[tuple[str, int, int]]] = {}
    try:
        with place.open(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if info.isfile():
                    about = (info.name, info.offset_data, info.size)
                    samples.setdefault(key_of(info.name), []).append(about)
    except (tarfile.TarError, EOFError) as error:
        raise MediaError(
            f"{place.url(path)} is not a tar that can be read in place: {error}"
        ) from error
    except QuantalError:
        raise
    except OSError as error:
        raise MediaError(f"{place.url(path)} can't be read: {error.strerror or error}") from error
    for files in samples.values():
        wanted = [each for each in files if posixpath.splitext(each[0])[1].lower() in suffixes]
        others = tuple(each for each in files if each not in wanted)
        for number, (name, offset, size) in enumerate(wanted):
            yield Member(name, offset, size, () if number else others)


def bundle(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a tar of files by their names; equal files give equal tars."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()
