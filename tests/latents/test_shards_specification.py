"""A reader of shards written from docs/how-to/shards.md alone, symbol by symbol."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from math import prod

import numpy as np
import pytest

import quantal
from quantal.latents import Shard, pack


def inflated(data: bytes, size: int) -> bytes:
    return data if len(data) == size else zlib.decompress(data, -15)


def symbols_of_runs(entries: bytes, others) -> list[int]:
    found: list[int] = []
    for entry in entries:
        n, v = entry >> 2, entry & 3
        if v == 0:
            found += [0] * (64 * (n + 1))
        else:
            found += [0] * n
            found.append({1: 1, 3: -1}.get(v) or next(others))
    return found


def values_of(data: bytes, width: int) -> list[int]:
    count = len(data) // width
    rows = [data[plane * count : (plane + 1) * count] for plane in range(width)]
    return [
        int.from_bytes(bytes(place), "little", signed=True) for place in zip(*rows, strict=True)
    ]


def read_by_the_specification(data: bytes) -> dict[str, list[np.ndarray]]:
    head = struct.unpack("<4sB3s24s4sIQIIQQII", data[:80])
    magic, version, _, codec, _, count, index, order, layouts, entries, names, check, own = head
    assert magic == b"\x8bQLS" and version == 1 and zlib.crc32(data[:76]) == own
    assert zlib.crc32(data[index:]) == check and codec.rstrip(b"\0").isascii()
    ends = np.cumsum([index, order, layouts, entries, names]).tolist()
    sections = [data[a:b] for a, b in pairwise(ends)]
    assert ends[-1] == len(data) and len(sections[2]) == 48 * count
    rows = struct.unpack(f"<{order // 2}H", sections[0])
    shapes, place = [], 0
    while place < layouts:
        parts = []
        place += 1
        for _ in range(sections[1][place - 1]):
            kind, dimensions = sections[1][place], sections[1][place + 1]
            shape = struct.unpack_from(f"<{dimensions}I", sections[1], place + 2)
            parts.append((kind, shape))
            place += 2 + 4 * dimensions
        shapes.append(parts)
    found = {}
    start = 0
    for number in range(count):
        entry = struct.unpack_from("<QIIIIIIIIHHBBH", sections[2], 48 * number)
        offset, runs, plain, runs_bytes, plain_bytes, beside, checksum, layout, name = entry[:9]
        flags = entry[12]
        own_bytes = data[offset : offset + runs_bytes + plain_bytes + beside]
        assert zlib.crc32(own_bytes) == checksum
        width = 4 if flags & 4 else 2 if flags & 2 else 1
        stored = inflated(own_bytes[runs_bytes : runs_bytes + plain_bytes], plain)
        values = iter(values_of(stored, width))
        parts = shapes[layout]
        kinds = {kind: [(i, s) for i, (k, s) in enumerate(parts) if k == kind] for kind in range(3)}
        dense = {i: [next(values) for _ in range(prod(shape))] for i, shape in kinds[0]}
        line = iter(symbols_of_runs(inflated(own_bytes[:runs_bytes], runs), values))
        dense |= {i: [next(line) for _ in range(prod(shape))] for i, shape in kinds[1]}
        if kinds[2]:
            length = prod(kinds[2][0][1][1:])
            table = {row: [next(line) for _ in range(length)] for row in rows}
            first = 0
            for i, shape in kinds[2]:
                dense[i] = [v for row in range(first, first + shape[0]) for v in table[row]]
                first += shape[0]
        assert next(line, None) is None and next(values, None) is None
        text = sections[3][start:name].decode()
        found[text] = [np.array(dense[i]).reshape(shape) for i, (_, shape) in enumerate(parts)]
        start = name
    return found


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("codec", ["context-s", "vq"])
def test_a_reader_from_the_page_finds_every_symbol(
    codec, compact, small_photograph, tmp_path
) -> None:
    (tmp_path / "files").mkdir()
    for number, quality in enumerate((20, 90)):
        path = tmp_path / "files" / f"{number}.qtl"
        quantal.write(path, small_photograph, codec, quality=quality)
    (path,) = pack(tmp_path / "files", tmp_path / "shards", compact=compact).shards
    found = read_by_the_specification(path.read_bytes())
    shard = Shard(path)
    assert list(found) == ["0.qtl", "1.qtl"]
    for number, (name, parts) in enumerate(found.items()):
        expected = quantal.latents.read(tmp_path / "files" / name).symbols
        for part, ours, right in zip(parts, shard.symbols(number), expected, strict=True):
            assert np.array_equal(part, right) and np.array_equal(ours, right)
