"""Writing of shards: pictures come one by one, the index goes behind them."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType

import numpy as np

from quantal.latents._format import ENTRY, HEAD, Flags, Head, Kind, Layout, pack_layouts
from quantal.latents._runs import Array, deflated, smallest, split_runs, to_bytes
from quantal.outputs import OutputFile

__all__ = ["Parsed", "ShardWriter"]

#: Pictures that decide which parts are coded as runs, and in which order rows come; fewer if they
#: have more symbols than this, since all of them wait in memory.
_SAMPLE, _SAMPLE_SYMBOLS = 64, 1 << 27
#: Share of symbols other than zero up to which a part is coded as runs.
_SPARSE = 0.6


_WIDTHS = {1: Flags(0), 2: Flags.TWO_BYTES, 4: Flags.FOUR_BYTES}


@dataclass(frozen=True)
class Parsed:
    """A picture to be written.

    Attributes:
        name: path of its file, with "/"; bytes that are no UTF-8 as surrogates.
        width: picture width, in pixels.
        height: picture height, in pixels.
        rate: 0..252.
        symbols: integers, an array for each part.
        beside: bytes that a shard keeps beside them.
        flags: flags of its entry.
    """

    name: str
    width: int
    height: int
    rate: int
    symbols: Sequence[Array]
    beside: bytes
    flags: Flags


@dataclass(frozen=True)
class _Coded:
    """The symbols of a picture as they are stored.

    Attributes:
        layout: their shapes and kinds.
        runs: entries, perhaps deflated.
        entries: their number.
        plain: plain values, deflated.
        plain_size: bytes of these before.
        width: bytes of a plain value.
    """

    layout: Layout
    runs: bytes
    entries: int
    plain: bytes
    plain_size: int
    width: int

    @property
    def size(self) -> int:
        return len(self.runs) + len(self.plain)


@dataclass(frozen=True, eq=False)
class _Scheme:
    """How every part is coded, and in which order rows come.

    Attributes:
        kinds: of every part.
        order: of the rows of ordered parts.
    """

    kinds: tuple[Kind, ...]
    order: Array

    @classmethod
    def of(cls, pictures: Sequence[Parsed]) -> _Scheme:
        """Return the scheme for pictures such as these.

        Parts that are mostly zero are runs. Of these, the rows of the largest parts are ordered,
        the fullest first, so that statistics change slowly.
        """
        parts = max((len(each.symbols) for each in pictures), default=0)
        columns = [[p.symbols[n] for p in pictures if n < len(p.symbols)] for n in range(parts)]
        sparse = [
            all(part.ndim > 1 for part in column)
            and sum(map(np.count_nonzero, column)) <= _SPARSE * sum(part.size for part in column)
            for column in columns
        ]
        kinds = [Kind.RUNS if each else Kind.PLAIN for each in sparse]
        shapes = [column[0].shape for column in columns]
        sizes = Counter[tuple[int, ...]]()
        for shape, each in zip(shapes, sparse, strict=True):
            sizes[shape[1:]] += prod(shape) if each else 0
        largest = max(sizes, key=lambda size: sizes[size], default=())
        if largest:
            kinds = [
                Kind.ORDERED if kind is Kind.RUNS and shape[1:] == largest else kind
                for kind, shape in zip(kinds, shapes, strict=True)
            ]
        shares = [_shares(each, kinds) for each in pictures]
        if len({len(each) for each in shares}) != 1:
            return cls(tuple(kinds), np.zeros(0, np.intp))
        return cls(tuple(kinds), np.argsort(-np.sum(shares, axis=0), kind="stable"))

    def layout(self, picture: Parsed) -> Layout:
        """Return the layout of a picture; what does not fit the order is coded without it."""
        layout = _layout(picture, self.kinds)
        if layout.rows in (0, len(self.order)):
            return layout
        kinds = (Kind.RUNS if kind is Kind.ORDERED else kind for kind in layout.kinds)
        return Layout(layout.shapes, tuple(kinds))

    def coded(self, picture: Parsed, compact: bool) -> _Coded:
        """Return the symbols of a picture as they are stored."""
        layout = self.layout(picture)
        found = {kind: [np.zeros(0, np.int32)] for kind in Kind}
        for part, kind in zip(picture.symbols, layout.kinds, strict=True):
            found[kind].append(part.reshape(-1))
        joined = {kind: np.concatenate(parts) for kind, parts in found.items()}
        ordered = joined[Kind.ORDERED]
        if ordered.size:
            ordered = ordered.reshape(len(self.order), -1)[self.order].reshape(-1)
        entries, others = split_runs(np.concatenate((joined[Kind.RUNS], ordered)))
        values = smallest(np.concatenate((joined[Kind.PLAIN], others)))
        runs, plain = entries.tobytes(), to_bytes(values)
        stored = deflated(runs, runs=True) if compact else runs
        packed = deflated(plain, runs=False)
        return _Coded(layout, stored, len(runs), packed, len(plain), values.itemsize)


def _layout(picture: Parsed, kinds: Sequence[Kind]) -> Layout:
    shapes = tuple(part.shape for part in picture.symbols)
    known = (*kinds, *(Kind.PLAIN for _ in shapes))[: len(shapes)]
    flat = (Kind.PLAIN if len(s) < 2 else kind for s, kind in zip(shapes, known, strict=True))
    return Layout(shapes, tuple(flat))


def _shares(picture: Parsed, kinds: Sequence[Kind]) -> Array:
    """Return the share of symbols other than zero in each ordered row."""
    layout = _layout(picture, kinds)
    if not 0 < layout.rows < 1 << 16:
        return np.zeros(0)
    pairs = zip(picture.symbols, layout.kinds, strict=True)
    parts = [part.reshape(len(part), -1) for part, kind in pairs if kind is Kind.ORDERED]
    joined = np.concatenate(parts)
    found: Array = np.count_nonzero(joined, axis=1) / max(joined.shape[1], 1)
    return found


class ShardWriter:
    """Writes a shard.

    Args:
        path: path of the shard.
        codec: name of the codec of all pictures.
        model_hash: hash of that codec's model, 4 bytes.
        compact: whether to deflate runs, which takes less room and more time to read.
        name: what messages call the shard.

    Attributes:
        bytes: number of bytes written so far.
        count: number of pictures so far, also those that wait.
    """

    def __init__(
        self, path: Path, codec: str, model_hash: bytes, compact: bool, name: Path | None = None
    ) -> None:
        self._codec, self._hash, self._compact = codec, model_hash, compact
        self._file = OutputFile(path, name or path)
        self._file.write(bytes(HEAD.size))
        self.bytes, self.count = HEAD.size, 0
        self._waiting: list[Parsed] | None = []
        self._scheme = _Scheme((), np.zeros(0, np.intp))
        self._layouts: dict[Layout, int] = {}
        self._entries: list[tuple[int, ...]] = []
        self._names = bytearray()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.__exit__()

    def add(self, picture: Parsed) -> None:
        """Write a picture."""
        self.count += 1
        if self._waiting is None:
            self._write(picture)
            return
        self._waiting.append(picture)
        symbols = sum(part.size for each in self._waiting for part in each.symbols)
        if len(self._waiting) == _SAMPLE or symbols >= _SAMPLE_SYMBOLS:
            self._begin()

    def _begin(self) -> None:
        """Choose what is coded as runs and in which order, and write the pictures that wait."""
        waiting, self._waiting = self._waiting or [], None
        self._scheme = _Scheme.of(waiting)
        for each in waiting:
            self._write(each)

    def _write(self, picture: Parsed) -> None:
        coded = self._scheme.coded(picture, self._compact)
        data = b"".join((coded.runs, coded.plain, picture.beside))
        self._names += picture.name.encode("utf-8", "surrogateescape")
        self._entries.append(
            (
                self.bytes,
                coded.entries,
                coded.plain_size,
                len(coded.runs),
                len(coded.plain),
                len(picture.beside),
                zlib.crc32(data),
                self._layouts.setdefault(coded.layout, len(self._layouts)),
                len(self._names),
                picture.width - 1,
                picture.height - 1,
                picture.rate,
                int(picture.flags | _WIDTHS[coded.width]),
                0,
            )
        )
        self._file.write(data)
        self.bytes += len(data)

    def _finish(self) -> None:
        if self._waiting is not None:
            self._begin()
        sections = (
            struct.pack(f"<{len(self._scheme.order)}H", *self._scheme.order),
            pack_layouts(list(self._layouts)),
            np.array(self._entries, ENTRY).tobytes(),
            bytes(self._names),
        )
        index = b"".join(sections)
        order, layouts, entries, names = map(len, sections)
        lengths = (order, layouts, entries, names)
        head = Head(self._codec, self._hash, self.count, self.bytes, lengths, zlib.crc32(index))
        self._file.write(index)
        self.bytes += len(index)
        self._file.seek(0)
        self._file.write(head.pack())
