"""Effort: symbols that a search found are ordinary ones, and cost less for the same error."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal import container, media
from quantal.codecs.context.net import ContextConfig, ContextNet
from quantal.codecs.pyramid import search
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.codecs.pyramid.search import SLOPE
from quantal.codecs.pyramid.searcher import Searcher
from quantal.entropy.coder import encode, estimate_bits
from quantal.entropy.curves import rate_lambda
from quantal.entropy.prices import price_list, round_by_price
from quantal.entropy.scales import SCALES
from quantal.entropy.walk import round_nearest
from quantal.errors import ArgumentError, QuantalWarning, TargetError
from quantal.files import Target, encode_picture

sys.path.insert(0, str(Path(__file__).parent))

from small import write_untrained

EFFORTS = (1, 2, 3)


@pytest.fixture(scope="module", autouse=True)
def quick() -> object:
    """Fewer iterations than are usual: a test is about what holds, not about how much is won."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(search.ITERATIONS, 2, 4)
        patch.setitem(search.ITERATIONS, 3, 24)
        yield


@pytest.fixture(scope="module")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PyramidCodec]:
    """The codec that ships, and a small untrained one whose later steps depend on its earlier."""
    torch.manual_seed(3)
    sizes = {"z_channels": 6, "hyper_width": 8, "mean_width": 8, "scale_width": 8}
    net = ContextNet(ContextConfig((8, 12, 20), (1, 1, 1), **sizes, order="places"))  # type: ignore[arg-type]
    net.initialise(torch.rand(4, 3, 64, 64))
    with torch.no_grad():
        net.entropy.lean.fill_(0.1)
        for leave in net.entropy.mean.leaves:
            leave.conv.weight.mul_(20)  # type: ignore[union-attr, operator]
    path = tmp_path_factory.mktemp("search") / "context-s.safetensors"
    write_untrained(path, net)
    found = {
        "hyperprior": quantal.load("hyperprior", "cpu"),
        "context-s": quantal.load("context-s", "cpu", weights=path),
    }
    return {name: codec for name, codec in found.items() if isinstance(codec, PyramidCodec)}


@pytest.fixture(params=["hyperprior", "context-s"])
def codec(request: pytest.FixtureRequest, codecs: dict[str, PyramidCodec]) -> PyramidCodec:
    return codecs[request.param]


def cost(image: Image.Image, data: bytes, codec: PyramidCodec) -> float:
    """What a search makes small: bits of the real file and of the error that is really seen."""
    difference = np.asarray(image, np.float64) - np.asarray(codec.decompress(data))
    position = torch.tensor(container.probe(data).header.rate / 4)
    return 8 * len(data) + SLOPE * float(rate_lambda(position) / 3 * np.square(difference).sum())


def test_no_effort_is_plain_coding(codec, small_photograph) -> None:
    assert codec.compress(small_photograph, effort=0) == codec.compress(small_photograph)


@pytest.mark.parametrize("quality", [15, 80])
def test_more_effort_costs_less(quality, small_photograph, codecs) -> None:
    codec = codecs["hyperprior"]
    costs = [
        cost(small_photograph, codec.compress(small_photograph, quality=quality, effort=e), codec)
        for e in (0, *EFFORTS)
    ]
    assert costs[1] <= costs[0]
    assert costs[2] <= costs[1]
    assert costs[3] < costs[1]


@pytest.mark.parametrize(("quality", "most"), [(50, 1.0), (80, 1.02), (95, 1.0)])
def test_a_step_too_long_is_shortened(quality, most, small_photograph, codecs, monkeypatch) -> None:
    # As if every error curved four times as much as is thought of them; unshortened, such a step
    # costs three times as much as none.
    monkeypatch.setattr(search, "WORTH", search.WORTH / 4)
    codec = codecs["hyperprior"]
    plain, searched = (
        cost(small_photograph, codec.compress(small_photograph, quality=quality, effort=e), codec)
        for e in (0, 1)
    )
    assert searched < most * plain


def test_a_long_search_is_never_worse_than_a_step(codec, small_photograph) -> None:
    # The untrained codec's tables are nothing that its networks were made for.
    step, *longer = (
        cost(small_photograph, codec.compress(small_photograph, effort=effort), codec)
        for effort in EFFORTS
    )
    assert all(value <= step for value in longer)


@pytest.mark.parametrize("effort", EFFORTS)
def test_its_files_are_ordinary(effort, codec, photo, small_photograph) -> None:
    data = codec.compress(small_photograph, effort=effort)
    plain = codec.compress(small_photograph)
    assert container.probe(data).header == container.probe(plain).header
    latents, before = codec.latents(data), codec.latents(plain)
    assert np.array_equal(latents.symbols[0], before.symbols[0])  # z is left alone
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(latents.symbols, before.symbols, strict=True)
    )
    assert codec.decompress(data).size == small_photograph.size


def test_the_same_call_gives_the_same_bytes_and_moves_no_seed(codec, small_photograph) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = (codec.compress(small_photograph, effort=2) for _ in range(2))
    assert one == other
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("size", [(1, 1), (16, 3), (70, 130)])
def test_sizes(size, codec, photograph) -> None:
    picture = photograph.crop((0, 0, *size))
    data = codec.compress(picture, effort=2)
    assert codec.decompress(data).size == size


def test_a_picture_larger_than_a_window(codec, photograph, monkeypatch) -> None:
    picture = photograph.crop((100, 50, 260, 180))
    whole = codec.compress(picture, effort=3)
    monkeypatch.setattr(Searcher, "core", 4)
    parts = codec.compress(picture, effort=3)
    assert parts != whole
    if codec.name == "hyperprior":
        # What either wins here is no more than its rounding noise, which no test can hang on.
        costs = [cost(picture, data, codec) for data in (whole, parts)]
        assert costs[1] == pytest.approx(costs[0], rel=0.005)


def test_grey_pictures_and_alpha(codec, small_photograph) -> None:
    assert codec.decompress(codec.compress(small_photograph.convert("L"), effort=2)).mode == "L"
    clear = small_photograph.convert("RGBA")
    assert codec.decompress(codec.compress(clear, effort=1)).mode == "RGBA"


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("limit", [700, 2500])
def test_max_bytes_is_kept(limit, effort, small_photograph, codecs) -> None:
    codec = codecs["hyperprior"]
    data = codec.compress(small_photograph, max_bytes=limit, effort=effort)
    assert 0.9 * limit < len(data) <= limit


def test_max_bytes_that_only_a_plain_file_keeps(small_photograph, codecs) -> None:
    codec = codecs["hyperprior"]
    for limit in range(150, 300, 25):
        try:
            plain = codec.compress(small_photograph, max_bytes=limit)
        except TargetError:
            continue
        assert len(codec.compress(small_photograph, max_bytes=limit, effort=1)) <= limit
        assert len(plain) <= limit


def test_bpp_and_psnr_are_met(small_photograph, codecs) -> None:
    codec, picture = codecs["hyperprior"], media.from_image(small_photograph)
    encoded = encode_picture(picture, codec, Target(bpp=1.5), effort=2)
    assert encoded.bpp == pytest.approx(1.5, rel=0.02)
    assert not encoded.warnings
    drawn = np.asarray(codec.decompress(codec.compress(small_photograph, psnr=33, effort=2)))
    mse = np.square(np.asarray(small_photograph, np.float64) - drawn).mean()
    assert 10 * np.log10(255**2 / mse) == pytest.approx(33, rel=0.02)


def test_a_target_out_of_reach_is_a_warning(small_photograph, codecs) -> None:
    with pytest.warns(QuantalWarning, match="99 dB can't be reached"):
        codecs["hyperprior"].compress(small_photograph, psnr=99, effort=1)


@pytest.mark.parametrize("target", [Target(), Target(max_bytes=1500), Target(psnr=33)])
def test_progress_rises_to_one(target, codecs, small_photograph) -> None:
    fractions: list[float] = []
    picture = media.from_image(small_photograph)
    encode_picture(picture, codecs["hyperprior"], target, effort=2, progress=fractions.append)
    assert len(fractions) > 5
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.5
    assert fractions[-1] == 1


def test_an_effort_that_there_is_not(codec, small_photograph) -> None:
    with pytest.raises(ArgumentError, match="has no effort 4; it has: 0, 1, 2, 3"):
        codec.compress(small_photograph, effort=4)


def test_codecs_of_the_zoo_make_none(zoo_weights: Callable[[str], Path], small_photograph) -> None:
    path = zoo_weights("bmshj2018-factorized")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantalWarning)
        codec = quantal.load("compressai", "cpu", weights=path)
        with pytest.raises(ArgumentError, match="has no effort 1; it has: 0"):
            codec.compress(small_photograph, effort=1)


def test_prices_are_those_of_the_coder(codecs) -> None:
    codec = codecs["hyperprior"]
    tables = codec.entropy.y_tables
    index = np.repeat(np.flatnonzero(~tables.certain), 41).astype(np.uint8)
    symbols = np.tile(np.arange(-20, 21, dtype=np.int32), len(index) // 41)
    inside = [
        tables.first[t] <= s < tables.first[t] + tables.slots[t] - 1
        for s, t in zip(symbols, index, strict=True)
    ]
    symbols, index = symbols[inside], index[inside]
    bits = price_list(tables)[index, symbols + 255].sum()
    assert float(bits) == pytest.approx(estimate_bits(symbols, index, tables), rel=1e-4)
    assert float(bits) / 8 == pytest.approx(len(encode(symbols, index, tables)), rel=1e-2)


def test_what_no_table_lists_has_a_price_too(codecs) -> None:
    tables = codecs["hyperprior"].entropy.y_tables
    index = np.full(1, np.flatnonzero(~tables.certain)[0], np.uint8)
    prices = price_list(tables)
    for symbol in (-200, 90, 255):
        symbols = np.full(1, symbol, np.int32)
        price = float(prices[index[0], symbol + 255])
        assert price == pytest.approx(estimate_bits(symbols, index, tables), abs=2)


def test_rounding_by_price_only_goes_towards_zero(codecs) -> None:
    tables = codecs["hyperprior"].entropy.y_tables
    prices, lean = price_list(tables), np.zeros(SCALES, np.float32)
    generator = np.random.default_rng(1)
    residual = (generator.normal(size=5000) * 3).astype(np.float32)
    index = generator.integers(0, SCALES, 5000).astype(np.uint8)
    plain = round_nearest(residual.copy(), index, tables)
    for worth in (0.0, 4.0, 1e6):
        chosen = round_by_price(prices, lean, worth)(residual.copy(), index, tables)
        assert chosen.dtype == np.int32
        assert ((plain - chosen) * np.sign(plain) >= 0).all()
        assert (np.abs(plain - chosen) <= 1).all()
        assert np.array_equal(chosen, plain) == (worth == 1e6)
