"""Context codecs: orders, steps, parts; on small untrained networks, which exercise more."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import quantal
from quantal import container
from quantal.cli import app
from quantal.codecs.context.codec import Context
from quantal.codecs.context.net import ContextNet
from quantal.codecs.family import SHIPPED
from quantal.codecs.pyramid.weights import read_entropy_net_weights, write_entropy_net_weights
from quantal.entropy.frozen import context as frozen
from quantal.entropy.frozen.context import FrozenContext
from quantal.entropy.models.context_networks import Cells
from quantal.entropy.orders import Order, gather, scatter
from quantal.entropy.walk import Writing
from quantal.errors import ArgumentError, BitstreamError, ModelError, TruncatedError
from quantal.planes import bands, pad_edge

sys.path.insert(0, str(Path(__file__).parent))

from small import LEAN, ORDERS, write_small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Context]:
    folder = tmp_path_factory.mktemp("context")

    def load(order: str = "core", adaptive: bool = True) -> Context:
        path = folder / f"{order}-{adaptive}.safetensors"
        if not path.exists():
            write_small(path, order, adaptive)
        codec = quantal.load("context-s", "cpu", weights=path)
        assert isinstance(codec, Context)
        return codec

    return load


def mse(one: Image.Image | np.ndarray, other: Image.Image | np.ndarray) -> float:
    return float(np.square(np.asarray(one, np.float64) - np.asarray(other)).mean())


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("order", ORDERS)
def test_a_picture_comes_back(order, adaptive, small, small_photograph) -> None:
    codec = small(order, adaptive)
    pixels = np.asarray(small_photograph)
    latents = codec.analyse(pixels)
    for rate in (0, 121, 252):
        writing = Writing(codec.entropy.latents(latents, rate / 4))
        codec.entropy.walk(writing, *latents.shape[1:], rate / 4)
        put = [part.flatten() for part in writing.symbols]
        payload = codec.encode(latents, rate)
        assert payload == writing.finish(progressive=True)
        taken = codec.parse(payload, pixels.shape[1], pixels.shape[0], rate)
        assert np.array_equal(np.concatenate(put), np.concatenate([t.flatten() for t in taken]))
        assert abs(codec.estimate_bits(latents, rate) / 8 - len(payload)) < 8
        # What is read at once is what is parsed first and dequantised then.
        whole = codec.read(payload, pixels.shape[1], pixels.shape[0], rate)
        apart = codec.dequantise(taken, pixels.shape[1], pixels.shape[0], rate)
        assert np.array_equal(whole.y_hat, apart.y_hat) and np.array_equal(whole.z_hat, apart.z_hat)
    high, low = (codec.compress(small_photograph, quality=q) for q in (95, 20))
    assert mse(codec.decompress(high), small_photograph) < mse(
        codec.decompress(low), small_photograph
    )


@settings(max_examples=25)
@given(width=st.integers(1, 90), height=st.integers(1, 90), quality=st.integers(1, 100))
def test_any_size_comes_back(small, width, height, quality) -> None:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    codec = small()
    data = codec.compress(noise, quality=quality)
    assert codec.decompress(data).size == (width, height)
    y, x = -(-height // 16), -(-width // 16)
    elements = sum(part.size for part in codec.latents(data).symbols[1:])
    assert elements == ORDERS["core"] * 4 * -(-y // 2) * -(-x // 2)


def test_the_latents_that_a_decoder_draws_are_those_the_encoder_meant(small) -> None:
    """Means and scales follow from what is coded, so an error in one step would grow in the next.

    At the finest rate every latent comes back within about half a step of its own.
    """
    pixels = np.random.default_rng(1).integers(0, 256, (96, 80, 3), np.uint8)
    codec = small()
    y = codec.analyse(pixels)
    payload = codec.encode(y, 252)
    model = codec.entropy
    assert isinstance(model, FrozenContext)
    writing = Writing(model.latents(y, 63.0))
    model.walk(writing, *y.shape[1:], 63.0)
    elements = model.exact.elements
    gain = model.networks("gain", 63.0)[elements // 4]
    y_hat = codec.read(payload, 80, 96, 252).y_hat
    meant, drawn = (gather(pad_edge(each, 2), elements) * gain for each in (y, y_hat))
    index = writing.index[1]
    assert index is not None
    coded = ~model.y_tables.certain[index]
    coded[:, :, -1] = False  # 5 columns of latents: the last cells reach beyond them
    assert coded.mean() > 0.5
    assert np.abs((drawn - meant)[coded]).max() < 0.5 + LEAN + 1e-2


@pytest.mark.parametrize("order", ORDERS)
def test_bands_and_windows_leave_no_seam(order, small, monkeypatch) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (330, 250, 3), np.uint8)
    codec = small(order)
    latents = codec.analyse(pixels)
    z, *steps = codec.parse(codec.encode(latents, 190), 250, 330, 190)
    drawn = codec.dequantise([z, *steps], 250, 330, 190).y_hat
    monkeypatch.setattr(frozen, "BAND_CELLS", 24)
    monkeypatch.setattr(FrozenContext, "core", 8)
    assert len(list(bands(11, 8, 24, 2))) > 2
    # Indices are whole numbers and the same; means may differ in their last bits.
    banded = codec.dequantise([z, *steps], 250, 330, 190).y_hat
    np.testing.assert_allclose(banded, drawn, rtol=0, atol=1e-3)
    again = codec.parse(codec.encode(latents, 190), 250, 330, 190)
    same = sum(int((a == b).sum()) for a, b in zip(again[1:], steps, strict=True))
    assert same > 0.999 * sum(step.size for step in steps)


def test_more_parts_are_a_better_picture(small, photograph) -> None:
    codec = small()
    data = codec.compress(photograph, quality=90)
    errors = [
        mse(quantal.decompress(data, codec=codec, max_parts=parts), photograph)
        for parts in range(1, 10)
    ]
    assert errors == sorted(errors, reverse=True)
    whole = codec.decompress(data)
    for parts in (9, 10, 1000):
        assert mse(quantal.decompress(data, codec=codec, max_parts=parts), whole) == 0
    with pytest.raises(ArgumentError, match="max_parts"):
        quantal.decompress(data, codec=codec, max_parts=0)


@pytest.fixture(scope="module")
def piece(photograph: Image.Image) -> Image.Image:
    """A part of it, 160 x 120, for tests that draw it a hundred times."""
    return photograph.crop((100, 60, 260, 180))


def test_a_cut_file_shows_the_parts_that_it_has(small, piece) -> None:
    codec = small()
    data = codec.compress(piece, quality=60)
    whole = {p: quantal.decompress(data, codec=codec, max_parts=p) for p in range(1, 10)}
    shown = set()
    for length in range(len(data) // 8, len(data), len(data) // 23):
        with pytest.raises(TruncatedError):
            codec.decompress(data[:length])
        for parts in range(1, 10):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                try:
                    picture = quantal.decompress(data[:length], codec=codec, max_parts=parts)
                except TruncatedError:
                    break
            assert ["cut" in str(warning.message) for warning in said] == [True]
            assert mse(picture, whole[parts]) == 0
            shown.add(parts)
    assert shown >= set(range(1, 9))


@pytest.mark.filterwarnings("ignore:the file was cut")
def test_a_cut_file_says_which_parts_it_has(small, piece) -> None:
    codec = small()
    data = codec.compress(piece, quality=60)
    advised = set()
    for length in range(container.probe(data).header_bytes, len(data) - 1, len(data) // 23):
        draw = partial(quantal.decompress, data[:length], codec=codec)
        with pytest.raises(TruncatedError, match="of its 9; fetch it again") as refused:
            draw(max_parts=9)
        parts = int(refused.value.facts["parts"])
        assert (refused.value.code == "prefix") == (parts > 0)
        assert (f"draw the {parts} parts" in str(refused.value)) == (parts > 0)
        if parts:
            draw(max_parts=parts)
        with pytest.raises(TruncatedError, match=f"inside part {parts + 1} of"):
            draw(max_parts=parts + 1)
        advised.add(parts)
    assert advised >= {0, *range(4, 9)}


def test_a_damaged_stream_is_an_error(small, small_photograph) -> None:
    codec = small()
    payload = container.read(codec.compress(small_photograph, quality=60)).part("image") or b""
    rng = np.random.default_rng(3)
    width, height = small_photograph.size
    for _ in range(60):
        damaged = bytearray(payload)
        damaged[rng.integers(len(payload))] ^= 1 << int(rng.integers(8))
        with pytest.raises(BitstreamError):
            codec.parse(bytes(damaged), width, height, 150)
        with pytest.raises(BitstreamError):
            codec.parse(payload[: rng.integers(len(payload))], width, height, 150)


def test_weights_of_another_codec_are_named(small, tmp_path) -> None:
    path = write_small(tmp_path / "w.safetensors", "core", True)
    with pytest.raises(ModelError, match="another codec"):
        quantal.load("hyperprior", "cpu", weights=path)
    with pytest.raises(ModelError, match="another codec"):
        quantal.load("context-m", "cpu", weights=SHIPPED / "hyperprior.safetensors")


def test_weights_hold_what_training_needs(tmp_path) -> None:
    """Integers are stored once; the network that trains on gets them back from there."""
    path = write_small(tmp_path / "w.safetensors", "core", True)
    first = read_entropy_net_weights(path, ContextNet)
    again = tmp_path / "again.safetensors"
    model = first.net.entropy
    model.quantise(True)
    frozen = model.freeze()
    assert write_entropy_net_weights(again, first.net, frozen, first.card) == first.hash
    assert read_entropy_net_weights(again, ContextNet).hash == first.hash


@pytest.mark.parametrize("order", ORDERS)
def test_cells_are_a_permutation(order) -> None:
    channels = ORDERS[order]
    cells = Cells(Order.named(order, channels))
    cells.set_rank(torch.randperm(channels).tolist())
    y = torch.randn(2, channels, 6, 8)
    assert torch.equal(cells.scatter(cells.gather(y)), y)
    assert [s.start for s in cells.spans[1:]] == [s.stop for s in cells.spans[:-1]]
    # The walk, in numpy, puts them in the same order.
    elements = cells.elements.numpy()
    cut = gather(y[0].numpy(), elements)
    assert np.array_equal(cut, cells.gather(y)[0].numpy())
    assert np.array_equal(scatter(cut, np.argsort(elements)), y[0].numpy())


def test_a_coding_order_that_names_an_element_twice_is_refused(small) -> None:
    model = small().entropy
    arrays = model.integers()
    arrays["exact.elements"] = np.zeros_like(arrays["exact.elements"])
    with pytest.raises(ValueError, match="twice"):
        FrozenContext.from_arrays(arrays, model.channels, model.networks)


def test_every_step_of_places_covers_all_channels_and_places() -> None:
    order = Order.named("places", 8)
    for elements in order.elements(range(8)):
        assert sorted(e // 4 for e in elements) == list(range(8))
        assert {e % 4 for e in elements} == {0, 1, 2, 3}


def test_half_the_steps_of_core_are_the_salient_quarter() -> None:
    order = Order.named("core", 32)
    steps = order.elements(range(32))
    assert sorted(e for step in steps[:4] for e in step) == list(range(8 * 4))
    assert [len(step) for step in steps] == [8] * 4 + [24] * 4


def test_wrong_orders_are_named() -> None:
    with pytest.raises(ArgumentError, match="core, places, slices"):
        Order.named("spiral", 20)
    with pytest.raises(ArgumentError, match="multiple of 4"):
        Order.named("places", 18)
    with pytest.raises(ArgumentError, match="without a gap"):
        Order((4,), ((0, 1, 1, 3),))


def test_the_command_line_draws_parts_also_of_a_cut_file(tmp_path, photo) -> None:
    weights = write_small(tmp_path / "context-s.safetensors", "core", True)
    call = partial(CliRunner().invoke, app, prog_name="quantal")
    given = ["--codec", "context-s", "--weights", str(weights), "-q", "90"]
    assert call(["compress", str(photo), *given]).exit_code == 0
    coded = tmp_path / "photo.qtl"
    data = coded.read_bytes()
    cut = tmp_path / "cut.qtl"
    cut.write_bytes(data[: 3 * len(data) // 4])
    shared = ["--weights", str(weights), "--force"]
    for name, options in ((coded, ["--max-parts", "5"]), (cut, ["--max-parts", "5"])):
        result = call(["decompress", str(name), *shared, *options])
        assert result.exit_code == 0, result.stderr
        assert ("cut" in result.stderr) == (name is cut)
    assert mse(Image.open(tmp_path / "photo.png"), Image.open(tmp_path / "cut.png")) == 0
    refused = call(["decompress", str(cut), *shared])
    assert refused.exit_code == 1 and "cut" in refused.stderr
    assert call(["decompress", str(coded), *shared, "--max-parts", "0"]).exit_code == 2


def test_streams_without_parts_say_so(small_photograph) -> None:
    data = quantal.compress(small_photograph, codec="hyperprior")
    with pytest.raises(ArgumentError, match="no parts"):
        quantal.decompress(data, max_parts=1)
