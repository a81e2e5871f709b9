"""Encoding of pictures as PNG, JPEG and WebP, and of alpha as a part."""

from __future__ import annotations

import dataclasses
import io
import struct
import warnings
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from quantal import media
from quantal.errors import ArgumentError, CorruptError, MediaError, OutputError, QuantalWarning

from .conftest import encoded, photo
from .pngs import chunk, png

shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))
alphas = hnp.arrays(np.uint8, shapes, elements=st.integers(0, 255))


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_and_webp_are_lossless(format: str, channels: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (17, 23, channels), np.uint8)
    picture = media.from_array(noise)
    again = media.read(media.write(picture, format))
    assert np.array_equal(again.pixels, picture.pixels)
    if picture.alpha is not None:
        assert again.alpha is not None
        assert np.array_equal(again.alpha, picture.alpha)
    if format == "png":
        assert again.grey == picture.grey


def test_jpg_is_close_and_keeps_all_its_chroma() -> None:
    picture = media.read(photo("coffee.png"))
    data = media.write(picture, "jpg")
    again = media.read(data)
    assert abs(again.pixels.astype(int) - picture.pixels).mean() < 2
    with Image.open(io.BytesIO(data)) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined]


def test_a_grey_jpg_is_grey() -> None:
    picture = media.read(photo("camera.png"))
    assert media.read(media.write(picture, "jpg")).grey


@pytest.mark.parametrize("channels", [2, 4])
def test_jpg_replaces_transparency_by_white_with_a_warning(channels: int) -> None:
    picture = media.from_array(np.zeros((8, 8, channels), np.uint8))
    with pytest.warns(QuantalWarning, match="laid on white"):
        data = media.write(picture, "jpg")
    assert media.read(data).pixels.min() >= 254


def test_jpg_warns_about_metadata_that_it_can_not_hold() -> None:
    picture = media.Picture(np.zeros((8, 8, 3), np.uint8), xmp=b" " * 70000)
    with pytest.warns(QuantalWarning, match="bytes of XMP, not 70000"):
        data = media.write(picture, "jpg")
    assert media.read(data).xmp is None


def test_png_warns_about_xmp_that_is_not_utf_8() -> None:
    picture = media.Picture(np.zeros((8, 8, 3), np.uint8), xmp=b"\xff\xfe<\0")
    with pytest.warns(QuantalWarning, match="UTF-8 only"):
        media.write(picture, "png")


def test_a_picture_too_wide_for_a_format_is_an_output_error() -> None:
    picture = media.from_array(np.zeros((1, 20000), np.uint8))
    with pytest.raises(OutputError, match=r"20000x1 pixels can't be written as webp.*choose png"):
        media.write(picture, "webp")
    assert media.read(media.write(picture, "png")).width == 20000


def test_other_formats_are_refused() -> None:
    with pytest.raises(ArgumentError, match="format must be one of png, jpg, webp, not 'bmp'"):
        media.write(media.from_array(np.zeros((1, 1), np.uint8)), "bmp")


@given(alphas)
def test_alpha_round_trips(alpha: npt.NDArray[np.uint8]) -> None:
    height, width = alpha.shape
    assert np.array_equal(media.decode_alpha(media.encode_alpha(alpha), width, height), alpha)


def test_flat_alpha_is_small() -> None:
    assert len(media.encode_alpha(np.full((1000, 1000), 255, np.uint8))) < 600


def test_alpha_of_two_values_round_trips_in_single_bits() -> None:
    alpha = np.random.default_rng(2).choice(np.array([0, 255], np.uint8), (50, 61))
    data = media.encode_alpha(alpha)
    assert len(data) < 50 * 61 // 8 + 200
    assert np.array_equal(media.decode_alpha(data, 61, 50), alpha)


@pytest.mark.parametrize("alpha", [np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2), np.float32)])
def test_other_arrays_are_not_alpha(alpha: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(MediaError):
        media.encode_alpha(alpha)


ALPHA = media.encode_alpha(np.arange(64, dtype=np.uint8).reshape(8, 8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG"),
        (b"GIF89a" + bytes(40), "not a PNG"),
        (ALPHA[:50], "broken"),
        (ALPHA[:43] + bytes(8) + ALPHA[51:], "broken"),
        (media.encode_alpha(np.zeros((8, 9), np.uint8)), "9x8 pixels, expected 8x8"),
        (encoded(Image.new("RGB", (8, 8)), "PNG"), "colour type 2, expected 1 or 8 and 0"),
        (encoded(Image.new("I;16", (8, 8)), "PNG"), "bit depth 16"),
    ],
)
def test_bad_alpha_is_corrupt(data: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        media.decode_alpha(data, 8, 8)


def test_alpha_that_can_not_be_as_large_as_it_says_allocates_nothing() -> None:
    side = (65535).to_bytes(4, "big")
    data = ALPHA[:16] + side + side + ALPHA[24:]
    with pytest.raises(CorruptError, match="too few for 65535x65535"):
        media.decode_alpha(data, 65535, 65535)


@given(st.integers(0, len(ALPHA) - 1), st.integers(1, 255))
def test_damaged_alpha_is_corrupt_or_of_the_same_size(where: int, change: int) -> None:
    data = bytearray(ALPHA)
    data[where] ^= change
    with suppress(CorruptError):
        assert media.decode_alpha(bytes(data), 8, 8).shape == (8, 8)


def profile_of(space: bytes) -> bytes:
    return media.read(photo_with_gamma(grey=space == b"GRAY")).icc or b""


def photo_with_gamma(grey: bool) -> bytes:
    samples = np.full((2, 2, 1 if grey else 3), 9)
    return png(samples, 0 if grey else 2, 8, chunk(b"gAMA", struct.pack(">I", 100000)))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
@pytest.mark.parametrize("space", [b"GRAY", b"RGB "])
def test_a_profile_fits_the_samples_of_its_file(space: bytes, format: str, alpha: bool) -> None:
    icc = profile_of(space)
    assert icc[16:20] == space
    array = np.full((4, 4, 2 if alpha else 1), 77, np.uint8)
    picture = dataclasses.replace(media.from_array(array), icc=icc)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantalWarning)
        file = media.write(picture, format)
    with Image.open(io.BytesIO(file)) as image:
        written = image.info.get("icc_profile")
        assert (written is None) == (space == b"GRAY" and format == "webp")
        if written:
            assert (written[16:20] == b"GRAY") == (image.mode in ("L", "LA"))
    assert media.read(file).grey == (format != "webp" and space == b"GRAY")


@pytest.mark.parametrize("icc", [b"profile", b"\0" * 200, profile_of(b"GRAY")])
def test_a_profile_that_does_not_fit_is_dropped_on_writing(icc: bytes) -> None:
    picture = dataclasses.replace(media.from_array(np.zeros((2, 2, 3), np.uint8)), icc=icc)
    with pytest.warns(QuantalWarning, match="ICC profile"):
        assert media.read(media.write(picture, "png")).icc is None
