"""Codecs under evaluation: specs, files, any size of picture."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantal.errors import ArgumentError
from quantal.eval.codecs import (
    EvaluatedCodec,
    ImageCodec,
    codec,
    codecs,
    names,
    split_specs,
)

LOSSY = (
    "jpeg",
    "jpeg:subsampling=4:4:4",
    "jpeg:progressive=no,optimise=no",
    "webp",
    "avif",
    "avif:speed=9,subsampling=4:4:4",
    "jpeg2000",
    "jxl",
    "heic",
    "heic:subsampling=4:4:4",
    "hevc:preset=fast",
    "hevc:preset=fast,subsampling=4:4:4",
    "hevc:preset=fast,bits=10",
    "av1:preset=8",
    "hyperprior",
)
SCALED = (
    "jpeg",
    "webp",
    "avif",
    "jpeg2000",
    "jxl",
    "heic",
    "hevc:preset=fast",
    "av1:preset=8",
)
LOSSLESS = ("png", "webp-lossless", "jxl-lossless")


@pytest.fixture(scope="module")
def pixels(small_photograph: Image.Image) -> np.ndarray:
    return np.asarray(small_photograph)


def squared_error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one.astype(np.float64) - other).mean())


@pytest.mark.parametrize("spec", LOSSY)
def test_a_higher_quality_is_larger_and_better(spec: str, pixels: np.ndarray) -> None:
    coder = codec(spec)
    low, high = coder.qualities[1], coder.qualities[-2]
    small, large = coder.encode(pixels, low), coder.encode(pixels, high)
    assert len(small) < len(large)
    coarse, fine = coder.decode(small), coder.decode(large)
    assert coarse.shape == fine.shape == pixels.shape
    assert squared_error(fine, pixels) < squared_error(coarse, pixels)
    assert squared_error(fine, pixels) < 65.0  # 30 dB: it is the right picture


@pytest.mark.parametrize("spec", LOSSLESS)
def test_lossless_is_lossless(spec: str, pixels: np.ndarray) -> None:
    coder = codec(spec)
    assert len(coder.qualities) == 1
    assert np.array_equal(coder.decode(coder.encode(pixels, coder.qualities[0])), pixels)


@pytest.mark.parametrize("spec", [*LOSSY, *LOSSLESS])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (63, 2)])
def test_any_size(spec: str, size: tuple[int, int], pixels: np.ndarray) -> None:
    coder = codec(spec)
    part = pixels[: size[0], : size[1]]
    assert coder.decode(coder.encode(part, coder.qualities[0])).shape == part.shape


def scaled(spec: str, scale: int) -> ImageCodec:
    return codec(f"{spec}{',' if ':' in spec else ':'}scale={scale}")


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("spec", SCALED)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_scaled_file_is_that_of_the_small_picture_and_the_size(
    spec: str, scale: int, pixels: np.ndarray
) -> None:
    """The file has exactly the bytes that the decoder needs."""
    pixels = pixels[:77, :98]
    height, width = pixels.shape[:2]
    small = resized(pixels, -(-width // scale), -(-height // scale))
    plain, coder = codec(spec), scaled(spec, scale)
    quality = coder.qualities[-4]
    data, of_small = coder.encode(pixels, quality), plain.encode(small, quality)
    own = 4 if spec.startswith(("hevc", "av1")) else 0  # these always store the size
    assert data == struct.pack(">HH", width, height) + of_small[own:]
    assert np.array_equal(coder.decode(data), resized(plain.decode(of_small), width, height))


@pytest.mark.parametrize("spec", SCALED)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (63, 2), (5, 66)])
def test_a_scaled_picture_of_any_size(spec: str, size: tuple[int, int], pixels: np.ndarray) -> None:
    part = pixels[: size[0], : size[1]]
    for scale in (2, 4):
        coder = scaled(spec, scale)
        assert coder.decode(coder.encode(part, coder.qualities[0])).shape == part.shape


@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=st.sampled_from([1, 2, 4]))
def test_a_flat_picture_is_unchanged_at_any_scale(height: int, width: int, scale: int) -> None:
    flat = np.full((height, width, 3), 128, np.uint8)
    coder = scaled("jpeg", scale)
    assert np.array_equal(coder.decode(coder.encode(flat, 90)), flat)


def test_scaling_does_not_shift_a_picture(pixels: np.ndarray) -> None:
    """It loses only details: a shift by one pixel would cause a larger error."""
    fine = {scale: scaled("jxl", scale) for scale in (1, 2, 4)}
    losses = [squared_error(c.decode(c.encode(pixels, 96)), pixels) for c in fine.values()]
    assert losses == sorted(losses)
    assert losses[2] < squared_error(pixels[:, 1:], pixels[:, :-1])


def test_scaling_reaches_rates_below_the_lowest_quality(pixels: np.ndarray) -> None:
    whole, half, quarter = (scaled("avif:speed=9", scale) for scale in (1, 2, 4))
    sizes = [len(coder.encode(pixels, 0)) for coder in (whole, half, quarter)]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("spec", LOSSY)
def test_default_qualities_ascend_within_the_limits(spec: str) -> None:
    coder = codec(spec)
    assert list(coder.qualities) == sorted(set(coder.qualities))
    assert coder.limits[0] <= coder.qualities[0] < coder.qualities[-1] <= coder.limits[1]


def test_chroma_keeps_its_mean(pixels: np.ndarray) -> None:
    """Full-range planes at a fine quantiser: the mean colour stays the same."""
    for bits in (8, 10):
        coder = codec(f"hevc:preset=fast,subsampling=4:4:4,bits={bits}")
        drawn = coder.decode(coder.encode(pixels, 50)).astype(int)
        assert np.abs((drawn - pixels).mean(axis=(0, 1))).max() < 0.3


def test_video_streams_carry_no_settings(pixels: np.ndarray) -> None:
    """x265 writes its options, 2 kB of text, into every stream by default."""
    data = codec("hevc").encode(pixels, 0)
    assert b"x265" not in data
    assert len(data) < 300


def test_a_label_has_no_default_options() -> None:
    assert codec("avif").label == "avif"
    assert codec("avif:speed=6").label == "avif"  # which is the default
    assert codec("avif:subsampling=4:4:4,speed=4").label == "avif:speed=4,subsampling=4:4:4"
    assert codec(codec("hevc:bits=10").label).label == "hevc:bits=10"
    assert codec("avif:scale=2,speed=4").label == "avif:speed=4,scale=2"
    assert codec("jpeg:scale=1").label == "jpeg"


def test_options_change_the_bytes(pixels: np.ndarray) -> None:
    for plain, other in (
        ("avif:speed=10", "avif:speed=8"),
        ("jpeg", "jpeg:progressive=no"),
        ("webp", "webp:method=0"),
        ("jxl", "jxl:effort=3"),
        ("hevc", "hevc:tune=grain"),
    ):
        assert codec(plain).encode(pixels, 30) != codec(other).encode(pixels, 30)


def test_learned_codecs_without_rounding(pixels: np.ndarray) -> None:
    rounded, floating = codec("hyperprior"), codec("hyperprior:rounded=no")
    data = rounded.encode(pixels, 60)
    drawn = floating.decode(data)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn.round().astype(np.uint8), rounded.decode(data))
    assert not np.array_equal(drawn, drawn.round())


def test_versions_name_the_library_or_the_model() -> None:
    assert "libwebp" in codec("webp").version
    assert "model" in codec("hyperprior").version


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("avfi", "did you mean 'avif'"),
        ("", "unknown codec"),
        ("avif:sped=4", "did you mean 'speed'"),
        ("avif:speed=11", "expected one of 0..10"),
        ("avif:speed", "expected option=value"),
        ("jpeg:subsampling=4:1:1", "4:2:0, 4:2:2, 4:4:4"),
        ("avif:scale=3", r"scale is '3', expected one of 1, 2, 4"),
        *((f"{name}:scale=2", "unknown option of codec .*: 'scale'") for name in LOSSLESS),
        ("av1:subsampling=4:4:4", "avif:subsampling=4:4:4"),
    ],
)
def test_wrong_specs(spec: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        codec(spec)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    with pytest.raises(ArgumentError, match=r"pillow-jxl-plugin: pip install 'quantal\[eval\]'"):
        codec("jxl")


def test_specs_in_a_list() -> None:
    text = "hyperprior, avif:speed=4,subsampling=4:4:4,webp"
    assert split_specs(text) == ["hyperprior", "avif:speed=4,subsampling=4:4:4", "webp"]
    assert split_specs("jpeg,progressive=no") == ["jpeg:progressive=no"]
    assert [c.label for c in codecs(["webp", "webp:method=6", "jpeg"])] == ["webp", "jpeg"]
    with pytest.raises(ArgumentError, match="no codec was named"):
        codecs([])


@given(st.lists(st.sampled_from(["jpeg", "webp:method=2", "avif:speed=4,subsampling=4:4:4"])))
def test_lists_of_specs_are_split_at_the_right_commas(specs: list[str]) -> None:
    assert split_specs(",".join(specs)) == specs


def test_all_names_are_codecs() -> None:
    assert "features" in names()
    for name in set(names()) - {"features"}:  # whose classifier would be downloaded
        assert isinstance(codec(name), EvaluatedCodec)
        assert codec(name).description
