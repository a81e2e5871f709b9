"""Decoders written from docs/reference/codecs/vq.md and tokens.md alone read our files.

They are plain Python. Of the coder they take what tests/entropy/test_specification.py wrote from
hyperprior.md.
"""

from __future__ import annotations

import binascii
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import quantal
from quantal import container

sys.path.insert(0, str(Path(__file__).parents[1] / "entropy"))
sys.path.insert(0, str(Path(__file__).parent))

from pages import page_hash
from small_vq import scene, write_small_tokens, write_small_vq
from test_specification import START, Stack, batch

from quantal.entropy import TableSet


class Weights:
    """A weights file, and its hash as the pages say it."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="np") as file:
            self.format = file.metadata()["format"]
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def hash(self, *prefixes: str) -> bytes:
        covered = {n: v for n, v in self.tensors.items() if n.startswith(prefixes)}
        return page_hash(self.format, covered)


def tables_of(weights: list[list[int]]) -> TableSet:
    return TableSet.from_weights([0] * len(weights), [np.array(w, np.int32) for w in weights])


class Counting:
    """The paragraph "Counting"."""

    def __init__(self, weights: np.ndarray) -> None:
        self.entries = weights.shape[1] - 1
        self.counts = [[int(n) for n in row] for row in weights]
        self.tables = tables_of(self.counts)
        self.often = [0] * (self.entries + 1)
        self.before = self.since = 0

    def now(self) -> TableSet:
        if self.since >= 48 and self.since >= self.before // 32:
            self.before, self.since = self.before + self.since, 0
            for row in self.counts:
                while sum(row) > 1 << 38:
                    row[:] = [n // 2 for n in row]
            n = self.before
            shared = min(n << 14, self.entries << 14, 1 << 24)
            made = []
            for row in self.counts:
                c = [own + often * shared // n for own, often in zip(row, self.often, strict=True)]
                weighed = [k * ((1 << 24) - self.entries - 1) // sum(c) + 1 for k in c]
                weighed[weighed.index(max(weighed))] += (1 << 24) - sum(weighed)
                made.append(weighed)
            self.tables = tables_of(made)
        return self.tables

    def add(self, state: int, symbol: int) -> None:
        self.counts[state][symbol] += 1 << 16
        self.often[symbol] += 1
        self.since += 1


def read_map(
    stack: Stack, weights: Weights, name: str, there: np.ndarray, parents: np.ndarray | None
) -> np.ndarray:
    """The paragraphs "Contexts", "Order"."""
    shape, classes, states, table = (
        weights.tensors[f"{name}.{part}"] for part in ("shape", "classes", "states", "weights")
    )
    count, kinds = shape.tolist()
    height, width = there.shape
    found = np.full((height, width), -1)

    def kind(row: int, column: int) -> int:
        if row < 0 or column < 0 or found[row, column] < 0:
            return count
        return int(classes[found[row, column]])

    counting = Counting(table)
    for diagonal in range(height + width - 1):
        places = [(r, diagonal - r) for r in range(height) if 0 <= diagonal - r < width]
        places = [place for place in places if there[place]]
        used = []
        for row, column in places:
            combination = kind(row, column - 1)
            combination = combination * (count + 1) + kind(row - 1, column)
            combination = combination * (count + 1) + kind(row - 1, column - 1)
            parent = 0 if parents is None or kinds == 1 else int(parents[row // 2, column // 2])
            used.append(int(states[combination * kinds + parent]))
        if not places:
            continue
        for place, state, symbol in zip(
            places, used, batch(stack, used, counting.now()), strict=True
        ):
            found[place] = symbol
            counting.add(state, symbol)
    return found


def read_maps(data: bytes, weights: Weights, books: list[int], rows: int, columns: int) -> list:
    """The paragraph "Maps"."""
    stack = Stack(data)
    depth = read_map(stack, weights, "priors.depth", np.ones((rows, columns), bool), None)
    maps, parents = [depth], None
    for rung in range(3):
        there = (depth >= rung).repeat(1 << rung, 0).repeat(1 << rung, 1)
        name = f"priors.{rung}.{books[rung]}"
        indices = read_map(stack, weights, name, there, parents)
        maps.append(indices)
        parents = weights.tensors[f"{name}.classes"][np.maximum(indices, 0)]
    assert (stack.state, stack.words) == (START, [])
    return maps


@pytest.fixture(scope="module")
def vq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_vq(tmp_path_factory.mktemp("vq") / "vq.safetensors")


@pytest.mark.parametrize("quality", [1, 40, 70, 100])
def test_indices_are_those_of_the_page(quality: int, vq: Path) -> None:
    codec, weights = quantal.load("vq", "cpu", weights=vq), Weights(vq)
    data = codec.compress(scene(330, 250), quality=quality)
    file = container.read(data)
    codebooks = tuple(f"net.rungs.{r}.books.{b}.codebook" for r in range(3) for b in range(3))
    assert file.header.model_hash == weights.hash("priors.", *codebooks)
    payload = file.part("image") or b""
    head = int.from_bytes(payload[:2], "little")
    assert head >> 12 == 0
    books = [head >> 4 * rung & 15 for rung in range(3)]
    maps = read_maps(payload[2:], weights, books, 8, 11)
    known = codec.latents(data).symbols
    assert books == known[0].tolist()
    for mine, theirs in zip(maps, known[1:], strict=True):
        assert (mine == theirs).all()


def test_rows_are_those_of_the_page(vq: Path) -> None:
    codec, weights = quantal.load("vq", "cpu", weights=vq), Weights(vq)
    data = codec.compress(scene(200, 90), quality=80, resilient=True)
    payload = container.read(data).part("image") or b""
    head = int.from_bytes(payload[:2], "little")
    assert head >> 12 == 1
    books = [head >> 4 * rung & 15 for rung in range(3)]
    lengths = [int.from_bytes(payload[2 + 2 * row : 4 + 2 * row], "little") for row in range(3)]
    known = [(200, 4), (90, 4), (head & 0xFFF, 2)]
    start = b"".join(value.to_bytes(size, "little") for value, size in known)
    assert int.from_bytes(payload[8:12], "little") == zlib.crc32(start + payload[2:8])
    place, rows = 12, []
    for row, length in enumerate(lengths):
        stream = payload[place : place + length]
        sealed = binascii.crc_hqx(row.to_bytes(2, "little") + stream, 0).to_bytes(2, "little")
        assert payload[place + length : place + length + 2] == sealed
        rows.append(read_maps(stream, weights, books, 1, 7))
        place += length + 2
    assert place == len(payload)
    for number, theirs in enumerate(codec.latents(data).symbols[1:]):
        assert (np.concatenate([row[number] for row in rows]) == theirs).all()


def test_tokens_are_those_of_the_page(tmp_path: Path) -> None:
    path = write_small_tokens(tmp_path / "tokens.safetensors")
    codec, weights = quantal.load("tokens", "cpu", weights=path), Weights(path)
    tables = weights.tensors["tables.weights"]
    most = len(tables) // 2
    for quality in (1, 60, 100):
        data = codec.compress(scene(300, 280), quality=quality)
        file = container.read(data)
        named = ("tables.weights", "net.coefficient", "net.level")
        assert file.header.model_hash == weights.hash(*named)
        stack = Stack((file.part("image") or b"")[::-1])
        tokens = max(round(most ** (file.header.rate / 252)), 1)
        found = []
        for token in range(tokens):
            index = [2 * token] * 4 + [2 * token + 1] * 4
            symbols = batch(stack, index, tables_of(tables.tolist()))
            found.append([symbols[:4], symbols[4:]])
        assert (stack.state, stack.words) == (START, [])
        (theirs,) = codec.latents(data).symbols
        assert np.array_equal(np.array(found), theirs)
