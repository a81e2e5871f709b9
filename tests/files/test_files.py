"""Pictures to files and back: targets, metadata, sizes, estimates against real bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import quantal
from quantal import container, media
from quantal.errors import ArgumentError, ModelError, TargetError
from quantal.files import Target, decode_picture, encode_picture, read_latents, verify


@pytest.fixture(scope="module")
def codec():
    return quantal.load("hyperprior", "cpu")


@pytest.fixture(scope="module")
def picture(photograph):
    """A part of it, 226 x 150, that tests code some sixty times."""
    return media.from_image(photograph.crop((100, 60, 326, 210)))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * math.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_quality_buys_fidelity_with_bytes(codec, picture):
    sizes, fidelity = [], []
    for quality in (1, 15, 30, 45, 60, 75, 90, 100):
        coded = encode_picture(picture, codec, Target(quality=quality))
        assert coded.quality == quality
        sizes.append(len(coded.data))
        fidelity.append(psnr(decode_picture(coded.data).pixels, picture.pixels))
    assert sizes == sorted(set(sizes))
    assert fidelity == sorted(set(fidelity))
    assert fidelity[0] > 22
    assert fidelity[-1] > 38


@pytest.mark.parametrize("bpp", [0.15, 0.4, 1.0, 1.9])
def test_bits_per_pixel_are_met(codec, picture, bpp):
    coded = encode_picture(picture, codec, Target(bpp=bpp))
    real = 8 * len(coded.data) / (picture.width * picture.height)
    assert real == pytest.approx(bpp, rel=0.02)
    assert real == pytest.approx(coded.bpp)
    assert not coded.warnings


@pytest.mark.parametrize("wanted", [28.0, 33.0, 38.0])
def test_psnr_is_met(codec, picture, wanted):
    coded = encode_picture(picture, codec, Target(psnr=wanted))
    drawn = decode_picture(coded.data).pixels
    assert psnr(drawn, picture.pixels) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("limit", [1000, 1600, 5001, 10**6])
def test_bytes_are_never_exceeded_and_nearly_used(codec, picture, limit):
    coded = encode_picture(picture, codec, Target(max_bytes=limit))
    assert len(coded.data) <= limit
    assert len(coded.data) > 0.97 * limit or coded.quality == 100


def test_what_cannot_be_reached_is_said(codec, picture):
    with pytest.raises(TargetError, match="needs at least"):
        encode_picture(picture, codec, Target(max_bytes=100))
    for target in (Target(bpp=20.0), Target(bpp=0.001), Target(psnr=90.0)):
        (warning,) = encode_picture(picture, codec, target).warnings
        assert "nearest" in warning


@pytest.mark.parametrize(
    "options", [{"quality": 5, "bpp": 1.0}, {"bpp": -1.0}, {"psnr": math.inf}, {"max_bytes": 0}]
)
def test_impossible_targets_are_refused(options):
    with pytest.raises(ArgumentError):
        Target(**options)


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_impossible_qualities_are_refused(codec, picture, quality):
    with pytest.raises(ArgumentError):
        encode_picture(picture, codec, Target(quality=quality))


SIZES = [(1, 1), (1, 70), (65, 3), (16, 16), (17, 15), (64, 128), (129, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back(codec, photograph, size):
    image = photograph.resize(size)
    picture = media.from_image(image)
    coded = encode_picture(picture, codec, Target(quality=90))
    drawn = decode_picture(coded.data)
    assert drawn.pixels.shape == picture.pixels.shape
    assert psnr(drawn.pixels, picture.pixels) > 30
    assert len(coded.data) < 800 + size[0] * size[1]


@pytest.mark.parametrize("rate", [0, 50, 130, 200, 252])
def test_the_tables_estimate_is_the_real_rate(codec, picture, rate):
    latents = codec.analyse(picture.pixels)
    payload = codec.encode(latents, rate)
    assert 8 * len(payload) == pytest.approx(codec.estimate_bits(latents, rate), abs=100)


@pytest.mark.parametrize("rate", [20, 130, 240])
def test_what_the_networks_estimate_is_the_real_rate_too(codec, photograph, rate):
    """The bits of the training loss, on a whole picture, against bytes: within 5 % on this one."""
    import torch

    pixels = np.asarray(photograph.resize((448, 256)))
    with torch.no_grad():
        net = codec.networks()
        net.entropy.quantise(True)
        tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        torch.manual_seed(0)
        estimate = net(tensor, torch.tensor([rate / 4]))
    bits = float(sum(estimate.bits.values()))
    real = 8 * len(codec.encode(codec.analyse(pixels), rate))
    assert real == pytest.approx(bits, rel=0.05)


def test_grey_stays_grey(codec):
    ramp = np.add.outer(np.arange(50), np.arange(90)).astype(np.uint8)
    drawn = quantal.decompress(quantal.compress(Image.fromarray(ramp), quality=80))
    assert drawn.mode == "L"
    assert psnr(np.asarray(drawn), ramp) > 38


def test_alpha_is_kept_losslessly(codec, photograph):
    image = photograph.crop((0, 0, 90, 60))
    alpha = np.random.default_rng(1).integers(0, 256, (60, 90), dtype=np.uint8)
    image.putalpha(Image.fromarray(alpha))
    drawn = quantal.decompress(quantal.compress(image))
    assert drawn.mode == "RGBA"
    assert np.array_equal(np.asarray(drawn)[..., 3], alpha)


def test_overhead_is_at_most_32_bytes(codec, picture):
    for quality in (1, 60, 100):
        coded = encode_picture(picture, codec, Target(quality=quality)).data
        (part,) = container.probe(coded).parts
        assert len(coded) - part.bytes <= 32


def test_the_wrong_model_is_named_before_anything_is_parsed(codec, picture):
    file = container.read(encode_picture(picture, codec).data)
    other = container.write(replace(file.header, model_hash=b"\0\1\2\3"), file.parts)
    for read in (decode_picture, verify, read_latents):
        with pytest.raises(ModelError, match="00010203"):
            read(other)


def test_an_unknown_codec_is_named(codec, picture):
    file = container.read(encode_picture(picture, codec).data)
    other = container.write(replace(file.header, codec="nonesuch"), file.parts)
    with pytest.raises(ModelError, match="nonesuch"):
        decode_picture(other)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        quantal.load("hyperprior", "cpu", weights=tmp_path / "none.safetensors")


def test_latents_hold_what_the_picture_is_drawn_from(codec, picture):
    coded = encode_picture(picture, codec).data
    latents = quantal.latents.read(coded)
    assert [str(s.dtype) for s in latents.symbols] == ["int32", "int32"]
    rows, columns = -(-picture.height // 16), -(-picture.width // 16)
    assert tuple(latents.y_hat.shape[1:]) == (rows, columns)
    assert np.array_equal(codec.synthesise(latents), decode_picture(coded).pixels)
