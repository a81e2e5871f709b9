"""A reader written from docs/how-to/features.md and docs/reference/format.md alone."""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import accumulate
from math import floor, prod

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from quantal.latents import features

TYPES = ["float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64"]
CHARACTERS = "\0abcdefghijklmnopqrstuvwxyz0123456789-_."
Table = tuple[int, Sequence[int]]  # the first symbol, and the sums of weights from 0 to 2^24


def table_of(first: int, weights: list[int]) -> Table:
    return first, [0, *accumulate(weights)]


@cache
def tables(signs: int) -> list[Table]:
    means = ["65/64", "17/16", "9/8", "5/4", "3/2", "2", "3", "4", "6", "8", "12", "16"]
    kinds = [(Fraction(2) ** (i - 6), Fraction(m)) for i in range(14) for m in means]
    kinds += [(Fraction(1, 2 * m), Fraction(m)) for m in (24, 32, 48, 64, 96, 128, 192, 256, 384)]
    kinds.append((Fraction(1, 1024), Fraction(512)))
    found = []
    for o, m in kinds:
        z, s, most = o / (1 + o), 1 - 1 / m, floor(10 * m) + 4
        side = [floor(2**60 * (1 - z) * (1 - s) / signs)]
        for _ in range(most - 1):
            side.append(side[-1] * s.numerator // s.denominator)
        values = [*(reversed(side) if signs == 2 else ()), floor(2**60 * z), *side]
        weights = [v * (2**24 - 16 - len(values)) // sum(values) + 1 for v in values] + [16]
        weights[weights.index(max(weights))] += 2**24 - sum(weights)
        found.append(table_of(-most if signs == 2 else 0, weights))
    return found


class Stream:
    """The stack of docs/reference/codecs/hyperprior.md, symbol by symbol."""

    def __init__(self, data: bytes) -> None:
        data += b"\0" * (-len(data) % 4)
        self.words = list(struct.unpack(f"<{len(data) // 4}I", data))
        self.state = self.words.pop() if self.words else 0x0151544C
        if self.words:
            self.state = self.state << 32 | self.words.pop()

    def slot(self, low: int, high: int, quantile: int) -> None:
        self.state = (high - low) * (self.state >> 24) + quantile - low
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def take(self, sums: Sequence[int]) -> int:
        quantile = self.state & 0xFFFFFF
        found = bisect_right(sums, quantile) - 1
        self.slot(sums[found], sums[found + 1], quantile)
        return found

    def uniform(self, values: int) -> int:
        quantile, share = self.state & 0xFFFFFF, 2**24 // values
        found = min(quantile // share, values - 1)
        self.slot(found * share, 2**24 if found == values - 1 else (found + 1) * share, quantile)
        return found

    def batch(self, index: Sequence[int], among: Sequence[Table]) -> list[int]:
        found, escaped = [0] * len(index), []
        for place in sorted(range(len(index)), key=lambda i: index[i]):
            first, sums = among[index[place]]
            slot = self.take(sums)
            found[place] = first + slot
            if slot == len(sums) - 2:
                escaped.append((place, first, first + slot - 1))
        classes = [self.uniform(34) for _ in escaped]
        values = {i: 1 << bits >> 1 for i, bits in enumerate(classes)}
        for bits in sorted(set(classes)):
            for low in range(0, bits - 1, 16):
                for i in [i for i, own in enumerate(classes) if own == bits]:
                    values[i] |= self.uniform(1 << min(16, bits - 1 - low)) << low
        for i, (place, first, last) in enumerate(escaped):
            distance = values[i] // 2 + 1
            found[place] = first - distance if values[i] % 2 else last + distance
        return found

    def levels(self, index: list[int], among: Sequence[Table]) -> list[int]:
        parts = range(0, len(index), 65536)
        return [v for at in parts for v in self.batch(index[at : at + 65536], among)]


class Header:
    """docs/reference/format.md."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 5
        assert data[:5] == b"\x8bQTL\x01"
        self.codec = ""
        while len(self.codec) % 3 == 0 and self.codec[-1:] != "\0":
            group = int.from_bytes(self.take(2), "little")
            self.codec += "".join(
                CHARACTERS[c] for c in (group // 1600, group // 40 % 40, group % 40)
            )
        self.codec = self.codec.rstrip("\0")
        self.hash = self.take(4)
        assert self.take(1) == b"\x02"
        self.network = self.take(4)
        self.layer = self.take(self.varint()).decode()
        self.single = self.take(1) == b"\x01"
        self.tensors = []
        for _ in range(self.varint()):
            kind = self.take(1)[0]
            self.tensors.append((TYPES[kind & 15], [self.varint() for _ in range(kind >> 4)]))
        length = self.varint()
        self.beside = self.at + 4
        self.part = self.take(length)
        assert zlib.crc32(data[: self.at]) == int.from_bytes(self.take(4), "little")
        assert self.at == len(data)

    def take(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        found = shift = 0
        while (byte := self.take(1)[0]) & 128:
            found |= (byte & 127) << shift
            shift += 7
        return found | byte << shift


def rounded(values: np.ndarray, kind: str) -> np.ndarray:
    """From floats of 64 or 32 bits to the type of a tensor; bfloat16 as float32."""
    if kind == "bfloat16":
        limit = np.float32(255 * 2.0**120)
        bits = np.clip(values, -limit, limit).astype(np.float32).view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    limit = np.finfo(kind).max
    return np.clip(values, -limit, limit).astype(kind)


def in_place(values: np.ndarray, shape: list[int], axis: int) -> np.ndarray:
    if axis < 0:
        return values.reshape(shape)
    others = shape[:axis] + shape[axis + 1 :]
    return np.moveaxis(values.reshape(shape[axis], *others), 0, axis)


def read_by_the_specification(data: bytes, known: bytes = b"") -> list[np.ndarray]:
    head, arrays = Header(data), load(known) if known else {}
    size = {"features": 9, "feature-basis": 2, "feature-tokens": 1}[head.codec]
    records = [head.part[at : at + size] for at in range(0, size * len(head.tensors), size)]
    stream = Stream(head.part[size * len(head.tensors) :])
    if known:
        length = int.from_bytes(known[:8], "little")
        layout = {"feature-basis": "feature basis layout 1"}.get(
            head.codec, "feature codebook layout 1"
        )
        assert layout.encode() in known[8 : 8 + length]
        text = hashlib.sha256(layout.encode())
        for name in sorted(arrays):
            text.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
            text.update(arrays[name].tobytes())
        assert text.digest()[:4] == head.hash
    else:
        assert head.hash.hex() == "6c41caa6"
    found = []
    for (kind, shape), record in zip(head.tensors, records, strict=True):
        axis = (record[0] & 127) - 1
        channels = 1 if axis < 0 else shape[axis]
        length = prod(shape) // channels if prod(shape) else 0
        if head.codec == "features":
            values = of_statistics(stream, record, channels, length, kind)
        elif head.codec == "feature-basis":
            values = of_a_basis(stream, arrays, record[1], shape, axis)
            values = rounded(values, kind)
        else:
            values = rounded(of_a_codebook(stream, arrays, shape, axis), kind)
        found.append(in_place(values, shape, axis))
    assert not stream.words and stream.state == 0x0151544C
    return found


def of_statistics(
    stream: Stream, record: bytes, channels: int, length: int, kind: str
) -> np.ndarray:
    if not channels * length:
        return np.zeros(0, np.float32 if kind == "bfloat16" else kind)
    share = (2**24 - 1) // 178
    numbers = table_of(0, [2**24 - 1 - 177 * share, *[share] * 177, 1])
    centres = stream.batch([170] * channels, tables(2))
    index = stream.batch([0] * channels, [numbers])
    own = tables(1 if record[0] & 128 else 2)
    levels = stream.levels([t for t in index for _ in range(length)], own)
    v = np.array(levels, np.int64).reshape(channels, length) + np.array(centres)[:, None]
    if "float" not in kind:
        return v.astype(kind)
    (step,) = struct.unpack("<d", record[1:])
    with np.errstate(over="ignore"):
        wide = v.astype(np.float64) * step
        return rounded(wide if kind == "float64" else wide.astype(np.float32), kind)


def cut(length: int) -> list[range]:
    return [range(at, min(at + 32, length)) for at in range(0, length, 32)]


def cosines(length: int) -> np.ndarray:
    n, k = np.arange(length), np.arange(length)[:, None]
    found = np.cos(np.pi * k * (n + 0.5) / length) * np.sqrt(2 / length)
    found[0] = np.sqrt(1 / length)
    return found


def of_a_basis(stream: Stream, arrays: dict, rate: int, shape: list[int], axis: int) -> np.ndarray:
    components = arrays["net.rows"]
    others = [n for place, n in enumerate(shape) if place != axis]
    if axis < 0 or len(others) < 2:
        others = [*others, 1, 1]
    count, (rows, columns) = prod(others[:-2]), others[-2:]
    band = np.zeros((rows, columns), int)
    for down, across in ((d, a) for d in cut(rows) for a in cut(columns)):
        for y, x in ((y, x) for y in down for x in across):
            far = Fraction(y - down[0], len(down)) ** 2 + Fraction(x - across[0], len(across)) ** 2
            edges = (2, 10, 20, 35, 50, 75)
            band[y, x] = sum(far >= Fraction(edge, 100) ** 2 for edge in edges)
    own = arrays["exact.tables"][rate].astype(int)
    index = [t for row in own[np.tile(band.reshape(-1), count)].T.tolist() for t in row]
    levels = np.array(stream.levels(index, tables(2)), np.float64)
    maps = levels.reshape(len(components), count, rows, columns)
    maps *= float(arrays["net.unit"][0]) * 2 ** (-rate / 4)
    for down, across in ((d, a) for d in cut(rows) for a in cut(columns)):
        at = (..., slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1))
        maps[at] = cosines(len(down)).T @ maps[at] @ cosines(len(across))
    flat = maps.reshape(len(components), -1)
    return arrays["net.mean"][:, None] + components.T.astype(np.float64) @ flat


def of_a_codebook(stream: Stream, arrays: dict, shape: list[int], axis: int) -> np.ndarray:
    names = ("shape", "classes", "states", "weights")
    (count, parents), classes, states, weights = (arrays[f"exact.indices.{n}"] for n in names)
    assert parents == 1
    own = [table_of(0, row) for row in weights.tolist()]
    others = [n for place, n in enumerate(shape) if place != axis]
    rows, columns = (prod(others[:-1]), others[-1]) if others else (1, 1)
    border = np.full((rows + 1, columns + 1), count, np.int64)
    found = np.zeros((rows, columns), np.int64)
    for diagonal in range(rows + columns - 1):
        at = [(r, diagonal - r) for r in range(rows) if 0 <= diagonal - r < columns]
        index = [
            int(
                states[
                    (border[r + 1, c] * (count + 1) + border[r, c + 1]) * (count + 1) + border[r, c]
                ]
            )
            for r, c in at
        ]
        for (r, c), symbol in zip(at, stream.batch(index, own), strict=True):
            found[r, c], border[r + 1, c + 1] = symbol, classes[symbol]
    return arrays["net.vectors"][found.reshape(-1)].T


GENERATOR = torch.Generator().manual_seed(2)
MAPS = [torch.randn(5, 6, 7, generator=GENERATOR) for _ in range(6)]


def same(found: np.ndarray, right: torch.Tensor) -> bool:
    wide = right.float() if right.dtype == torch.bfloat16 else right
    return found.dtype == wide.numpy().dtype and np.array_equal(found, wide.numpy())


def test_the_hash_of_the_tables() -> None:
    text = hashlib.sha256(b"features layout 1")
    for signs in (2, 1):
        sums = [own for _, own in tables(signs)]
        text.update(np.array([first for first, _ in tables(signs)], "<i4").tobytes())
        text.update(np.array([0, *accumulate(map(len, sums))], "<i4").tobytes())
        text.update(np.concatenate(sums).astype("<i4").tobytes())
    assert text.hexdigest()[:8] == "6c41caa6"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_reader_from_the_page_finds_every_float(dtype) -> None:
    kind = getattr(torch, dtype)
    tensors = [
        (MAPS[0] * 3 + torch.arange(5)[:, None, None] * 40).to(kind),
        (MAPS[1] - 1).relu().to(kind),
        torch.tensor([torch.finfo(kind).max, 1.0, -torch.finfo(kind).max]).to(kind),
        torch.tensor(2.5, dtype=kind),
        torch.zeros(3, 0, 2, dtype=kind),
    ]
    tensors[2] = (torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64) * torch.finfo(kind).max).to(
        kind
    )
    for options in ({"max_error": 0.01}, {"bits": 24}) if dtype != "float64" else ({"bits": 40},):
        some = tensors if "bits" in options else [*tensors[:2], *tensors[3:]]
        data = features.encode(some, **options, layer="é")
        for found, right in zip(
            read_by_the_specification(data), features.decode(data), strict=True
        ):
            assert same(found, right)


def test_a_reader_from_the_page_finds_every_integer() -> None:
    tensors = [
        torch.randint(-(2**30) + 1, 2**30, (3, 4), generator=GENERATOR),  # escapes
        torch.randint(256, (2, 9), generator=GENERATOR).to(torch.uint8),
        torch.randint(-9, 9, (66_000,), generator=GENERATOR).to(torch.int8),  # two batches
    ]
    data = features.encode(tensors, channels=0)
    for found, right in zip(read_by_the_specification(data), tensors, strict=True):
        assert same(found, right)


def test_a_reader_from_the_page_finds_features_by_a_basis(tmp_path) -> None:
    basis = features.Basis.fit(MAPS, 3)
    basis.write(tmp_path / "basis")
    tensors = [MAPS[0], MAPS[1].half(), torch.zeros(5, 0, 1)]
    data = features.encode(tensors, basis=basis, rate=17)
    found = read_by_the_specification(data, (tmp_path / "basis").read_bytes())
    for own, right in zip(found, features.decode(data, basis=basis), strict=True):
        assert own.shape == tuple(right.shape) and np.allclose(own, right, atol=2e-3)


def test_a_reader_from_the_page_finds_tokens(tmp_path) -> None:
    codebook = features.Codebook.fit(MAPS, 9)
    codebook.write(tmp_path / "codebook")
    known = (tmp_path / "codebook").read_bytes()
    tensors = [*MAPS, MAPS[0][:, 0, 0], torch.stack(MAPS[:2], 1), torch.zeros(5, 0, 1)]
    data = features.encode(tensors, basis=codebook, channels=0)
    for found, right in zip(
        read_by_the_specification(data, known), features.decode(data, basis=codebook), strict=True
    ):
        assert same(found, right)


def test_the_size_that_the_page_states() -> None:
    data = features.encode(torch.randn(64, 14, 14, generator=GENERATOR), bits=2)
    head = Header(data)
    assert head.single and head.tensors == [("float32", [64, 14, 14])]
    assert 128 <= len(head.part) < 16384 and len(data) - len(head.part) == head.beside == 33
