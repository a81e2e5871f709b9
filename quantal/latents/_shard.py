"""Reading of shards: a mapped file, its index, and symbols of one picture or of many at once."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantal.arguments import path as path_of
from quantal.arguments import whole
from quantal.errors import ArgumentError, BitstreamError, CorruptError, MediaError
from quantal.latents._failures import named
from quantal.latents._format import (
    ENTRY,
    HEAD,
    SUFFIX,
    Flags,
    Head,
    Kind,
    Layout,
    check_entries,
    unpack_layouts,
)
from quantal.latents._runs import Array, from_bytes, inflated, joined_runs
from quantal.names import shown

__all__ = ["About", "Shard", "find_shards", "holds_shards"]


@dataclass(frozen=True)
class About:
    """What a shard says of a picture.

    Attributes:
        name: path of its file below the folder that was packed, with "/".
        width: picture width, in pixels.
        height: picture height, in pixels.
        rate: 0..252.
        shapes: shapes of its symbols.
        bytes: bytes that it takes, without its place in the index.
    """

    name: str
    width: int
    height: int
    rate: int
    shapes: tuple[tuple[int, ...], ...]
    bytes: int


class Shard:
    """A shard that is mapped into memory; it can be pickled, and used after a fork.

    Opening checks head and index; a picture's checksum is verified when it is read.

    Args:
        path: path of the shard.

    Attributes:
        codec: name of the codec of all its pictures.
        model_hash: hash of the model that parsed them, 4 bytes.

    Raises:
        BitstreamError: It is no shard, or damaged.
        MediaError: It can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path_of("shard", path))
        try:
            self._open()
        except BitstreamError as error:
            raise named(str(self.path), error) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{shown(self.path)} can't be read: {reason}") from error

    def _open(self) -> None:
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._head = head = Head.unpack(file.read(HEAD.size), size)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.codec, self.model_hash = head.codec, head.model_hash
        self._view = view = memoryview(self._map)
        found = zlib.crc32(view[head.index :])
        if found != head.checksum:
            raise CorruptError(
                f"the index has the checksum {found:08x}, expected {head.checksum:08x}; fetch the "
                "shard again"
            )
        sections, start = [], head.index
        for length in head.lengths:
            sections.append(view[start : start + length])
            start += length
        order = np.frombuffer(sections[0], "<u2").astype(np.intp)
        if not np.array_equal(np.sort(order), np.arange(len(order))):
            raise CorruptError("the order of rows is not a permutation; pack the shard again")
        #: Where each row is among those that are stored.
        self._places = np.argsort(order)
        self._layouts = unpack_layouts(bytes(sections[1]), len(order), head.count)
        self._entries: Array = np.frombuffer(sections[2], ENTRY)
        self._names = sections[3]
        check_entries(self._entries, self._layouts, head)

    def __len__(self) -> int:
        return self._head.count

    def __reduce__(self) -> tuple[Any, ...]:
        return Shard, (self.path,)

    def _number(self, index: int) -> int:
        return whole("index", index, 0, len(self) - 1)

    def about(self, index: int) -> About:
        """Return what the index says of a picture.

        Raises:
            ArgumentError: There is no such picture.
        """
        entry = self._entries[self._number(index)]
        sizes = (int(entry[name]) for name in ("runs_bytes", "plain_bytes", "beside_bytes"))
        return About(
            self.name(index),
            int(entry["width"]) + 1,
            int(entry["height"]) + 1,
            int(entry["rate"]),
            self._layouts[int(entry["layout"])].shapes,
            sum(sizes),
        )

    def name(self, index: int) -> str:
        """Return the name of a picture; bytes that are no UTF-8 are surrogates, as in paths.

        Raises:
            ArgumentError: There is no such picture.
        """
        index = self._number(index)
        ends = self._entries["name"]
        start = int(ends[index - 1]) if index else 0
        return bytes(self._names[start : int(ends[index])]).decode("utf-8", "surrogateescape")

    def column(self, name: str) -> Array:
        """Return a field of all pictures: "width", "height" (both less one), "rate" or "layout"."""
        return self._entries[name]

    def shapes(self, layout: int) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the symbols of a layout, which column("layout") numbers."""
        return self._layouts[layout].shapes

    def symbols(self, index: int) -> list[Array]:
        """Return the symbols of a picture, integers of the smallest type that holds them all.

        Raises:
            CorruptError: It is damaged; the message has its name.
            ArgumentError: There is no such picture.
        """
        return [part[0] for part in self.block([index])]

    def block(
        self,
        indices: Sequence[int],
        damaged: Callable[[int, BitstreamError], object] | None = None,
    ) -> list[Array]:
        """Return the symbols of pictures whose symbols have the same shapes.

        Args:
            indices: numbers of the pictures.
            damaged: called with the number of every picture that can't be read and its error; the
                picture is left out. Without it, the first one is an error.

        Returns:
            Integers [B, *shape] of every part, in the smallest type that holds them all: int8,
            int16 or int32.

        Raises:
            CorruptError: A picture is damaged; the message has its name.
            ArgumentError: The shapes differ, or there are no such pictures.
        """
        indices = [self._number(index) for index in indices]
        if not indices:
            raise ArgumentError("an empty list of pictures can't be a block; name at least one")
        rows = self._entries[np.asarray(indices, np.intp)]
        kinds = np.unique(rows["layout"])
        if len(kinds) != 1:
            raise ArgumentError(
                f"pictures of {len(kinds)} layouts can't be one block; expected the same for all"
            )
        layout = self._layouts[int(kinds[0])]
        runs: list[bytes | memoryview] = []
        plain: list[Array] = []
        for index, row in zip(indices, rows.tolist(), strict=True):
            try:
                one = self._streams(row)
            except CorruptError as error:
                about = CorruptError(f"{shown(self.path)}: {shown(self.name(index))}: {error}")
                if damaged is None:
                    raise about from error
                damaged(index, about)
                continue
            runs.append(one[0])
            plain.append(one[1])
        try:
            return self._join(layout, runs, plain)
        except CorruptError as error:
            if len(indices) == 1 and damaged is None:
                name = shown(self.name(indices[0]))
                raise CorruptError(f"{shown(self.path)}: {name}: {error}") from error
        # The checksums are right but the symbols wrong: find out whose.
        return self._one_by_one(indices, damaged)

    def _one_by_one(
        self, indices: Sequence[int], damaged: Callable[[int, BitstreamError], object] | None
    ) -> list[Array]:
        found = []
        for index in indices:
            try:
                found.append(self.block([index]))
            except CorruptError as error:
                if damaged is None:
                    raise
                damaged(index, error)
        if not found:
            return [np.zeros((0, *shape), np.int8) for shape in self.about(indices[0]).shapes]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def _streams(self, row: tuple[int, ...]) -> tuple[bytes | memoryview, Array]:
        """Return the runs and the plain values of a row of the index."""
        start, runs, plain, runs_bytes, plain_bytes, beside, checksum, *_, flags, _ = row
        data = self._view[start : start + runs_bytes + plain_bytes + beside]
        found = zlib.crc32(data)
        if found != checksum:
            raise CorruptError(
                f"it has the checksum {found:08x}, expected {checksum:08x}; pack it again"
            )
        width = 4 if flags & Flags.FOUR_BYTES else 2 if flags & Flags.TWO_BYTES else 1
        values = inflated(data[runs_bytes : runs_bytes + plain_bytes], plain)
        return inflated(data[:runs_bytes], runs), from_bytes(values, width)

    def _join(
        self, layout: Layout, runs: Sequence[bytes | memoryview], plain: Sequence[Array]
    ) -> list[Array]:
        """Return the symbols that runs and plain values of pictures of a layout stand for."""
        count, dense = len(runs), layout.size(Kind.PLAIN)
        kind = max((part.dtype for part in plain), key=lambda dtype: dtype.itemsize, default="i1")
        values = np.empty((count, dense), kind)
        for row, part in zip(values, plain, strict=True):
            row[:] = part[:dense]
        others = np.concatenate([np.zeros(0, kind), *(part[dense:] for part in plain)])
        entries = np.frombuffer(b"".join(runs), np.uint8)
        free = layout.size(Kind.RUNS)
        size = free + layout.size(Kind.ORDERED)
        found = joined_runs(entries, [len(part) for part in runs], size, others)
        ordered = found[:, free:]
        if ordered.size:
            ordered = ordered.reshape(count, len(self._places), -1).take(self._places, axis=1)
            ordered = ordered.reshape(count, -1)
        sources = {Kind.PLAIN: values, Kind.RUNS: found, Kind.ORDERED: ordered}
        return [
            sources[kind][:, start:end].reshape(count, *shape)
            for shape, (kind, start, end) in zip(layout.shapes, layout.places(), strict=True)
        ]

    def beside(self, index: int) -> tuple[bytes, Flags]:
        """Return what was beside the symbols in a file, and what is said of the picture."""
        row = self._entries[self._number(index)].tolist()
        self._streams(row)  # verifies the checksum
        start = row[0] + row[3] + row[4]
        return bytes(self._view[start : start + row[5]]), Flags(row[-2])


def find_shards(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the paths of shards: of a folder, one, or several. Names with a dot first are left.

    Raises:
        MediaError: There are none, or a folder can't be listed.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(path_of("shard", source))
        if not path.is_dir():
            return [path]
        found = _listed(path)
        if not found:
            raise MediaError(
                f"{shown(path)} holds no shards ({SUFFIX}); name a folder that `quantal pack` wrote"
            )
        return found
    several = [path for each in source for path in find_shards(each)]
    if not several:
        raise MediaError("an empty list names no shards; name at least one")
    return several


def holds_shards(folder: Path) -> bool:
    """Whether find_shards() finds any in a folder; MediaError if it can't be listed."""
    return bool(_listed(folder))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(
            each
            for each in folder.iterdir()
            if each.suffix == SUFFIX and not each.name.startswith(".")
        )
    except OSError as error:
        raise MediaError(f"{shown(folder)} can't be listed: {error.strerror or error}") from error
