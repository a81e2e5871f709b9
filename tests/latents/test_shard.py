"""Shards: what was written is read, and damage of any kind is harmless and named."""

from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
    TruncatedError,
    UnsupportedVersionError,
)
from quantal.latents import Shard
from quantal.latents._format import ENTRY, HEAD, Flags, Head
from quantal.latents._writer import Parsed, ShardWriter

SHAPES = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple), max_size=4)


def picture(name: str, symbols, beside: bytes = b"", rate: int = 100) -> Parsed:
    return Parsed(name, 64, 48, rate, symbols, beside, Flags(0))


def sparse(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    noise = np.random.default_rng(seed)
    return [
        (noise.integers(-4, 5, shape) * (noise.random(shape) < 0.1)).astype(np.int8)
        for shape in shapes
    ]


def write(path: Path, pictures, compact: bool = True) -> Path:
    with ShardWriter(path, "hyperprior", b"hash", compact) as writer:
        for each in pictures:
            writer.add(each)
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Five pictures of two sizes, an odd name among them."""
    pictures = [
        picture(f"a/{n}\udcff.qtl", sparse(n, (2, 2, 2), (40, 6, 5 + n % 2)), bytes([n] * n), n)
        for n in range(5)
    ]
    return write(tmp_path / "a.qshard", pictures)


def forged(path: Path, change) -> Path:
    """Change entries of an index, and make all checksums right again."""
    data = bytearray(path.read_bytes())
    head = Head.unpack(bytes(data[: HEAD.size]), len(data))
    sections, start = [], head.index
    for length in head.lengths:
        sections.append(bytearray(data[start : start + length]))
        start += length
    entries = np.frombuffer(sections[2], ENTRY).copy()
    change(entries, sections)
    sections[2] = bytearray(entries.tobytes())
    index = b"".join(map(bytes, sections))
    order, layouts, rows, names = map(len, sections)
    lengths = (order, layouts, rows, names)
    head = Head(head.codec, head.model_hash, head.count, head.index, lengths, zlib.crc32(index))
    path.write_bytes(head.pack() + bytes(data[HEAD.size : head.index]) + index)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(SHAPES, max_size=4), st.booleans(), st.integers(0, 9), st.integers(1, 1 << 31))
def test_pictures_of_any_shapes_come_back(tmp_path, layouts, compact, seed, largest) -> None:
    noise = np.random.default_rng(seed)
    pictures = []
    for number, shapes in enumerate(layouts):
        symbols = [
            (noise.integers(-largest, largest, shape) * (noise.random(shape) < 0.5)).astype(
                np.int32
            )
            for shape in shapes
        ]
        pictures.append(picture(f"{number}", symbols, bytes(number), number))
    found = Shard(write(tmp_path / "x.qshard", pictures, compact))
    assert len(found) == len(pictures)
    for number, each in enumerate(pictures):
        symbols = found.symbols(number)
        assert [part.shape for part in symbols] == [part.shape for part in each.symbols]
        assert all(map(np.array_equal, symbols, each.symbols))
        about = found.about(number)
        assert (about.name, about.width, about.height) == (str(number), 64, 48)
        assert about.rate == number and found.beside(number)[0] == each.beside


def test_blocks_hold_what_single_pictures_hold(shard) -> None:
    found = Shard(shard)
    block = found.block([0, 4, 2])
    assert [part.shape for part in block] == [(3, 2, 2, 2), (3, 40, 6, 5)]
    for row, index in enumerate((0, 4, 2)):
        assert all(
            np.array_equal(p[row], q) for p, q in zip(block, found.symbols(index), strict=True)
        )
    with pytest.raises(ArgumentError, match="2 layouts"):
        found.block([0, 1])


def test_symbols_have_the_smallest_type(tmp_path) -> None:
    for value, dtype in ((127, np.int8), (128, np.int16), (1 << 20, np.int32)):
        symbols = [np.full((3, 4, 4), 0, np.int32)]
        symbols[0][1, 2, 3] = value
        found = Shard(write(tmp_path / f"{value}.qshard", [picture("x", symbols)])).symbols(0)[0]
        assert found.dtype == dtype and found[1, 2, 3] == value


def test_names_that_are_no_text_come_back(shard) -> None:
    assert Shard(shard).name(3) == "a/3\udcff.qtl"


def test_a_shard_can_be_sent_to_another_process(shard) -> None:
    again = pickle.loads(pickle.dumps(Shard(shard)))
    assert np.array_equal(again.symbols(1)[1], Shard(shard).symbols(1)[1])


def test_every_cut_is_named(shard) -> None:
    data = shard.read_bytes()
    for size in [0, 1, 3, 4, HEAD.size - 1, HEAD.size, len(data) // 2, len(data) - 1]:
        shard.write_bytes(data[:size])
        with pytest.raises(BitstreamError, match=r"a\.qshard"):
            Shard(shard)
    shard.write_bytes(data + b"x")
    with pytest.raises(CorruptError, match="trailing"):
        Shard(shard)


def test_no_flipped_bit_goes_unnoticed(shard) -> None:
    data = shard.read_bytes()
    head = Head.unpack(data[: HEAD.size], len(data))
    for place in range(len(data)):
        shard.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        if HEAD.size <= place < head.index:
            opened = Shard(shard)
            with pytest.raises(CorruptError, match="checksum"):
                for index in range(len(opened)):
                    opened.symbols(index)
        else:
            with pytest.raises(BitstreamError):
                Shard(shard)


def test_other_files_and_versions_are_refused(tmp_path, tree, shard) -> None:
    with pytest.raises(CorruptError, match="not a shard"):
        Shard(tree / "cats" / "a.qtl")
    with pytest.raises(MediaError, match="can't be read"):
        Shard(tmp_path / "nowhere.qshard")
    with pytest.raises(MediaError, match="can't be read"):
        Shard(tmp_path)
    data = bytearray(shard.read_bytes())
    data[4] = 9
    shard.write_bytes(data)
    with pytest.raises(UnsupportedVersionError, match="version 9"):
        Shard(shard)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("offset", 1 << 40, "points outside"),
        ("offset", (1 << 64) - 8, "points outside"),
        ("offset", 0, "points outside"),
        ("beside_bytes", (1 << 32) - 1, "points outside"),
        ("layout", 7, "layout 7 of 2"),
        ("name", 0, "names"),
        ("runs", (1 << 32) - 1, "more symbols"),
        ("plain", (1 << 32) - 1, "more symbols"),
        ("runs", 0, "more symbols"),
        ("rate", 253, "rate"),
        ("width", (1 << 16) - 1, "pixels"),
    ],
)
def test_an_index_that_lies_is_refused(shard, field, value, message) -> None:
    def change(entries, sections) -> None:
        entries[field][2] = value

    with pytest.raises(CorruptError, match=message):
        Shard(forged(shard, change))


def test_flags_of_a_newer_version_are_refused(shard) -> None:
    def change(entries, sections) -> None:
        entries["flags"][1] |= 16

    with pytest.raises(UnsupportedVersionError, match="flags 0x10"):
        Shard(forged(shard, change))


def test_layouts_that_their_bytes_cannot_hold_are_refused(shard) -> None:
    def huge(entries, sections) -> None:
        sections[1] = bytearray(struct.pack("<BBB3I", 1, 1, 3, 1 << 10, 1 << 15, 1 << 14))
        entries["layout"] = 0

    with pytest.raises(CorruptError, match="more symbols"):
        Shard(forged(shard, huge))


@pytest.mark.parametrize(
    "layouts", [b"\x01", b"\x01\x05\x01\x01\0\0\0", b"\x01\x00\x09", b"\x01\x02\x01\x01\0\0\0"]
)
def test_layouts_that_are_none_are_refused(shard, layouts) -> None:
    def change(entries, sections) -> None:
        sections[1] = bytearray(layouts)

    with pytest.raises(CorruptError, match="layouts"):
        Shard(forged(shard, change))


def test_more_layouts_than_pictures_are_refused(shard) -> None:
    """A layout of no parts is a byte of the file and a hundred in memory."""

    def change(entries, sections) -> None:
        sections[1] = bytearray(len(entries) + 1)

    with pytest.raises(CorruptError, match="layouts"):
        Shard(forged(shard, change))


def test_pictures_that_are_not_there_are_named(shard) -> None:
    found = Shard(shard)
    for call in (found.name, found.about, found.symbols, found.beside):
        for index in (len(found), -1):
            with pytest.raises(ArgumentError, match=f"index must be 0..{len(found) - 1}"):
                call(index)
    with pytest.raises(ArgumentError, match="empty list"):
        found.block([])


def test_few_large_pictures_decide_the_order(tmp_path, monkeypatch) -> None:
    """They wait in memory until they do."""
    monkeypatch.setattr("quantal.latents._writer._SAMPLE_SYMBOLS", 100)
    with ShardWriter(tmp_path / "x.qshard", "vq", bytes(4), True) as writer:
        writer.add(picture("a", sparse(1, (3, 4, 4))))
        assert writer.bytes == HEAD.size
        writer.add(picture("b", sparse(2, (3, 4, 5))))
        assert writer.bytes > HEAD.size
    assert len(Shard(tmp_path / "x.qshard")) == 2


def test_an_order_that_is_none_is_refused(shard) -> None:
    def change(entries, sections) -> None:
        sections[0][:2] = sections[0][2:4]

    with pytest.raises(CorruptError, match="permutation"):
        Shard(forged(shard, change))


def test_symbols_that_contradict_the_index_are_named(shard) -> None:
    """The checksums are right, the runs are those of another size."""

    def swap(entries, sections) -> None:
        entries["layout"] = 1 - entries["layout"]

    found = Shard(forged(shard, swap))
    with pytest.raises(CorruptError, match="a/1"):
        found.symbols(1)
    named: list[int] = []
    block = found.block([0, 2, 4], lambda index, error: named.append(index))
    assert named == [0, 2, 4] and all(len(part) == 0 for part in block)


def test_damaged_pictures_are_left_out_of_a_block(shard) -> None:
    expected = Shard(shard).block([0, 4])
    data = bytearray(shard.read_bytes())
    entry = Shard(shard)._entries[2]
    data[int(entry["offset"])] ^= 255
    shard.write_bytes(data)
    named: list[int] = []
    block = Shard(shard).block([0, 2, 4], lambda index, error: named.append(index))
    assert named == [2]
    assert all(map(np.array_equal, block, expected))
    with pytest.raises(CorruptError, match=r"a/2.*checksum"):
        Shard(shard).block([0, 2, 4])


def test_an_error_leaves_a_head_that_says_nothing(tmp_path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "x", "vq", bytes(4), True) as writer:
        writer.add(picture("a", sparse(1, (3, 4, 4))))
        raise RuntimeError
    with pytest.raises((CorruptError, TruncatedError)):
        Shard(tmp_path / "x")
