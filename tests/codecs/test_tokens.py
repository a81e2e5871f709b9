"""Codec `tokens`: tiles as binary tokens, of which any prefix is a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import quantal
from quantal.codecs.tokens.codec import Tokens
from quantal.codecs.tokens.file import LAYOUT, read_token_file
from quantal.codecs.tokens.net import indices_of, signs_of
from quantal.codecs.tokens.walk import TOKEN_BITS
from quantal.codecs.tokens.weights import read_token_weights
from quantal.codecs.weights import read_weights
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    ModelError,
    TruncatedError,
)

sys.path.insert(0, str(Path(__file__).parent))

from small_vq import scene, write_small_tokens


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_tokens(tmp_path_factory.mktemp("tokens") / "tokens.safetensors")


@pytest.fixture(scope="module")
def codec(weights: Path) -> Tokens:
    loaded = quantal.load("tokens", "cpu", weights=weights)
    assert isinstance(loaded, Tokens)
    return loaded


def test_signs_and_indices_are_one() -> None:
    signs = torch.rand(5, 64) > 0.5
    indices = indices_of(signs)
    assert indices.shape == (5, 4, 2) and int(indices.max()) < 256
    assert torch.equal(signs_of(indices), signs)


def test_signs_are_those_of_training(codec, weights) -> None:
    net, rng = read_token_weights(weights).net, np.random.default_rng(1)
    size = (7, *net.unit.shape)
    coefficients = (1.5 * rng.normal(size=size)).astype(np.float32)
    before = coefficients.copy()
    signs = codec.signs.of(coefficients)
    assert signs.dtype == np.bool_ and 0.2 < signs.mean() < 0.8
    assert np.array_equal(signs, net.signs(torch.from_numpy(coefficients)).numpy())
    assert np.array_equal(coefficients, before)
    # Of coefficients that have several signs, each says what the ones before it left.
    assert len(np.unique(codec.signs.coefficient)) < len(codec.signs.coefficient)


@pytest.mark.parametrize("tokens", [1, 5, 12])
def test_the_first_signs_are_worth_what_they_are_in_training(tokens, codec, weights) -> None:
    net = read_token_weights(weights).net
    signs = np.random.default_rng(tokens).random((3, 12 * TOKEN_BITS)) < 0.5
    expected = net.valued(torch.from_numpy(signs), torch.full((3,), float(tokens)))
    found = codec.signs.values(signs[:, : tokens * TOKEN_BITS])
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("coefficient", lambda a: a + 8 * 256, "coefficient that there isn't"),
        ("level", lambda a: a - 1, "more than 64 signs"),
        ("level", lambda a: a * 0, "two signs of one level"),
        ("amplitude", lambda a: a[:-1], "its signs are"),
    ],
)
def test_signs_that_mean_nothing_are_refused(name, change, message, weights) -> None:
    file = read_weights(weights, [LAYOUT])
    file.arrays[f"net.{name}"] = change(file.arrays[f"net.{name}"])
    with pytest.raises(ModelError, match=message):
        read_token_file(file)


@pytest.mark.parametrize("size", [(1, 1), (256, 256), (300, 100), (257, 513)])
def test_a_picture_of_any_size_comes_back(size, codec) -> None:
    width, height = size
    encoding = codec.encoding(scene(width, height))
    for rate in (0, 130, 252):
        payload = encoding.at(rate)
        (indices,) = codec.parse(payload, width, height, rate)
        signs = torch.from_numpy(encoding.signs)
        put = indices_of(signs).permute(1, 2, 0)[: codec.tokens_of(rate)]
        assert indices.dtype == np.int32 and np.array_equal(indices, put.numpy())
        drawn = codec.synthesise(codec.read(payload, width, height, rate))
        assert drawn.shape == (height, width, 3)


def test_more_tokens_make_a_larger_file_and_a_nearer_picture(codec) -> None:
    pixels = scene(256, 256)
    sizes, errors = [], []
    for quality in (1, 50, 100):
        data = codec.compress(pixels, quality=quality)
        sizes.append(len(data))
        error = np.asarray(codec.decompress(data), float) - pixels
        errors.append(float(np.square(error).mean()))
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert errors[2] < errors[0]


def test_a_prefix_of_tokens_is_the_picture_of_so_many(codec) -> None:
    pixels = scene(300, 200)
    whole = codec.compress(pixels, quality=100)
    rates = {codec.tokens_of(rate): rate for rate in range(253)}
    for tokens in (1, 5, 12):
        short = codec.encoding(pixels).at(rates[tokens])
        drawn = codec.synthesise(codec.read(short, 300, 200, rates[tokens]))
        prefix = np.asarray(codec.decompress(whole, max_parts=tokens))
        assert (drawn == prefix).all()
    assert (
        np.asarray(codec.decompress(whole, max_parts=99)) == np.asarray(codec.decompress(whole))
    ).all()


def test_the_first_bytes_of_a_file_are_a_coarser_picture(codec) -> None:
    whole = codec.compress(scene(300, 200), quality=100)
    with pytest.warns(UserWarning, match="cut"):
        part = codec.decompress(whole[: len(whole) * 2 // 3], max_parts=5)
    assert (np.asarray(part) == np.asarray(codec.decompress(whole, max_parts=5))).all()
    with pytest.raises(TruncatedError, match="was cut"):
        codec.decompress(whole[: len(whole) * 2 // 3], max_parts=12)
    with pytest.raises(TruncatedError):
        codec.decompress(whole[: len(whole) * 2 // 3])


def test_latents_hold_every_tiles_signs(codec) -> None:
    latents = codec.latents(codec.compress(scene(300, 200), quality=100))
    assert latents.z_hat.shape == (12 * 16, 1, 2)
    assert set(np.unique(latents.z_hat).tolist()) == {-1.0, 1.0}
    assert latents.y_hat.shape == (8, 13, 19)


def test_wrong_streams_are_refused(codec) -> None:
    payload = codec.encoding(scene(256, 256)).at(252)
    with pytest.raises(BitstreamError):
        codec.parse(payload[:-3], 256, 256, 252)
    with pytest.raises(CorruptError, match="header is wrong"):
        codec.parse(payload, 65535, 16000, 252)
    with pytest.raises(BitstreamError):
        codec.parse(payload + b"\1\1", 256, 256, 252)
    with pytest.raises(ArgumentError, match="can't be concealed"):
        codec.decompress(codec.compress(scene(50, 50))[:-2], conceal=True)
