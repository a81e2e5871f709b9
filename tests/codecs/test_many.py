"""Several pictures at once: the same symbols as one by one, and errors that stay with their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

import quantal
from quantal.codecs import TransformCodec
from quantal.codecs.contract import Codec, Latents, Stacking
from quantal.errors import ArgumentError, BitstreamError

NAMES = ("hyperprior", "context-s", "context-m")
#: Width, height: one cell, odd numbers of latents, more than a cell of z, a usual size.
SIZES = ((1, 1), (40, 17), (97, 71), (200, 260))


def pieces(width: int, height: int, count: int) -> list[np.ndarray]:
    """Different crops of photographs."""
    sources = (data.astronaut(), data.coffee(), data.chelsea())
    found = []
    for number in range(count):
        source = sources[number % 3]
        top, left = 13 * number % 40, 29 * number % 90
        found.append(np.ascontiguousarray(source[top : top + height, left : left + width]))
    return found


def payloads(codec: Codec, width: int, height: int, rate: int, count: int) -> list[bytes]:
    return [codec.encoding(pixels).at(rate) for pixels in pieces(width, height, count)]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        # Every run reads the largest with one codec; `make test-all` with all of them.
        pytest.param(n, s, marks=pytest.mark.thorough if n != NAMES[1] and s == SIZES[-1] else ())
        for n in NAMES
        for s in SIZES
    ],
)
def test_symbols_are_those_of_each_alone(name: str, size: tuple[int, int]) -> None:
    codec = quantal.load(name, "cpu")
    for rate, count in ((0, 2), (97, 5), (166, 1), (252, 3)):
        given = payloads(codec, *size, rate, count)
        parsed, read = codec.parse_many(given, *size, rate), codec.read_many(given, *size, rate)
        for payload, symbols, latents in zip(given, parsed, read, strict=True):
            alone = codec.read(payload, *size, rate)
            assert isinstance(symbols, list) and isinstance(latents, Latents)
            assert len(symbols) == len(latents.symbols) == len(alone.symbols)
            for a, b, c in zip(symbols, latents.symbols, alone.symbols, strict=True):
                assert a.dtype == np.int32 and np.array_equal(a, c) and np.array_equal(b, c)
            assert np.array_equal(latents.z_hat, alone.z_hat)
            assert np.allclose(latents.y_hat, alone.y_hat, rtol=1e-3, atol=1e-3)
            assert (latents.width, latents.height, latents.rate) == (*size, rate)


@pytest.mark.parametrize(
    "name, rate",
    [
        ("hyperprior", 120),
        ("context-s", 120),
        pytest.param("context-s", 40, marks=pytest.mark.thorough),
    ],
)
def test_a_full_batch_needs_no_onednn(
    name: str, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch then chooses algorithms by the size of the batch, and not all are exact."""
    codec = quantal.load(name, "cpu")
    assert isinstance(codec, TransformCodec)
    given = payloads(codec, 256, 256, rate, 16)
    expected = codec.read_stacked(given, 256, 256, rate, dequantised=False)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    found = codec.read_stacked(given, 256, 256, rate, dequantised=False)
    assert not found.errors and not expected.errors
    assert all(np.array_equal(a, b) for a, b in zip(found.symbols, expected.symbols, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_no_floating_point_network_runs_for_symbols_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = quantal.load(name, "cpu")
    assert isinstance(codec, TransformCodec)
    given = payloads(codec, 97, 71, 160, 3)

    def never(*_: object) -> None:
        raise AssertionError("a floating-point network ran")

    monkeypatch.setattr(codec.entropy, "networks", never)
    assert len(codec.parse_many(given, 97, 71, 160)) == 3
    stacked = codec.read_stacked(given, 97, 71, 160, dequantised=False)
    assert len(stacked) == 3 and stacked.y_hat is None
    with pytest.raises(ArgumentError, match="without latents"):
        stacked.latents(0)


@pytest.mark.parametrize("name", [*NAMES, "tokens"])
def test_a_damaged_picture_spoils_no_other(name: str) -> None:
    codec = quantal.load(name, "cpu")
    rate = codec.rate_of(None)
    given = payloads(codec, 97, 71, rate, 4)
    expected = [codec.parse(payload, 97, 71, rate) for payload in given]
    damaged = bytearray(given[2])
    damaged[len(damaged) // 2] ^= 64
    broken = [given[0], given[1][:-9], bytes(damaged), given[3], b""]
    for found in (codec.parse_many(broken, 97, 71, rate), codec.read_many(broken, 97, 71, rate)):
        assert [isinstance(each, BitstreamError) for each in found] == [0, 1, 1, 0, 1]
        for place in (0, 3):
            each = found[place]
            assert not isinstance(each, BitstreamError)
            symbols = each.symbols if isinstance(each, Latents) else each
            assert all(np.array_equal(a, b) for a, b in zip(symbols, expected[place], strict=True))
    for place in (1, 2, 4):
        with pytest.raises(BitstreamError) as caught:
            codec.parse(broken[place], 97, 71, rate)
        error = codec.parse_many(broken, 97, 71, rate)[place]
        assert type(error) is type(caught.value) and str(error) == str(caught.value)


def test_stacked_latents_have_a_leading_axis() -> None:
    codec = quantal.load("context-s", "cpu")
    assert isinstance(codec, Stacking)
    given = payloads(codec, 97, 71, 160, 3)
    stacked = codec.read_stacked([given[0], b"\1", *given[1:]], 97, 71, 160)
    assert len(stacked) == 3 and stacked.places == (0, 2, 3) and set(stacked.errors) == {1}
    assert stacked.y_hat is not None and stacked.z_hat is not None
    one = codec.read(given[2], 97, 71, 160)
    assert stacked.y_hat.shape == (3, *one.y_hat.shape)
    assert stacked.z_hat.shape == (3, *one.z_hat.shape)
    assert [part.shape for part in stacked.symbols] == [(3, *part.shape) for part in one.symbols]
    # Models may be trained on them.
    assert stacked.y_hat.flags.writeable
    empty = codec.read_stacked([b"\1"], 97, 71, 160)
    assert not len(empty) and empty.y_hat is None and set(empty.errors) == {0}
    assert codec.parse_many([], 97, 71, 160) == []


def test_large_pictures_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they would take memory that no speed repays."""
    codec = quantal.load("hyperprior", "cpu")
    assert isinstance(codec, TransformCodec)
    given = payloads(codec, 97, 71, 160, 2)
    expected = codec.parse_many(given, 97, 71, 160)
    monkeypatch.setattr("quantal.codecs.transform._LARGE", 20)
    monkeypatch.setattr(codec.entropy, "decode_many", None)
    for found in (codec.parse_many(given, 97, 71, 160), codec.read_many(given, 97, 71, 160)):
        for each, symbols in zip(found, expected, strict=True):
            assert not isinstance(each, BitstreamError) and not isinstance(symbols, BitstreamError)
            own = each.symbols if isinstance(each, Latents) else each
            assert all(np.array_equal(a, b) for a, b in zip(own, symbols, strict=True))
