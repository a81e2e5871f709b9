"""Pictures to files of CompressAI's models and back: its own pixels, and as many bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from quantal import media
from quantal.codecs.compressai import ARCHITECTURES, prior
from quantal.entropy.walk import Known
from quantal.files import decode_picture, read_latents

from .conftest import HYPER, SEQUENTIAL, CompressAI, Weights, coded, load


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pixels_and_bytes_are_those_of_compressai(
    architecture: str, zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(architecture, zoo_weights)
    data = coded(codec, picture)
    size, drawn = CompressAI(architecture, zoo_weights)(picture.pixels)
    ours = codec.synthesise_unrounded(read_latents(data, codec=codec))
    assert np.abs(ours - drawn).max() < 0.01
    # 29 bytes of header, directory and checksum, 5 of the image part's head; sets of words.
    assert len(data) < 1.01 * size + 48
    assert np.array_equal(decode_picture(data, codec=codec).pixels, ours.round().astype(np.uint8))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_was_written_is_read(
    architecture: str, zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(architecture, zoo_weights)
    latents = read_latents(coded(codec, picture), codec=codec)
    assert len(latents.symbols) == (1 if "factorized" in architecture else 2)
    assert all(symbols.dtype is torch.int32 for symbols in latents.symbols)
    assert all(len(symbols.unique()) > 2 for symbols in latents.symbols)
    again = codec.dequantise(latents.symbols, picture.width, picture.height, latents.rate)
    assert np.array_equal(again.y_hat, latents.y_hat)
    assert np.array_equal(again.z_hat, latents.z_hat)


@pytest.mark.parametrize("architecture", ["bmshj2018-factorized", HYPER, SEQUENTIAL])
@settings(max_examples=20)
@given(size=st.tuples(st.integers(1, 200), st.integers(1, 200)), seed=st.integers(0, 1 << 20))
@example(size=(1, 1), seed=0)
@example(size=(64, 128), seed=0)
def test_any_picture_of_any_size(
    architecture: str, zoo_weights: Weights, size: tuple[int, int], seed: int
) -> None:
    codec = load(architecture, zoo_weights)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    latents = read_latents(coded(codec, media.from_array(pixels)), codec=codec)
    assert codec.synthesise(latents).shape == pixels.shape
    y = codec.encoding(pixels).y[0]
    # A latent is never further from what was read than half a step of its quantiser.
    assert np.abs(latents.y_hat - y.numpy()).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("architecture", ["bmshj2018-hyperprior", "cheng2020-attn"])
def test_large_pictures_have_no_seams(architecture: str, zoo_weights: Weights) -> None:
    codec = load(architecture, zoo_weights)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 1536 + 320, 3), dtype=np.uint8)
    y = codec.encoding(pixels).y
    with torch.inference_mode():
        whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        assert torch.allclose(y, codec._net.g_a(whole), atol=1e-3)
        values = prior.Values(y[0].round(), y[0])
        latents = codec._latents(Known([]), values, 1856, 64, 5)
        expected = codec._net.g_s(y.round()).clamp(0, 1) * 255
    drawn = torch.from_numpy(codec.synthesise_unrounded(latents)).permute(2, 0, 1)
    assert torch.allclose(drawn, expected[0], atol=1e-2)


@pytest.mark.parametrize("architecture", [HYPER, "cheng2020-anchor"])
def test_bands_of_z_have_no_seams(
    architecture: str, zoo_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = load(architecture, zoo_weights)
    z_hat = torch.randn(8, 20, 2, dtype=torch.float64)
    whole = torch.cat([side for _, side in codec._prior._side_information(z_hat)], dim=1)
    monkeypatch.setattr(prior, "_BAND", 4)
    bands = list(codec._prior._side_information(z_hat))
    assert [rows.stop - rows.start for rows, _ in bands] == [8] * 10
    assert torch.allclose(torch.cat([side for _, side in bands], dim=1), whole, atol=1e-12)


def test_alpha_and_metadata_travel_too(zoo_weights: Weights, small_photograph: Image.Image) -> None:
    codec = load("bmshj2018-factorized", zoo_weights)
    image = small_photograph.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = codec.compress(image, quality=3)
    assert np.array_equal(
        np.asarray(codec.decompress(data).getchannel("A")), np.asarray(image.getchannel("A"))
    )
