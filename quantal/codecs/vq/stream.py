"""The image part of a `vq` file: index maps as bytes, in one stream or in independent bands.

    head     2 bytes, little endian: which codebook each rung uses (3 x 4 bits, by its place among
             those of the weights), a bit each for bands and for filler; the rest is 0
    filler   optional: its length, 4 bytes, and as many zeros; for flat pictures whose stream has
             less than a byte for 256 cells, or tiny files could ask for much memory
    whole    one entropy-coded stream of all maps
    bands    a length of 2 bytes for every row of cells, a CRC-32 of the picture's size, head and
             lengths; then every row: its stream and a CRC-16 of its number and its stream

A stream holds the depth of every cell and then the indices of each rung, coarse to fine. Bands cost
more, and damage to one leaves the others readable.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantal.codecs.vq.maps import RUNGS, Maps, Priors, cells_of
from quantal.entropy.indices import ABSENT, BoolMap, ByteMap, IntMap, walk_map
from quantal.entropy.walk import Coding, Reading, Writing, too_small
from quantal.errors import BitstreamError, CorruptError, TruncatedError
from quantal.planes import ceil_div

__all__ = ["is_banded", "pack", "pack_banded", "unpack", "unpack_damaged", "walk_maps"]

#: Fraction of rows of cells; if more is lost, nothing is made up.
MOST_LOST = 0.5
#: The most cells per byte of an image part: 262,144 pixels.
CELLS_PER_BYTE = 256
_BANDED, _FILLED = 1 << 12, 1 << 13
_HEAD_BYTES, _FILLER_BYTES, _LENGTH_BYTES, _TABLE_CRC_BYTES, _BAND_CRC_BYTES = 2, 4, 2, 4, 2


def _finer(plane: ByteMap | IntMap | BoolMap, rung: int) -> ByteMap:
    """Repeat a value of every cell or position at the next finer ones, `rung` halvings on."""
    return np.repeat(np.repeat(plane, 1 << rung, 0), 1 << rung, 1)  # type: ignore[return-value]


def walk_maps(
    priors: Priors, books: Sequence[int], rows: int, columns: int, coding: Coding
) -> Maps:
    """Go through the depths and then the indices of each rung.

    Args:
        priors: of the maps.
        books: which codebook each rung uses.
        rows: of cells.
        columns: of cells.
        coding: what to do with the symbols.
    """
    everywhere = np.ones((rows, columns), bool)
    depth = walk_map(priors.depth, everywhere, None, coding)
    found: list[IntMap] = []
    parents: ByteMap | None = None
    for rung, prior in enumerate(priors.chosen(books)):
        present = _finer(depth >= rung, rung).astype(bool)
        indices = walk_map(prior, present, parents, coding)
        # An absent position has no finer ones.
        classes = prior.around.classes[np.maximum(indices, 0)]
        parents = _finer(classes, 1)
        found.append(indices)
    return Maps(tuple(books), depth, tuple(found))


def _stream(priors: Priors, maps: Maps) -> bytes:
    writing = Writing([maps.depth, *maps.indices])
    rows, columns = maps.depth.shape
    walk_maps(priors, maps.books, rows, columns, writing)
    return writing.finish()


def _unstream(priors: Priors, books: tuple[int, ...], data: bytes, rows: int, columns: int) -> Maps:
    reading = Reading(data)
    maps = walk_maps(priors, books, rows, columns, reading)
    reading.finish()
    return maps


def _band(maps: Maps, row: int) -> Maps:
    """Return a single row of cells."""
    parts = [p[row << rung : (row + 1) << rung] for rung, p in enumerate(maps.indices)]
    return Maps(maps.books, maps.depth[row : row + 1], tuple(parts))


def _joined(books: tuple[int, ...], bands: Sequence[Maps]) -> Maps:
    depth = np.concatenate([band.depth for band in bands])
    planes = zip(*(band.indices for band in bands), strict=True)
    return Maps(books, depth, tuple(np.concatenate(rows) for rows in planes))


def _band_crc(row: int, data: bytes) -> bytes:
    return binascii.crc_hqx(data, binascii.crc_hqx(row.to_bytes(2, "little"), 0)).to_bytes(
        _BAND_CRC_BYTES, "little"
    )


def pack(priors: Priors, maps: Maps) -> bytes:
    """Return the image part as one stream."""
    return _headed(maps, 0, _stream(priors, maps))


def pack_banded(priors: Priors, maps: Maps, width: int, height: int) -> bytes:
    """Return the image part in bands: independent rows of cells, each with a checksum.

    Args:
        priors: of the maps.
        maps: of the picture.
        width: picture width, in pixels.
        height: picture height, in pixels.
    """
    streams = [_stream(priors, _band(maps, row)) for row in range(len(maps.depth))]
    table = b"".join(len(data).to_bytes(_LENGTH_BYTES, "little") for data in streams)
    table += _table_crc(maps.books, table, width, height)
    rows = (data + _band_crc(row, data) for row, data in enumerate(streams))
    return _headed(maps, _BANDED, table + b"".join(rows))


def _headed(maps: Maps, flags: int, body: bytes) -> bytes:
    """Return head, filler and body; the filler gives every cell its share of bytes."""
    lack = ceil_div(maps.depth.size, CELLS_PER_BYTE) - _HEAD_BYTES - len(body)
    filler = lack.to_bytes(_FILLER_BYTES, "little") + bytes(lack) if lack > 0 else b""
    head = _named(maps.books) | flags | (_FILLED if filler else 0)
    return head.to_bytes(_HEAD_BYTES, "little") + filler + body


def _named(books: Sequence[int]) -> int:
    return sum(book << (4 * rung) for rung, book in enumerate(books))


def _table_crc(books: Sequence[int], lengths: bytes, width: int, height: int) -> bytes:
    """Return the checksum of the table of rows.

    It covers the picture's size too: otherwise rows would fit a header whose size is damaged.
    """
    known = [(width, 4), (height, 4), (_named(books), _HEAD_BYTES)]
    start = b"".join(value.to_bytes(size, "little") for value, size in known)
    return zlib.crc32(start + lengths).to_bytes(_TABLE_CRC_BYTES, "little")


def is_banded(payload: bytes) -> bool:
    """Return whether an image part has bands.

    Raises:
        BitstreamError: If it has no head.
    """
    return _read_head(payload).banded


@dataclass(frozen=True)
class _Head:
    """The head of an image part.

    Attributes:
        books: which codebook each rung uses.
        banded: whether there are bands.
        body: where the data after head and filler begin.
    """

    books: tuple[int, ...]
    banded: bool
    body: int


def _read_head(payload: bytes) -> _Head:
    if len(payload) < _HEAD_BYTES:
        raise TruncatedError(
            f"the image part has {len(payload)} bytes, its head needs {_HEAD_BYTES}; it was cut, "
            "fetch it again"
        )
    head = int.from_bytes(payload[:_HEAD_BYTES], "little")
    if head >> 14:
        raise CorruptError(
            f"the head of the image part is {head:#06x}, its upper bits must be 0: fetch it again"
        )
    body = _HEAD_BYTES
    if head & _FILLED:
        zeros = body + _FILLER_BYTES
        body = zeros + int.from_bytes(payload[_HEAD_BYTES:zeros], "little")
        if any(payload[zeros:body]):
            raise CorruptError("the filler of the image part is not zero: fetch the file again")
    books = tuple((head >> (4 * rung)) & 15 for rung in range(RUNGS))
    return _Head(books, bool(head & _BANDED), body)


def _check_size(size: int, rows: int, columns: int) -> None:
    """Raise CorruptError unless `size` bytes may hold so many cells."""
    least = ceil_div(rows * columns, CELLS_PER_BYTE)
    if size < least:
        raise too_small(size, least, f"a picture of {rows * columns} cells")


def unpack(priors: Priors, payload: bytes, width: int, height: int) -> Maps:
    """Return the maps of an image part; every checksum is verified.

    Args:
        priors: of the maps.
        payload: the image part.
        width: picture width, in pixels.
        height: picture height, in pixels.

    Raises:
        BitstreamError: If it is damaged.
        ModelError: If the weights lack a codebook that it names.
    """
    head = _read_head(payload)
    rows, columns = cells_of(width, height)
    _check_size(len(payload), rows, columns)
    if not head.banded:
        return _unstream(priors, head.books, payload[head.body :], rows, columns)
    found, end = _bands(payload, head, width, height)
    bands = []
    for row, data in enumerate(found):
        if data is None:
            raise CorruptError(
                f"row {row} of cells is damaged or missing; fetch the file again, or conceal what "
                "is lost",
                code="conceal",
            )
        bands.append(_unstream(priors, head.books, data, 1, columns))
    if len(payload) > end:
        raise CorruptError(
            f"{len(payload) - end} bytes follow the last row of the image part, where it should "
            "end: fetch the file again"
        )
    return _joined(head.books, bands)


def _lengths(payload: bytes, head: _Head, width: int, height: int) -> tuple[list[int], int]:
    """Return the bytes of every row's stream, and where the first begins.

    Raises:
        BitstreamError: If the table of rows is damaged.
    """
    rows, _ = cells_of(width, height)
    crc = head.body + _LENGTH_BYTES * rows
    start = crc + _TABLE_CRC_BYTES
    if len(payload) < start:
        raise TruncatedError(
            f"the image part has {len(payload)} bytes, the table of its {rows} rows needs {start}: "
            "without it no row can be found; fetch the file again"
        )
    table = payload[head.body : crc]
    if _table_crc(head.books, table, width, height) != payload[crc:start]:
        raise CorruptError(
            "the picture's size or the table of rows at the start of the image part is damaged: "
            "without them no row can be found; fetch the file again"
        )
    return np.frombuffer(table, "<u2").tolist(), start


def _bands(payload: bytes, head: _Head, width: int, height: int) -> tuple[list[bytes | None], int]:
    """Return every row's stream, None if it is missing or damaged, and where they end."""
    lengths, place = _lengths(payload, head, width, height)
    found: list[bytes | None] = []
    for row, length in enumerate(lengths):
        data = payload[place : place + length]
        place += length + _BAND_CRC_BYTES
        whole = payload[place - _BAND_CRC_BYTES : place] == _band_crc(row, data)
        found.append(data if whole else None)
    return found, place


def unpack_damaged(
    priors: Priors, payload: bytes, width: int, height: int
) -> tuple[Maps, list[int]]:
    """Return what can be read of a damaged image part.

    Args:
        priors: of the maps.
        payload: the image part.
        width: picture width, in pixels.
        height: picture height, in pixels.

    Returns:
        The maps, in which a lost row has depth 0 and ABSENT indices, and the numbers of lost rows.

    Raises:
        BitstreamError: If there are no bands, if their table is damaged, or if too much is lost.
    """
    head = _read_head(payload)
    if not head.banded:
        raise BitstreamError(
            "the image part is one stream without checksums of its rows, so a damaged one can't be "
            "repaired; damage-resilient files can",
            code="not-resilient",
        )
    rows, columns = cells_of(width, height)
    streams, announced = _bands(payload, head, width, height)
    _check_size(announced, rows, columns)
    bands: list[Maps | None] = []
    for data in streams:
        try:
            whole = None if data is None else _unstream(priors, head.books, data, 1, columns)
        except BitstreamError:
            whole = None  # a wrong stream with a right checksum counts as lost
        bands.append(whole)
    lost = [row for row, band in enumerate(bands) if band is None]
    if len(lost) > MOST_LOST * rows:
        raise BitstreamError(
            f"{len(lost)} of {rows} rows of cells are damaged or missing; more than "
            f"{MOST_LOST:.0%} can't be made up: fetch the file again"
        )
    blank = [np.full((1 << rung, columns << rung), ABSENT, np.int32) for rung in range(RUNGS)]
    empty = Maps(head.books, np.zeros((1, columns), np.int32), tuple(blank))
    return _joined(head.books, [empty if band is None else band for band in bands]), lost
