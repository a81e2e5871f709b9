"""Codec `wavelet`: a decoder written from its page alone, sizes, windows, damage."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from skimage import data

import quantal
from quantal import container
from quantal.codecs import Codec
from quantal.codecs.contract import Latents
from quantal.codecs.wavelet.net import WaveletConfig, WaveletNet
from quantal.codecs.weights import write_weights
from quantal.entropy import TableSet
from quantal.entropy.frozen.classes import differences
from quantal.entropy.models.classes import ClassModel
from quantal.entropy.models.tables import SURE
from quantal.errors import ArgumentError, BitstreamError, ModelError
from quantal.train import run

sys.path.insert(0, str(Path(__file__).parents[1] / "entropy"))
sys.path.insert(0, str(Path(__file__).parent))

from pages import page_hash
from small import write_untrained
from test_specification import Stack, batch


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained codec of 24 channels and 5 classes."""
    torch.manual_seed(7)
    net = WaveletNet(WaveletConfig(24, 32, 1, 16, (1, 1), 5))
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    net.initialise(photograph)
    path = tmp_path_factory.mktemp("wavelet") / "wavelet.safetensors"
    write_untrained(path, net)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> Codec:
    found = quantal.load("wavelet", "cpu", weights=weights)
    assert isinstance(found, Codec)
    return found


def parse(payload: bytes, path: Path, width: int, height: int, rate: int) -> list[np.ndarray]:
    """ "The image part" of docs/reference/codecs/wavelet.md, paragraph after paragraph."""
    with safe_open(path, framework="np") as file:
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118

    def tables(prefix: str) -> TableSet:
        return TableSet(*(tensors[f"{prefix}.{n}"] for n in ("first", "offsets", "cumulative")))

    rows, columns, rate_index = -(-height // 16), -(-width // 16), rate // 4
    stack = Stack(payload)
    places = rows * columns
    classes = batch(stack, [rate_index // 4] * places, tables("tables.classes"))
    scales = tensors["exact.scales"][rate_index]
    index = [int(scales[classes[at], c]) for c in range(scales.shape[1]) for at in range(places)]
    y = batch(stack, index, tables("tables.y"))
    assert stack.state == 0x0151544C and not stack.words
    return [
        np.reshape(classes, (1, rows, columns)),
        np.reshape(y, (scales.shape[1], rows, columns)),
    ]


@pytest.mark.parametrize("size, quality", [((50, 41), 80), ((16, 16), 20), ((1, 1), 50)])
def test_a_decoder_made_from_the_page_reads_the_same_symbols(codec, weights, size, quality) -> None:
    pixels = data.astronaut()[100 : 100 + size[0], 150 : 150 + size[1]]
    coded = codec.compress(pixels, quality=quality)
    file = container.read(coded)
    with safe_open(weights, framework="np") as opened:
        names = [n for n in opened.keys() if not n.startswith("net.")]  # noqa: SIM118
        integers = {name: opened.get_tensor(name) for name in names}
        assert file.header.model_hash == page_hash(opened.metadata()["format"], integers)
    header = file.header
    found = parse(file.part("image") or b"", weights, header.width, header.height, header.rate)
    latents = codec.latents(coded)
    for one, other in zip(found, latents.symbols, strict=True):
        assert np.array_equal(one, other)
    # What is coded as differences is added up: along the first column, then along rows.
    slow = integers["exact.slow"]
    assert len(slow)
    level = found[1][slow].copy()
    level[:, :, 0] = level[:, :, 0].cumsum(1)
    ungain = codec.networks().entropy.ungain(torch.tensor([header.rate / 4]))[0].detach().numpy()
    np.testing.assert_allclose(latents.y_hat[slow], level.cumsum(2) * ungain[slow], rtol=1e-5)


def test_more_quality_is_more_bytes_and_a_better_picture(codec) -> None:
    pixels = data.astronaut()[:200, 100:333]
    sizes, errors = [], []
    for quality in (5, 40, 80):
        coded = codec.compress(pixels, quality=quality)
        sizes.append(len(coded))
        drawn = np.asarray(codec.decompress(coded), float)
        errors.append(np.square(drawn - pixels).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_windows_leave_no_seams(codec, monkeypatch) -> None:
    pixels = np.tile(data.astronaut(), (2, 1, 1))[:700, :330]
    whole = codec.encoding(pixels).y
    monkeypatch.setenv("QUANTAL_WINDOW", "128")
    np.testing.assert_allclose(codec.encoding(pixels).y, whole, atol=1e-4)


def test_classes_beyond_those_that_there_are_are_damage(codec) -> None:
    from quantal.entropy import Writing

    model = codec.entropy
    classes = np.full((1, 3, 3), 5, np.int32)
    writing = Writing([classes])
    writing.begin(classes.shape)
    writing.code(..., model.class_tables, lambda: np.zeros(classes.shape, np.uint8))
    with pytest.raises(BitstreamError, match=r"not within 0\.\.4"):
        codec.parse(writing.finish(), 48, 48, 0)


def test_sizes_that_make_no_network_are_refused() -> None:
    with pytest.raises(ArgumentError, match="as wide as its latents"):
        WaveletConfig(channels=64, analysis_width=32)


def test_a_size_that_the_bytes_do_not_justify_is_refused_before_memory_is_taken(codec) -> None:
    tracemalloc.start()
    try:
        for read in (codec.parse, codec.read):
            with pytest.raises(BitstreamError, match="needs at least"):
                read(b"\1" * 40, 60000, 60000, 100)
        for each in codec.read_many([b"\1" * 40, b"\1" * 30], 60000, 60000, 100):
            assert isinstance(each, BitstreamError)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [0, 130, 252])
def test_pictures_read_together_are_those_read_alone(codec, rate) -> None:
    given = [
        codec.encoding(data.astronaut()[top : top + 71, 90:187]).at(rate) for top in (0, 90, 200)
    ]
    cut = [given[0], given[1][:-3], given[2], b""]
    found = codec.read_many(cut, 97, 71, rate)
    assert [isinstance(each, BitstreamError) for each in found] == [0, 1, 0, 1]
    for place in (0, 2):
        alone, each = codec.read(given[place], 97, 71, rate), found[place]
        assert isinstance(each, Latents) and np.array_equal(each.y_hat, alone.y_hat)
        assert all(np.array_equal(a, b) for a, b in zip(each.symbols, alone.symbols, strict=True))


def opened(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, framework="np") as file:
        return {n: file.get_tensor(n) for n in file.keys()}, file.metadata()  # noqa: SIM118


def rewritten(source: Path, target: Path, changes: dict[str, Any], **sizes: int) -> Path:
    """A copy with other arrays and sizes, whose hashes are right."""
    arrays, texts = opened(source)
    arrays |= changes
    model = json.loads(texts["model"]) | sizes
    floats = {name: value for name, value in arrays.items() if name.startswith("net.")}
    integers = {name: value for name, value in arrays.items() if name not in floats}
    texts = {"model": json.dumps(model), "card": texts["card"]}
    write_weights(target, WaveletNet.layout, floats, integers, texts)
    return target


def slow_of(*channels: int) -> dict[str, np.ndarray]:
    return {"exact.slow": np.array(channels, np.int32)}


@pytest.mark.parametrize(
    "changes, sizes",
    [
        ({"exact.scales": np.full((64, 5, 25), 20, np.uint8)}, {}),
        ({"exact.scales": np.full((64, 5, 1), 20, np.uint8), **slow_of(0)}, {}),
        ({"exact.scales": np.full((64, 600, 24), 20, np.uint8)}, {}),
        ({"exact.scales": np.full((64, 600, 24), 20, np.uint8)}, {"classes": 600}),
        ({"exact.scales": np.full((64, 4, 24), 20, np.uint8)}, {}),
        ({"exact.scales": np.full((64, 0, 24), 20, np.uint8)}, {}),
        ({"exact.scales": np.full((64, 5, 24), 64, np.uint8)}, {}),
        ({"exact.scales": np.full((64, 5, 24), 20, np.int32)}, {}),
        ({"exact.scales": np.full((63, 5, 24), 20, np.uint8)}, {}),
        ({}, {"classes": 6}),
        ({}, {"classes": 65}),
        ({}, {"channels": 23}),
        (slow_of(24), {}),
        (slow_of(-1), {}),
        (slow_of(3, 2), {}),
        (slow_of(3, 3), {}),
        # Differences of these are positive as int32.
        (slow_of(0, 2**31 - 1, -(2**31), -1, 5), {}),
        ({"exact.slow": np.array([[1]], np.int32)}, {}),
        ({"exact.slow": np.array([1], np.int64)}, {}),
    ],
)
def test_weights_that_make_no_codec_are_refused(weights, tmp_path, changes, sizes) -> None:
    with pytest.raises(ModelError):
        quantal.load("wavelet", "cpu", weights=rewritten(weights, tmp_path / "w", changes, **sizes))


@pytest.mark.parametrize("name", ["analysis", "log_gain"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_networks_that_give_no_numbers_are_said_to_be_damaged(
    weights, tmp_path, name, value
) -> None:
    arrays, _ = opened(weights)
    chosen = next(each for each in arrays if each.startswith(f"net.{name}"))
    path = rewritten(weights, tmp_path / "w", {chosen: np.full_like(arrays[chosen], value)})
    damaged = quantal.load("wavelet", "cpu", weights=path)
    if name == "log_gain" and value == -np.inf:
        damaged.compress(data.astronaut()[:40, :40])  # every symbol is zero, which is a number
        return
    with pytest.raises(ModelError, match="not finite"):
        damaged.compress(data.astronaut()[:40, :40])


def model_of(log_scale: float) -> ClassModel:
    """A model of 6 channels, two of them slow, all of whose scales are tiny or huge."""
    model = ClassModel(6, 3)
    model.log_scale.anchors.data.fill_(log_scale)
    model.slow[[1, 4]] = True
    return model


def test_no_difference_is_lost() -> None:
    frozen = model_of(-30.0).freeze()
    certain = frozen.y_tables.certain[frozen.index]
    assert frozen.index[..., frozen.slow].min() == SURE and not certain[..., frozen.slow].any()
    assert certain[..., [0, 2, 3, 5]].all()  # others may be: what is lost there shifts nothing
    y = 9 * np.random.default_rng(0).normal(size=(6, 9, 7)).astype(np.float32)
    level = np.rint(y * frozen.networks("gain", 20.0))
    for rounding in ({}, {"rounding": frozen.rounding_by_price(0.01)}):
        decoded = frozen.decode(frozen.encode(y, 20.0, **rounding), 9, 7, 20.0)
        symbols = decoded.symbols[1]
        assert np.array_equal(symbols[frozen.slow], differences(level[frozen.slow]))
        found = decoded.y_hat() / frozen.networks("ungain", 20.0)
        np.testing.assert_allclose(found[frozen.slow], level[frozen.slow], rtol=1e-5, atol=1e-5)
    # Gradients still lead scales of slow channels up.
    model = model_of(-30.0)
    model(torch.from_numpy(y)[None], torch.tensor([20.0])).bits["y"].sum().backward()
    gradient = model.log_scale.anchors.grad
    assert gradient is not None
    assert gradient.unflatten(1, (3, 6))[..., [1, 4]].abs().sum() > 0


def test_differences_are_exact_where_a_class_holds_them() -> None:
    """Integers of older training may have tables that are certain, even for slow channels."""
    frozen = model_of(0.5).freeze()
    frozen.index[:, 0] = 0
    y = np.random.default_rng(1).normal(size=(6, 9, 7)).astype(np.float32)
    y[:, 2:5] = 0
    level = np.rint(y * frozen.networks("gain", 20.0))
    symbols = frozen.decode(frozen.encode(y, 20.0), 9, 7, 20.0).symbols
    assert (symbols[0] == 0).any()
    assert np.array_equal(symbols[1][frozen.slow], differences(level[frozen.slow]))


def test_loading_changes_no_integers(weights, tmp_path) -> None:
    arrays, texts = opened(weights)
    scales = np.zeros_like(arrays["exact.scales"])
    path = rewritten(weights, tmp_path / "w", {"exact.scales": scales})
    _, other = opened(path)
    found = quantal.load("wavelet", "cpu", weights=path)
    assert np.array_equal(found.entropy.integers()["exact.scales"], scales)
    assert found.model_hash.hex() == other["hash"] != texts["hash"]
    pixels = data.astronaut()[:40, :40]
    assert np.shape(found.decompress(found.compress(pixels))) == pixels.shape


def test_one_class_starts_at_the_scales_that_were_measured() -> None:
    one, several = ClassModel(4, 1), ClassModel(4, 16)
    rms = torch.tensor([0.1, 1.0, 3.0, 0.5])
    one.calibrate(rms)
    several.calibrate(rms)
    gain = one.log_gain.anchors.mean(1)
    torch.testing.assert_close(
        one.log_scale.anchors - gain[:, None], rms.log().expand(len(gain), 4)
    )
    first, last = several.log_scale.anchors.unflatten(1, (16, 4))[0][[0, -1]]
    assert (first < one.log_scale.anchors[0]).all() and (one.log_scale.anchors[0] < last).all()


def test_a_recipe_trains_and_exports(tmp_path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(data.astronaut()[:200, :200]).save(pictures / "a.png")
    values = {
        "codec": "wavelet",
        "data": [str(pictures)],
        "out": str(tmp_path / "run"),
        "model": {
            "channels": 8,
            "analysis_width": 16,
            "synthesis_width": 8,
            "synthesis_blocks": [1, 0],
            "classes": 3,
        },
        "steps": 4,
        "warmup_steps": 1,
        "phases": [{"until": 0.5, "crop": 64, "batch": 4}, {"until": 1.0, "crop": 64, "batch": 2}],
        "export_batches": 1,
        "evaluation": [str(pictures / "a.png")],
        "objective": {"evaluation_rates": [0, 63]},
        "device": "cpu",
        "threads": 1,
    }
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
    log: list[dict[str, Any]] = []
    path = run(recipe, log=log.append)
    (points,) = [entry["points"] for entry in log if entry.get("event") == "evaluation"]
    assert len(points) == 2
    trained = quantal.load("wavelet", "cpu", weights=path)
    pixels = data.astronaut()[:50, :70]
    coded = trained.compress(pixels, quality=60)
    assert np.shape(trained.decompress(coded)) == pixels.shape
    frozen = trained.entropy
    assert frozen.classes == 3 and frozen.channels == 8
    assert not frozen.y_tables.certain[frozen.index[..., frozen.slow]].any()
