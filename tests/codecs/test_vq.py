"""Codec `vq`: maps of indices, rows that stand alone, and what is made up where some are lost."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import quantal
from quantal import container
from quantal.codecs.vq import painter, stream
from quantal.codecs.vq.codec import Vq, concealment_file
from quantal.codecs.vq.conceal import COARSE, FINER, LOST, OUTSIDE, _cells, conceal
from quantal.codecs.vq.conceal_net import carried, cell_vectors
from quantal.codecs.vq.maps import Step, cells_of
from quantal.codecs.vq.stream import pack, pack_banded, unpack, unpack_damaged
from quantal.codecs.vq.weights import read_vq_weights
from quantal.entropy.coder import Encoder
from quantal.entropy.indices import ABSENT
from quantal.entropy.quantisers import nearest
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    ModelError,
    QuantalWarning,
    TruncatedError,
)

sys.path.insert(0, str(Path(__file__).parent))

from small_vq import scene, write_small_vq

DEEP = Step((0, 0, 0), 1e-12)
MIXED = Step((2, 2, 0), 2e-4)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Vq:
    path = write_small_vq(tmp_path_factory.mktemp("vq") / "vq.safetensors")
    loaded = quantal.load("vq", "cpu", weights=path)
    assert isinstance(loaded, Vq)
    return loaded


@pytest.fixture
def described(codec: Vq) -> Callable[..., stream.Maps]:
    def describe(width: int, height: int, step: Step = MIXED) -> stream.Maps:
        return codec.painter.describe(codec.painter.analyse(scene(width, height)), step)

    return describe


def same(one: stream.Maps, other: stream.Maps) -> bool:
    planes = zip((one.depth, *one.indices), (other.depth, *other.indices), strict=True)
    return one.books == other.books and all((a == b).all() for a, b in planes)


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (32, 32), (97, 70), (200, 5), (3, 130)])
def test_a_picture_of_any_size_comes_back_as_it_was_described(size, codec) -> None:
    width, height = size
    encoding = codec.encoding(scene(width, height))
    latents = codec.painter.analyse(scene(width, height))
    for rate in (0, 84, 168, 252):
        maps = codec.painter.describe(latents, codec.ladder.at(rate))
        payload = encoding.at(rate)
        books, depth, *indices = codec.parse(payload, width, height, rate)
        assert tuple(books.tolist()) == maps.books
        assert (depth == maps.depth).all()
        assert all((a == b).all() for a, b in zip(indices, maps.indices, strict=True))
        drawn = codec.synthesise(codec.read(payload, width, height, rate))
        assert drawn.shape == (height, width, 3)


def test_cells_have_as_many_indices_as_their_depth_says(described) -> None:
    maps = described(200, 140)
    assert set(np.unique(maps.depth)) == {1, 2}
    assert set(np.unique(described(200, 140, Step((0, 0, 0), 1e-3)).depth)) == {0, 1}
    for rung, plane in enumerate(maps.indices):
        deep = np.kron(maps.depth >= rung, np.ones((1 << rung, 1 << rung))).astype(bool)
        assert ((plane != ABSENT) == deep).all()


def test_a_higher_rate_makes_a_larger_file_and_a_nearer_picture(codec) -> None:
    pixels = scene(192, 128)
    encoding = codec.encoding(pixels)
    sizes, errors = [], []
    for rate in (0, 126, 252):
        payload = encoding.at(rate)
        drawn = codec.synthesise(codec.read(payload, 192, 128, rate)).astype(float)
        sizes.append(len(payload))
        errors.append(float(np.square(drawn - pixels).mean()))
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert errors[2] < errors[0]


def test_a_large_plain_picture_takes_few_bytes_and_comes_back(codec) -> None:
    """Counting makes the same index ever cheaper: no bound on size may forbid that."""
    plain = np.full((2048, 2048, 3), 90, np.uint8)
    data = codec.compress(plain, quality=1)
    assert len(data) < 1000
    assert codec.decompress(data).size == (2048, 2048)


def test_windows_leave_no_trace(codec, monkeypatch) -> None:
    pixels = scene(420, 330)
    whole = codec.painter.describe(codec.painter.analyse(pixels), MIXED)
    data = pack(codec.priors, whole)
    drawn = codec.synthesise_unrounded(codec.read(data, 420, 330, 0))
    monkeypatch.setattr(painter, "_CORE", 4)
    features = codec.painter.analyse(pixels)
    parts = codec.painter.describe(features, MIXED)
    assert np.mean(parts.indices[0] == whole.indices[0]) > 0.98  # ties may fall otherwise
    again = codec.synthesise_unrounded(codec.read(data, 420, 330, 0))
    np.testing.assert_allclose(again, drawn, atol=2e-2)


def test_latents_are_what_a_picture_is_drawn_from(codec) -> None:
    data = codec.compress(scene(100, 60), quality=70)
    latents = codec.latents(data)
    assert latents.codec == "vq" and (latents.width, latents.height) == (100, 60)
    assert latents.y_hat.shape == (8, 4, 8) and latents.stride == 16
    assert [s.dtype for s in latents.symbols] == [np.int32] * 5
    torch.from_numpy(latents.y_hat).requires_grad_(True).square().sum().backward()


@settings(max_examples=15, deadline=None)
@given(width=st.integers(1, 150), height=st.integers(1, 150), banded=st.booleans())
def test_maps_survive_the_stream(width, height, banded, codec) -> None:
    rng = np.random.default_rng(width * 151 + height)
    rows, columns = cells_of(width, height)
    depth = rng.integers(0, 3, (rows, columns)).astype(np.int32)
    books = tuple(int(n) for n in rng.integers(0, 3, 3))
    planes = []
    for rung, book in enumerate(books):
        there = np.kron(depth >= rung, np.ones((1 << rung, 1 << rung))).astype(bool)
        drawn = rng.integers(0, (16, 8, 4)[book], there.shape)
        planes.append(np.where(there, drawn, ABSENT).astype(np.int32))
    maps = stream.Maps(books, depth, tuple(planes))
    payload = pack_banded(codec.priors, maps, width, height) if banded else pack(codec.priors, maps)
    assert same(unpack(codec.priors, payload, width, height), maps)


# -- damage ----------------------------------------------------------------------------------


def test_a_resilient_file_decodes_to_the_same_picture(codec) -> None:
    pixels = scene(200, 150)
    plain = codec.compress(pixels, quality=80)
    sturdy = codec.compress(pixels, quality=80, resilient=True)
    assert len(plain) < len(sturdy)
    assert codec.decompress(plain).tobytes() == codec.decompress(sturdy).tobytes()
    assert codec.decompress(sturdy, conceal=True).tobytes() == codec.decompress(plain).tobytes()


def test_only_rows_that_were_hit_are_lost(codec, described) -> None:
    maps = described(200, 320)
    payload = bytearray(pack_banded(codec.priors, maps, 200, 320))
    lengths, start = stream._lengths(bytes(payload), head_of(payload), 200, 320)
    hit = start + sum(lengths[:3]) + 3 * 2  # the first byte of row 3
    payload[hit] ^= 0x10
    found, lost = unpack_damaged(codec.priors, bytes(payload), 200, 320)
    assert lost == [3]
    assert (found.indices[0][3] == ABSENT).all() and (found.depth[3] == 0).all()
    others = [row for row in range(10) if row != 3]
    assert (found.indices[0][others] == maps.indices[0][others]).all()
    assert (found.depth[others] == maps.depth[others]).all()


def test_lost_rows_are_made_up_and_named(codec) -> None:
    data = codec.compress(scene(200, 320), quality=60, resilient=True)
    info = container.probe(data)
    damaged = bytearray(data)
    damaged[info.parts[0].offset + info.parts[0].bytes - 5] ^= 1
    with pytest.raises(CorruptError):
        codec.decompress(bytes(damaged))
    with pytest.warns(QuantalWarning, match=r"1 of 10 rows .* lines 288 to 319 .* made up"):
        image = codec.decompress(bytes(damaged), conceal=True)
    assert image.size == (200, 320)
    with pytest.warns(QuantalWarning) as caught:
        codec.decompress(data[:-40], conceal=True)
    said = [str(warning.message) for warning in caught]
    assert any("rows of cells were damaged" in one for one in said)
    assert any("the file was cut: metadata" in one for one in said)


def test_a_damaged_size_is_no_picture(codec) -> None:
    """Rows are found and whole, but the header bends them: width, height, a bit of each."""
    data = codec.compress(scene(200, 150), quality=60, resilient=True)
    found = container.probe(data)
    for field, place in (("width", 12), ("height", 14)):
        damaged = bytearray(data)
        damaged[place] ^= 1
        changed = container.probe(bytes(damaged)).header
        assert getattr(changed, field) != getattr(found.header, field)
        with pytest.raises(BitstreamError, match="size"):
            codec.decompress(bytes(damaged), conceal=True)


def test_a_damaged_file_says_what_can_be_done(codec, tmp_path) -> None:
    sturdy = codec.compress(scene(200, 320), resilient=True)
    plain = codec.compress(scene(200, 320))
    for data, error in ((sturdy[:-9], TruncatedError), (sturdy[:-9] + bytes(9), CorruptError)):
        with pytest.raises(error, match="or conceal what is lost") as refused:
            quantal.decompress(data, codec=codec)
        assert refused.value.code == "conceal"
    with pytest.raises(TruncatedError) as refused:
        quantal.decompress(plain[:-9], codec=codec)
    assert "conceal" not in str(refused.value) and not refused.value.code


@pytest.mark.parametrize("resilient", [True, False])
def test_damage_beside_the_picture_takes_only_that(resilient, codec) -> None:
    pixels = scene(200, 100)
    faded = np.dstack((pixels, np.tile(np.arange(200, dtype=np.uint8), (100, 1))))
    data = codec.compress(Image.fromarray(faded), resilient=resilient)
    damaged = bytearray(data)
    damaged[-9] ^= 1  # of the transparency, which comes last
    with pytest.warns(QuantalWarning, match="left out: alpha"):
        image = codec.decompress(bytes(damaged), conceal=True)
    assert image.mode == "RGB"
    assert image.tobytes() == codec.decompress(data).convert("RGB").tobytes()


def test_what_was_not_lost_is_not_changed_far_from_it(codec) -> None:
    data = codec.compress(scene(96, 480), quality=60, resilient=True)
    damaged = bytearray(data)
    damaged[-7] ^= 1  # the last row
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = codec.decompress(data), codec.decompress(bytes(damaged), conceal=True)
    differ = np.flatnonzero((np.asarray(one) != np.asarray(other)).any((1, 2)))
    assert len(differ) and differ.min() >= 300


def test_damage_to_a_plain_file_can_not_be_concealed(codec) -> None:
    damaged = bytearray(codec.compress(scene(200, 320), quality=60))
    damaged[-9] ^= 1
    with pytest.raises(BitstreamError, match="damage-resilient files can"):
        codec.decompress(bytes(damaged), conceal=True)


def test_a_picture_of_which_most_is_lost_is_refused(codec, described) -> None:
    payload = pack_banded(codec.priors, described(64, 320), 64, 320)
    _, start = stream._lengths(payload, head_of(payload), 64, 320)
    with pytest.raises(BitstreamError, match="more than 50%"):
        unpack_damaged(codec.priors, payload[: start + 4], 64, 320)
    with pytest.raises(TruncatedError, match="table of its 10 rows"):
        unpack_damaged(codec.priors, payload[:9], 64, 320)
    spoiled = bytearray(payload)
    spoiled[3] ^= 1
    with pytest.raises(CorruptError, match="table of rows"):
        unpack_damaged(codec.priors, bytes(spoiled), 64, 320)


def test_concealment_for_other_codebooks_is_refused(codec, tmp_path) -> None:
    weights = write_small_vq(tmp_path / "vq.safetensors")
    other = quantal.load("vq", "cpu", weights=weights)
    damaged = bytearray(other.compress(scene(64, 320), resilient=True))
    damaged[-7] ^= 1
    beside = concealment_file(weights)
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(beside, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stated = file.metadata()
    save_file(tensors, beside, {**stated, "of": "00000000"})
    with pytest.raises(ModelError, match="for the codebooks of 00000000"):
        other.decompress(bytes(damaged), conceal=True)
    beside.unlink()  # the one that ships is tried, which is for others
    with pytest.raises(ModelError, match=r"vq-conceal\.safetensors are for the codebooks"):
        other.decompress(bytes(damaged), conceal=True)


class _Copying:
    """Networks that predict what the nearest known cell of a column has, at any depth."""

    def __init__(self, finer: bool) -> None:
        self.finer = finer
        self.states: set[float] = set()

    def __call__(self, name: str, rate: float, *inputs: np.ndarray) -> np.ndarray:
        vectors, states = inputs
        assert name == "concealed" and states.shape == (len(vectors), 64, 1, 1)
        self.states |= set(np.unique(states).tolist())
        found = carried(torch.from_numpy(vectors), torch.from_numpy(states[..., 0, 0]).long())
        depth = torch.tensor([0.0, 1.0] if self.finer else [1.0, 0.0]).expand(*found.shape[:2], 2)
        return torch.cat((found.flatten(2), depth), 2).numpy()


@pytest.mark.parametrize("finer", [True, False])
@pytest.mark.parametrize("size", [(32, 96), (416, 224), (300, 640)])
def test_lost_rows_are_filled_from_the_cells_around_them(size, finer, codec, described) -> None:
    maps = described(*size, DEEP)
    rows = len(maps.depth)
    lost = [0] if rows < 5 else [0, 2, 3, rows - 1]
    coarse, middle, finest = (plane.copy() for plane in maps.indices)
    for row in lost:
        coarse[row] = middle[2 * row : 2 * row + 2] = ABSENT
        finest[4 * row : 4 * row + 4] = ABSENT
    damaged = dataclasses.replace(maps, indices=(coarse, middle, finest))
    networks = _Copying(finer)
    found = conceal(networks, codec.painter.books, damaged, lost)
    source = {0: 1, 2: 1, 3: 4, rows - 1: rows - 2} if rows >= 5 else {0: 1}
    for row in range(rows):
        from_row = source.get(row, row)
        fine, from_fine = slice(2 * row, 2 * row + 2), slice(2 * from_row, 2 * from_row + 2)
        assert (found.indices[0][row] == maps.indices[0][from_row]).all()
        if row in lost:
            assert (found.depth[row] == finer).all()
            expected = maps.indices[1][from_fine] if finer else ABSENT
            assert (found.indices[1][fine] == expected).all()
        else:
            assert (found.indices[1][fine] == maps.indices[1][fine]).all()
            assert (found.depth[row] == maps.depth[row]).all()
    assert (found.indices[2] == finest).all() and coarse[0, 0] == ABSENT
    assert {LOST, FINER, OUTSIDE} <= networks.states


def test_cells_are_described_as_in_training(codec, described) -> None:
    maps = described(320, 160, Step((2, 2, 0), 1e-3))
    coarse, middle = (plane.copy() for plane in maps.indices[:2])
    coarse[1] = middle[2:4] = ABSENT
    books = [codec.painter.books[rung][maps.books[rung]] for rung in (0, 1)]
    vectors, states = _cells(books, coarse, middle)
    tensors = [torch.from_numpy(each) for each in (*books, coarse, middle)]
    expected, kinds = cell_vectors(tensors[:2], *tensors[2:])
    assert np.array_equal(vectors, expected.numpy()) and np.array_equal(states, kinds.numpy())
    assert set(states.ravel().tolist()) >= {LOST, COARSE, FINER}


@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("entries", [1, 7, 1024])
def test_the_nearest_entry_is_that_of_training(entries, offset) -> None:
    """A codebook far from zero would drown differences of squares."""
    rng = np.random.default_rng(entries)
    codebook = (rng.normal(size=(entries, 16)) + offset).astype(np.float32)
    vectors = (rng.normal(size=(2500, 16)) + offset).astype(np.float32)
    found = painter.nearest(vectors, codebook)
    assert found.dtype == np.int32
    exact = np.square(vectors[:, None].astype(float) - codebook).sum(2)
    gap = exact[np.arange(len(vectors)), found] - exact.min(1)
    assert gap.max() < 1e-3 and (gap > 0).mean() < 0.01
    trained = nearest(torch.from_numpy(vectors), torch.from_numpy(codebook)).numpy()
    assert (trained != found).mean() < 0.01


def test_codecs_that_can_not_say_so(codec) -> None:
    with pytest.raises(ArgumentError, match="can't write damage-resilient files"):
        quantal.compress(scene(40, 40), "hyperprior", resilient=True)
    data = quantal.compress(scene(40, 40), "hyperprior")
    with pytest.raises(ArgumentError, match="lost can't be concealed"):
        quantal.decompress(data[:-3], conceal=True)
    with pytest.raises(ArgumentError, match="not both"):
        quantal.decompress(data, conceal=True, max_parts=2)
    with pytest.raises(ArgumentError, match="no parts"):
        codec.decompress(codec.compress(scene(40, 40)), max_parts=1)


# -- wrong input -----------------------------------------------------------------------------


def test_an_index_without_an_entry_is_not_even_written(codec, described) -> None:
    maps = described(64, 64, DEEP)
    wild = maps.indices[0].copy()
    wild[0, 0] = 4000
    with pytest.raises(CorruptError, match=r"index 4000 found, expected 0\.\.15"):
        pack(codec.priors, dataclasses.replace(maps, indices=(wild, *maps.indices[1:])))


def test_a_forged_escape_is_an_index_out_of_range(codec) -> None:
    around, tables = codec.priors.depth.around, codec.priors.depth.tables
    nothing = np.array([around.count], np.uint8)
    state = around.states[around.context(nothing, nothing, nothing, np.zeros(1, np.uint8))]
    encoder = Encoder()
    encoder.put(np.array([77], np.int32), state, tables)
    payload = b"\0\0" + encoder.finish()
    with pytest.raises(CorruptError, match=r"index 77 found, expected 0\.\.2"):
        codec.parse(payload, 20, 20, 0)


def test_a_codebook_that_the_weights_lack_is_named(codec, described) -> None:
    payload = bytearray(pack(codec.priors, described(64, 64)))
    payload[0] = 0x50 | payload[0] & 0xF
    with pytest.raises(ModelError, match="codebook 5 of rung 1, and these weights have 3"):
        codec.parse(bytes(payload), 64, 64, 0)


def test_bits_that_mean_nothing_are_refused(codec, described) -> None:
    payload = bytearray(pack(codec.priors, described(64, 64)))
    payload[1] |= 0x80
    with pytest.raises(CorruptError, match="upper bits"):
        codec.parse(bytes(payload), 64, 64, 0)
    with pytest.raises(TruncatedError, match="head"):
        codec.parse(b"\0", 64, 64, 0)


def head_of(payload: bytes) -> stream._Head:
    return stream._read_head(bytes(payload))


def test_a_size_that_the_bytes_can_not_hold_is_refused(codec, described) -> None:
    payload = pack(codec.priors, described(64, 64))
    with pytest.raises(CorruptError, match=r"1024000 cells needs at least 4000 bytes"):
        codec.parse(payload, 65535, 16000, 0)
    with pytest.raises(BitstreamError):
        codec.parse(payload, 128, 64, 0)


@pytest.mark.parametrize("banded", [True, False])
def test_a_flat_picture_pays_for_its_size(banded, codec, monkeypatch) -> None:
    monkeypatch.setattr(stream, "CELLS_PER_BYTE", 4)  # or the test would take long
    rows, columns = 8, 256
    indices = (
        np.zeros((rows, columns), np.int32),
        *(np.full((rows << rung, columns << rung), ABSENT, np.int32) for rung in (1, 2)),
    )
    maps = stream.Maps((0, 1, 2), np.zeros((rows, columns), np.int32), indices)
    width, height = 32 * columns - 1, 32 * rows - 31
    if banded:
        payload = pack_banded(codec.priors, maps, width, height)
        assert same(unpack_damaged(codec.priors, payload, width, height)[0], maps)
    else:
        payload = pack(codec.priors, maps)
        assert len(payload) == rows * columns // 4 + 4
        filled = bytearray(payload)
        filled[40] = 1
        with pytest.raises(CorruptError, match="filler"):
            unpack(codec.priors, bytes(filled), width, height)
        with pytest.raises(BitstreamError):
            unpack(codec.priors, payload[:2] + b"\xff\xff\xff\xff" + payload[6:], width, height)
    assert same(unpack(codec.priors, payload, width, height), maps)


def test_a_cut_row_is_named(codec, described) -> None:
    payload = pack_banded(codec.priors, described(64, 160), 64, 160)
    with pytest.raises(CorruptError, match=r"row 4 of cells .* conceal what is lost"):
        codec.parse(payload[:-1], 64, 160, 0)
    with pytest.raises(CorruptError, match="follow the last row"):
        codec.parse(payload + b"\1", 64, 160, 0)


def test_other_codebooks_are_another_model(codec, tmp_path) -> None:
    data = codec.compress(scene(64, 64))
    path = write_small_vq(tmp_path / "other.safetensors", refine_width=4)
    loaded = read_vq_weights(path)
    assert loaded.net.refiner is not None
    loaded.net.book(0, 0).codebook[0, 0] += 1.0
    from quantal.codecs.vq.weights import write_vq_weights

    changed = write_vq_weights(path, loaded.net, loaded.priors, loaded.ladder, loaded.card)
    assert changed != loaded.hash
    other = quantal.load("vq", "cpu", weights=path)
    with pytest.raises(ModelError, match="needs the model"):
        other.decompress(data)


def test_a_refiner_is_the_same_on_both_sides(tmp_path) -> None:
    """The third rung describes what is left after refinement, so the encoder must refine too."""
    path = write_small_vq(tmp_path / "vq.safetensors", refine_width=4)
    codec = quantal.load("vq", "cpu", weights=path)
    assert isinstance(codec, Vq)
    latents = codec.painter.analyse(scene(128, 128))
    seen = []
    painter = codec.painter
    original = painter._refined
    painter._refined = lambda x, books, depth: seen.append(original(x, books, depth)) or seen[-1]  # type: ignore[method-assign, func-returns-value]
    maps = painter.describe(latents, DEEP)
    painter.features(maps)
    assert len(seen) == 2
    torch.testing.assert_close(seen[0], seen[1], atol=1e-4, rtol=1e-4)
