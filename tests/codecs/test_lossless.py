"""Codec `lossless`: every sample comes back, whatever the size, depth, channels and damage."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import quantal
from quantal.codecs.lossless import levels, predictor, stored, stream
from quantal.codecs.lossless import step as step_module
from quantal.codecs.lossless import walk as walk_module
from quantal.codecs.lossless.codec import Lossless
from quantal.codecs.lossless.layers import candidates
from quantal.codecs.lossless.net import LosslessConfig, LosslessNet
from quantal.codecs.lossless.predictor import Dense
from quantal.codecs.synthetic import choose_tiles
from quantal.entropy.lengths import put_length, take_length
from quantal.errors import ArgumentError, BitstreamError, CorruptError, ModelError, TruncatedError
from quantal.train import export

RATE = Lossless.rates[0]
SIZES = [(1, 1), (1, 2), (2, 1), (1, 9), (7, 1), (2, 2), (3, 3), (5, 8), (16, 16), (33, 47)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of small networks that know linear predictions alone."""
    torch.manual_seed(3)
    net = LosslessNet(LosslessConfig(8, 6))
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1)
    net.initialise(photograph[None, :, :256, :256].float() / 255)
    path = tmp_path_factory.mktemp("lossless") / "lossless.safetensors"
    export(net, path, [photograph], crop=64, batches=2)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> Lossless:
    found = quantal.load("lossless", weights=weights)
    assert isinstance(found, Lossless)
    return found


def picture(height: int, width: int, channels: int, deep: bool = False) -> np.ndarray:
    """Part of a photograph, with noise in the bits beyond 8 and in alpha."""
    rng = np.random.default_rng(height * 1000 + width)
    whole = np.tile(data.astronaut(), (2, 2, 1))[40 : 40 + height, 60 : 60 + width]
    samples = np.concatenate([whole, rng.integers(0, 256, (height, width, 1), np.uint8)], 2)
    samples = samples[:, :, {1: [1], 2: [1, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    if not deep:
        return samples
    return samples.astype(np.uint16) << 8 | rng.integers(0, 256, samples.shape, np.uint16)


def coded(codec: Lossless, samples: np.ndarray) -> bytes:
    return codec.exact_encoding(samples).at(RATE)


def decoded(codec: Lossless, payload: bytes, samples: np.ndarray) -> np.ndarray:
    height, width = samples.shape[:2]
    return codec.samples(codec.read(payload, width, height, RATE))


def check(codec: Lossless, samples: np.ndarray) -> bytes:
    payload = coded(codec, samples)
    found = decoded(codec, payload, samples)
    assert found.dtype == samples.dtype
    assert np.array_equal(found, samples)
    return payload


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("deep", [False, True])
def test_every_sample_comes_back(
    codec: Lossless, size: tuple[int, int], channels: int, deep: bool
) -> None:
    check(codec, picture(*size, channels, deep))


@pytest.mark.parametrize("deep", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_means_are_fitted_to_large_pictures(codec: Lossless, deep: bool) -> None:
    """Steps of 8192 samples send changes; these pay."""
    samples = picture(256, 256, 3, deep)
    fitted = check(codec, samples)
    from quantal.codecs.lossless import refit

    assert len(fitted) < samples.nbytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk_module, "WORTHWHILE", 1 << 40)
        plain = check(codec, samples)
    assert refit.WORTHWHILE <= 128 * 128
    assert len(fitted) < len(plain)


def test_windows_are_coded_one_by_one(codec: Lossless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "WINDOW", 32)
    for size in ((70, 65), (32, 33), (31, 97)):
        check(codec, picture(*size, 3))


def test_sections_end_where_both_sides_expect(
    codec: Lossless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantal.codecs.lossless.coding._SECTION", 300)
    check(codec, picture(60, 50, 4))


@pytest.mark.parametrize(
    "fill", [7, *(pytest.param(fill, marks=pytest.mark.thorough) for fill in (0, 255))]
)
def test_flat_pictures_cost_almost_nothing(codec: Lossless, fill: int) -> None:
    payload = check(codec, np.full((300, 400, 3), fill, np.uint8))
    assert len(payload) < 500


def test_noise_costs_no_more_than_itself(codec: Lossless) -> None:
    rng = np.random.default_rng(1)
    for kind, top in ((np.uint8, 256), (np.uint16, 65536)):
        samples = rng.integers(0, top, (90, 80, 3), kind)
        assert len(check(codec, samples)) <= samples.nbytes * 1.001 + 32


def test_eight_bits_in_files_of_sixteen_cost_eight(codec: Lossless) -> None:
    small = picture(128, 128, 3)
    expected = len(coded(codec, small))
    for deep in (small.astype(np.uint16) * 257, small.astype(np.uint16) << 8):
        assert len(check(codec, deep)) < expected * 1.02 + 200


def test_depth_is_kept(codec: Lossless) -> None:
    samples = picture(20, 20, 1, True) >> 4
    payload = codec.exact_encoding(samples, 12).at(RATE)
    latents = codec.read(payload, 20, 20, RATE)
    assert codec.depth(latents) == 12
    assert np.array_equal(codec.samples(latents), samples)
    drawn = codec.synthesise(latents)
    assert np.abs(drawn[..., 0].astype(int) - (samples[..., 0] >> 4)).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_prefix_is_a_coarser_picture(codec: Lossless, channels: int) -> None:
    samples = picture(120, 100, channels)
    payload = coded(codec, samples)
    errors = []
    for parts in range(1, 9):
        drawn = codec.synthesise(codec.read_prefix(payload, 0, 100, 120, RATE, parts))
        errors.append(np.abs(drawn.astype(int) - samples).mean())
    assert errors[-1] == 0
    assert errors[2] > errors[4] > errors[6] > 0
    cut = payload[: len(payload) // 3]
    missing = len(payload) - len(cut)
    assert np.array_equal(
        codec.synthesise(codec.read_prefix(cut, missing, 100, 120, RATE, 6)),
        codec.synthesise(codec.read_prefix(payload, 0, 100, 120, RATE, 6)),
    )
    with pytest.raises(TruncatedError, match="8 parts"):
        codec.read_prefix(cut, missing, 100, 120, RATE, 8)


@pytest.fixture(scope="module")
def written(codec: Lossless) -> tuple[bytes, np.ndarray]:
    """A payload, and the samples that it was made from."""
    samples = picture(200, 210, 3)
    return coded(codec, samples), samples


@pytest.mark.parametrize("kind", ["float64", "threads", "chunks"])
def test_arithmetic_does_not_matter(
    written: tuple[bytes, np.ndarray], weights: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    payload, samples = written
    if kind == "float64":
        monkeypatch.setattr(predictor, "single_is_exact", lambda: False)
    elif kind == "threads":
        monkeypatch.setattr(step_module, "_cores", lambda: 5)
        step_module._POOL.__dict__.clear()
    else:
        monkeypatch.setattr(step_module, "_CHUNK", 333)
    other = Lossless("lossless", weights)
    assert np.array_equal(decoded(other, payload, samples), samples)
    step_module._POOL.__dict__.clear()


def test_dense_layers_are_exact() -> None:
    rng = np.random.default_rng(5)
    weight = rng.integers(-3000, 3000, (7, 9))
    bias = rng.integers(-(1 << 20), 1 << 20, 7)
    x = rng.integers(-300, 300, (9, 50))
    ones = np.concatenate([x, np.ones((1, 50), int)]).astype(np.float32)
    for largest, kind in ((np.full(9, 300), np.float32), (np.full(9, 30000), np.float64)):
        layer = Dense(weight, bias, 5, largest, -900, 900)
        assert layer.kind == kind
        expected = np.clip((weight @ x + bias[:, None] + 16) >> 5, -900, 900)
        assert np.array_equal(layer(ones), expected)
    with pytest.raises(ModelError, match="2\\^53"):
        Dense(weight, bias, 5, np.full(9, 1 << 45), -900, 900)


def test_networks_survive_the_way_through_files(weights: Path) -> None:
    torch.manual_seed(3)
    net = LosslessNet(LosslessConfig(8, 6))
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1)
    crop = photograph[None, :, :128, :128].float() / 255
    model = quantal.load("lossless", weights=weights)._model  # type: ignore[attr-defined]
    net.take(model)
    with torch.no_grad():
        first = float(net(crop))
    for name, array in net.frozen().integers().items():
        if name.startswith("step."):
            assert np.array_equal(array, model.integers()[name]), name
    codec = quantal.load("lossless", weights=weights)
    real = 8 * len(codec.encoding(data.astronaut()[:128, :128]).at(RATE))
    # Laws are those of an untrained net here, tables are counted.
    assert 0.5 < real / first < 1.2


def drawing(channels: int) -> np.ndarray:
    """A screen: text-like repeats and flat areas, a photograph in the middle."""
    rng = np.random.default_rng(4)
    glyphs = rng.integers(0, 2, (6, 8, 6), np.uint8) * 200 + 20
    rows = [np.concatenate(glyphs[rng.integers(0, 6, 16)], 1) for _ in range(9)]
    page = np.full((192, 128, 4), 255, np.uint8)
    page[12:84, :96] = np.concatenate(rows, 0)[:, :, None]
    page[128:, :64, :3] = data.astronaut()[100:164, 100:164]
    page[:, :, 3] = np.where(np.arange(128) < 100, 255, 90)
    return np.ascontiguousarray(
        page[:, :, {1: [1], 2: [1, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    )


@pytest.mark.parametrize(
    "channels", [1, 4, *(pytest.param(n, marks=pytest.mark.thorough) for n in (2, 3))]
)
def test_screens_have_layers(
    codec: Lossless, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = drawing(channels)
    monkeypatch.setattr(stream, "_SMALL", 0)
    monkeypatch.setattr(stream, "_DRAWN", 0.0)
    payload = check(codec, samples)
    assert payload[0] & 32
    assert bool(payload[0] & 64) == (channels in (2, 4))
    coarse = codec.read_prefix(payload, 0, 128, 192, RATE, 4)
    drawn = codec.synthesise(coarse)
    assert (drawn[130:, 70:] == 255).all()  # in the layer, and so there from the first level on
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "quantal.codecs.lossless.layers.choose_tiles", lambda c: np.zeros((12, 8), bool)
        )
        assert len(payload) < len(coded(codec, samples))
    rng = np.random.default_rng(7)
    for _ in range(6):
        broken = bytearray(payload)
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        with pytest.raises(BitstreamError):
            decoded(codec, bytes(broken), samples)
    for length in rng.integers(1, len(payload), 2).tolist():
        with pytest.raises(BitstreamError):
            decoded(codec, payload[:length], samples)


@pytest.mark.parametrize("colours", [2, 16])
def test_pictures_of_few_colours_take_fewer_bytes_than_png(codec: Lossless, colours: int) -> None:
    # Dithered pixels are unlike their neighbours, but no photograph for networks.
    palette = Image.fromarray(data.astronaut()[:128, 100:228]).quantize(colours)
    file = io.BytesIO()
    palette.save(file, "PNG", optimize=True)
    payload = check(codec, np.asarray(palette.convert("RGB")))
    assert payload[0] & 32
    assert len(payload) < len(file.getvalue())
    tiles = Lossless.synthetic_tiles(payload, 128, 128)
    assert tiles is not None
    assert tiles.all()


def test_what_repeats_little_is_coded_as_costs_less(codec: Lossless) -> None:
    drawn = np.full((256, 256, 3), 255, np.uint8)
    drawn[192:, 192:] = np.indices((64, 64)).sum(0)[..., None] % 2 * 200  # one pixel wide
    assert not choose_tiles(drawn)[12:, 12:].any()
    tiles = Lossless.synthetic_tiles(check(codec, drawn), 256, 256)
    assert tiles is not None
    assert tiles[12:, 12:].all()


def test_photographs_have_no_layer() -> None:
    for photograph in (data.astronaut(), data.chelsea(), data.coffee(), data.camera()[:, :, None]):
        assert not any(each.any for each in candidates(photograph))


def test_damage_never_gets_through(codec: Lossless) -> None:
    samples = picture(40, 37, 3)
    payload = coded(codec, samples)
    rng = np.random.default_rng(2)
    for length in [*range(12), *rng.integers(12, len(payload), 20).tolist()]:
        with pytest.raises(BitstreamError):
            decoded(codec, payload[:length], samples)
    with pytest.raises(BitstreamError):
        decoded(codec, payload + b"\1", samples)
    for _ in range(150):
        broken = bytearray(payload)
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        with pytest.raises(BitstreamError):
            decoded(codec, bytes(broken), samples)
    for _ in range(60):
        garbage = rng.integers(0, 256, int(rng.integers(1, 400)), np.uint8).tobytes()
        with pytest.raises(BitstreamError):
            decoded(codec, garbage, samples)


def test_bytes_have_to_justify_the_size(codec: Lossless) -> None:
    payload = coded(codec, picture(16, 16, 3))
    with pytest.raises(BitstreamError, match="needs at least"):
        codec.parse(payload, 30000, 30000, RATE)
    packed = bytes([2 | 16]) + stored.stored(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(CorruptError, match="can't hold"):
        codec.parse(packed, 30000, 30000, RATE)


def test_heads_of_no_file_are_refused(codec: Lossless) -> None:
    bits = levels.pack_levels(np.array([3, 9], np.uint16), False)
    heads = {
        b"": "empty",
        b"\x80": "means nothing",
        bytes([16 | 8]): "no levels",
        bytes([4]): "ends before the depth",
        bytes([4, 0x77]): "expected 9..16",
        bytes([8]) + put_length(4) + b"abcd": "damaged",
        bytes([8]) + put_length(len(bits) + 1) + bits + b"x": "damaged",
        bytes([8]) + put_length(9) + zlib.compress(bytes(32)): "damaged|empty",
        bytes([16]) + b"\5": "no known filter",
        bytes([16 | 32]): "can't have one",
        bytes([4 | 32, 0xFF]): "can't have one",
        bytes([2 | 64]): "no alpha",
        bytes([2 | 32]) + put_length(50) + b"x": "inside a synthetic layer",
        bytes([16]) + b"\0" + zlib.compress(bytes(9)): "not 300 bytes|not 100 bytes",
    }
    for head, message in heads.items():
        with pytest.raises(BitstreamError, match=message):
            codec.parse(head, 10, 10, RATE)
    with pytest.raises(CorruptError, match="length of a part"):
        take_length(b"\xff" * 9, 0, "a part")
    with pytest.raises(CorruptError, match="length of a part"):
        take_length(b"\x80\x00", 0, "a part")


def test_other_arrays_are_refused(codec: Lossless) -> None:
    for wrong in (
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(ArgumentError):
            codec.exact_encoding(wrong)
    with pytest.raises(ArgumentError, match="single rate"):
        codec.rate_of(50)
    with pytest.raises(ArgumentError, match="bits"):
        codec.exact_encoding(np.zeros((4, 4, 1), np.uint8), 12)


def test_wrong_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    whole = bytearray(weights.read_bytes())
    whole[-1000] ^= 1
    path = tmp_path / "broken.safetensors"
    path.write_bytes(whole)
    with pytest.raises(ModelError):
        quantal.load("lossless", weights=path)
    with pytest.raises(ModelError, match="another codec"):
        quantal.load("context-s", weights=weights)
