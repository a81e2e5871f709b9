"""The layout of a shard: its head, index and entries, and what is believed of them.

docs/how-to/shards.md specifies it. Nothing of an index is used before its checksum and all its
bounds have been checked.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from math import prod

import numpy as np

from quantal.container import RATES
from quantal.errors import ArgumentError, CorruptError, TruncatedError, UnsupportedVersionError
from quantal.latents._runs import DEFLATE_LIMIT, HUFFMAN_LIMIT, RUN, Array
from quantal.limits import PIXEL_LIMIT, SIDE_LIMIT

__all__ = [
    "ENTRY",
    "HEAD",
    "SUFFIX",
    "Flags",
    "Head",
    "Kind",
    "Layout",
    "check_entries",
    "pack_layouts",
    "unpack_layouts",
]

SUFFIX = ".qshard"
_MAGIC, _VERSION = b"\x8bQLS", 1
#: magic, version, reserved, codec, model hash, pictures, and the sections of the index: offset of
#: the first, lengths of order, layouts, entries and names, checksum of the index; then its own.
HEAD = struct.Struct("<4sB3s24s4sIQIIQQII")
#: Elements of a part, and dimensions, that a layout may have.
_MOST_ELEMENTS, _MOST_DIMENSIONS = 1 << 40, 8

ENTRY = np.dtype(
    [
        ("offset", "<u8"),  # of its bytes: runs, then plain, then beside
        ("runs", "<u4"),  # entries of its runs
        ("plain", "<u4"),  # bytes of its plain values
        ("runs_bytes", "<u4"),  # as stored
        ("plain_bytes", "<u4"),
        ("beside_bytes", "<u4"),
        ("checksum", "<u4"),  # CRC-32 of its bytes
        ("layout", "<u4"),
        ("name", "<u4"),  # end of its name among the names
        ("width", "<u2"),  # less one
        ("height", "<u2"),
        ("rate", "u1"),
        ("flags", "u1"),
        ("reserved", "<u2"),
    ]
)


class Flags(IntFlag):
    """What is said of a picture."""

    GREY = 1
    TWO_BYTES = 2
    """Plain values have two bytes each."""
    FOUR_BYTES = 4
    VERBATIM = 8
    """The bytes beside the symbols are the whole file, because the codec would write another."""


class Kind(IntEnum):
    """How a part is coded."""

    PLAIN = 0
    RUNS = 1
    ORDERED = 2
    """As runs, behind those of kind RUNS, its rows in the order of the shard."""


@dataclass(frozen=True)
class Layout:
    """The shapes of the symbols of a picture.

    Attributes:
        shapes: the shape of every part.
        kinds: the kind of every part.
    """

    shapes: tuple[tuple[int, ...], ...]
    kinds: tuple[Kind, ...]

    def size(self, *kinds: Kind) -> int:
        """Return the number of symbols of parts of some kinds."""
        return sum(
            prod(s) for s, kind in zip(self.shapes, self.kinds, strict=True) if kind in kinds
        )

    def places(self) -> list[tuple[Kind, int, int]]:
        """Return kind, beginning and end of every part among all symbols of its kind."""
        ends = dict.fromkeys(Kind, 0)
        found = []
        for shape, kind in zip(self.shapes, self.kinds, strict=True):
            start = ends[kind]
            ends[kind] += prod(shape)
            found.append((kind, start, ends[kind]))
        return found

    @property
    def rows(self) -> int:
        """Number of the rows that are ordered; -1 if they differ in size."""
        shapes = [
            s for s, kind in zip(self.shapes, self.kinds, strict=True) if kind is Kind.ORDERED
        ]
        return -1 if len({shape[1:] for shape in shapes}) > 1 else sum(s[0] for s in shapes)


def pack_layouts(layouts: list[Layout]) -> bytes:
    """Encode layouts: number of parts, then kind, number of dimensions and dimensions of each."""
    found = bytearray()
    for layout in layouts:
        found.append(len(layout.shapes))
        for shape, kind in zip(layout.shapes, layout.kinds, strict=True):
            found += struct.pack(f"<BB{len(shape)}I", kind, len(shape), *shape)
    return bytes(found)


def unpack_layouts(data: bytes, rows: int, most: int) -> list[Layout]:
    """Reverse pack_layouts().

    Args:
        data: encoded layouts.
        rows: number of rows that ordered parts have together, in layouts that have any.
        most: number of pictures; more layouts are refused, since a layout of no parts takes a byte
            of a file and a hundred times that in memory.

    Raises:
        CorruptError: They are something else.
    """
    found: list[Layout] = []
    position = 0
    try:
        while position < len(data):
            shapes, kinds = [], []
            parts = data[position]
            position += 1
            for _ in range(parts):
                kind, dimensions = data[position : position + 2]
                shape = struct.unpack_from(f"<{dimensions}I", data, position + 2)
                position += 2 + 4 * dimensions
                if not 1 <= dimensions <= _MOST_DIMENSIONS:
                    raise ValueError
                shapes.append(shape)
                kinds.append(Kind(kind))
            layout = Layout(tuple(shapes), tuple(kinds))
            too_many = len(found) == most or sum(map(prod, shapes)) > _MOST_ELEMENTS
            if too_many or layout.rows not in (0, rows):
                raise ValueError
            found.append(layout)
    except (ValueError, IndexError, struct.error):
        raise CorruptError("the layouts of a shard are damaged; pack it again") from None
    return found


@dataclass(frozen=True)
class Head:
    """The head of a shard.

    Attributes:
        codec: name of the codec of all pictures.
        model_hash: hash of that codec's model, 4 bytes.
        count: number of pictures.
        index: offset of the index.
        lengths: bytes of its sections: order of rows, layouts, entries, names.
        checksum: CRC-32 of the index.
    """

    codec: str
    model_hash: bytes
    count: int
    index: int
    lengths: tuple[int, int, int, int]
    checksum: int

    @property
    def end(self) -> int:
        """Size of the shard in bytes."""
        return self.index + sum(self.lengths)

    def pack(self) -> bytes:
        """Return the first bytes of a shard."""
        name = self.codec.encode("ascii")
        if not 1 <= len(name) <= 23:
            raise ArgumentError(f"codec name {self.codec!r} found, expected 1..23 characters")
        fields = (self.model_hash, self.count, self.index, *self.lengths, self.checksum)
        data = HEAD.pack(_MAGIC, _VERSION, bytes(3), name, *fields, 0)[:-4]
        return data + zlib.crc32(data).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes, size: int) -> Head:
        """Read the first bytes of a shard.

        Args:
            data: HEAD.size bytes.
            size: bytes of the shard.

        Raises:
            BitstreamError: They are those of no shard of this size.
        """
        if not data.startswith(_MAGIC[: len(data)]) or not data:
            raise CorruptError(
                f"not a shard of latents: starts with {data[:4].hex(' ')}, expected "
                f"{_MAGIC.hex(' ')}; name one that `quantal pack` wrote"
            )
        if len(data) < HEAD.size:
            raise TruncatedError(f"the shard has {size} bytes, its head takes {HEAD.size}")
        _, version, reserved, name, model_hash, count, index, *rest = HEAD.unpack(data)
        order, layouts, entries, names, checksum, own = rest
        if version != _VERSION or any(reserved):
            raise UnsupportedVersionError(
                f"version {version} of a shard found, expected {_VERSION}; update Quantal"
            )
        found = zlib.crc32(data[:-4])
        if found != own:
            raise CorruptError(
                f"the head of the shard has the checksum {own:08x}, expected {found:08x}; fetch "
                "the shard again"
            )
        codec = name.rstrip(b"\0").decode("ascii", "replace")
        head = cls(codec, model_hash, count, index, (order, layouts, entries, names), checksum)
        if index < HEAD.size or entries != count * ENTRY.itemsize or order % 2:
            raise CorruptError("the head of the shard contradicts itself; pack it again")
        if head.end > size:
            raise TruncatedError(
                f"the shard has {size} bytes, its head announces {head.end}; it was cut, fetch it "
                "again"
            )
        if head.end < size:
            raise CorruptError(
                f"the shard has {size} bytes, its head announces {head.end}; "
                f"{size - head.end} trailing bytes belong to nothing"
            )
        return head


def check_entries(entries: Array, layouts: list[Layout], head: Head) -> None:
    """Check an index against its shard: nothing lies outside, and bytes justify what is announced.

    Raises:
        CorruptError: It points elsewhere, or announces what its bytes can't hold.
        UnsupportedVersionError: It says what only a newer Quantal knows.
    """
    if not len(entries):
        return
    sides = [entries[name].astype(np.int64) + 1 for name in ("width", "height")]
    if int(np.max(sides)) > SIDE_LIMIT or int((sides[0] * sides[1]).max()) > PIXEL_LIMIT:
        raise CorruptError(
            f"the index of the shard names a picture of more than {SIDE_LIMIT} pixels a side or "
            f"{PIXEL_LIMIT} in all; pack it again"
        )
    if int(entries["rate"].max()) > RATES[-1]:
        raise CorruptError(
            f"the index of the shard names the rate {int(entries['rate'].max())}, expected "
            f"0..{RATES[-1]}; pack it again"
        )
    stored = [entries[name].astype(np.int64) for name in ("runs_bytes", "plain_bytes")]
    offset = entries["offset"].astype(np.float64)  # exact up to 2^53, and never wraps
    end = offset + sum(stored) + entries["beside_bytes"]
    outside = np.flatnonzero((offset < HEAD.size) | (end > head.index))
    if len(outside):
        raise CorruptError(
            f"the index of the shard points outside: picture {outside[0]} is said to be at "
            f"{int(offset[outside[0]])}..{int(end[outside[0]])}, expected "
            f"{HEAD.size}..{head.index}; fetch the shard again"
        )
    if int(entries["layout"].max()) >= len(layouts):
        raise CorruptError(
            f"the index of the shard names layout {int(entries['layout'].max())} of "
            f"{len(layouts)}; fetch the shard again"
        )
    known = int(sum(Flags))
    if int(entries["flags"].max()) > known or entries["reserved"].any():
        raise UnsupportedVersionError(
            f"flags {int(entries['flags'].max()):#x} of a picture found, expected at most "
            f"{known:#x}; update Quantal"
        )
    names = np.diff(entries["name"].astype(np.int64), prepend=0)
    if int(names.min()) < 1 or int(entries["name"][-1]) != head.lengths[3]:
        raise CorruptError("the names of the shard do not fit its index; fetch the shard again")
    sizes = np.array(
        [(e.size(Kind.RUNS, Kind.ORDERED), e.size(Kind.PLAIN)) for e in layouts], np.int64
    )
    in_runs, plain = sizes[entries["layout"]].T
    width = np.select(
        [entries["flags"] & Flags.FOUR_BYTES != 0, entries["flags"] & Flags.TWO_BYTES != 0],
        [4, 2],
        1,
    )
    wrong = (in_runs > RUN * entries["runs"].astype(np.int64)) | (entries["runs"] > in_runs)
    wrong |= (plain * width > entries["plain"]) | (entries["plain"] % width != 0)
    wrong |= entries["runs"] > HUFFMAN_LIMIT * stored[0]
    wrong |= entries["plain"] > DEFLATE_LIMIT * stored[1]
    if wrong.any():
        raise CorruptError(
            f"the index of the shard announces more symbols of picture {int(wrong.argmax())} than "
            "its bytes can hold; fetch the shard again"
        )
