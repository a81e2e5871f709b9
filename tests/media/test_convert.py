"""Conversion of all modes of Pillow to RGB or grey with alpha, and warnings about losses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from quantal import media
from quantal.errors import MediaError
from quantal.media import _convert

from .conftest import encoded

samples = st.integers(0, 255)


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)),
        elements=samples,
    )
)
def test_arrays_round_trip_through_images(array: npt.NDArray[np.uint8]) -> None:
    picture = media.from_array(array)
    image = media.to_image(picture)
    assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
    assert np.array_equal(np.asarray(image).reshape(array.shape), array)
    again = media.from_image(image)
    assert again.grey == picture.grey
    assert np.array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (picture.alpha is None)
    if again.alpha is not None:
        assert np.array_equal(again.alpha, array[:, :, -1])
    assert again.warnings == ()


def test_a_flat_array_is_grey() -> None:
    picture = media.from_array(np.full((3, 4), 9, np.uint8))
    assert picture.grey
    assert picture.pixels.shape == (3, 4, 3)


def test_an_rgb_array_is_not_copied() -> None:
    array = np.zeros((3, 4, 3), np.uint8)
    assert np.shares_memory(media.from_array(array).pixels, array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 3), np.float32),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((2,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 65536), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(MediaError):
        media.from_array(array)


def test_a_picture_checks_its_parts() -> None:
    with pytest.raises(MediaError, match="expected uint8"):
        media.Picture(np.zeros((2, 2), np.uint8))
    with pytest.raises(MediaError, match=r"expected uint8 \[2, 3\]"):
        media.Picture(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2), np.uint8))


@pytest.mark.parametrize(
    ("mode", "colour", "grey", "alpha", "warning"),
    [
        ("1", 1, [255] * 3, None, None),
        ("L", 77, [77] * 3, None, None),
        ("LA", (77, 3), [77] * 3, 3, None),
        ("La", (77, 255), [77] * 3, 255, None),
        ("RGB", (1, 2, 3), [1, 2, 3], None, None),
        ("RGBX", (1, 2, 3, 4), [1, 2, 3], None, None),
        ("RGBA", (1, 2, 3, 0), [1, 2, 3], 0, None),
        ("RGBa", (1, 2, 3, 255), [1, 2, 3], 255, None),
        ("CMYK", (0, 255, 255, 0), [255, 0, 0], None, "CMYK was converted to RGB"),
        ("YCbCr", (128, 128, 128), [128] * 3, None, "YCbCr was converted to RGB"),
        ("HSV", (0, 255, 255), [255, 0, 0], None, "HSV was converted to RGB"),
        ("LAB", (255, 128, 128), [255] * 3, None, "L*a*b* was converted to RGB"),
        ("I;16", 65535, [255] * 3, None, "16-bit samples were reduced to 8 bits"),
        ("I;16B", 257, [1] * 3, None, "16-bit samples were reduced to 8 bits"),
        ("I", 200, [200] * 3, None, None),
        ("I", 65535, [255] * 3, None, "16-bit samples were reduced to 8 bits"),
        ("F", 0.5, [128] * 3, None, "floating-point samples were reduced to 8 bits"),
        ("F", 200.4, [200] * 3, None, "floating-point samples were reduced to 8 bits"),
    ],
)
def test_every_mode_is_converted(
    mode: str, colour: float, grey: list[int], alpha: int | None, warning: str | None
) -> None:
    picture = media.from_image(Image.new(mode, (3, 2), colour))
    assert picture.pixels.shape == (2, 3, 3)
    assert picture.pixels[1, 2].tolist() == pytest.approx(grey, abs=1)
    assert (None if picture.alpha is None else picture.alpha[1, 2]) == alpha
    assert picture.grey == (mode in ("1", "L", "LA", "La", "I", "I;16", "I;16B", "F"))
    assert picture.shallow().warnings == (() if warning is None else (warning,))
    changed = mode not in ("La", "RGBa", "I;16", "I;16B", "I")
    assert picture.altered == ((warning,) if warning and changed else picture.altered)


def test_palettes_become_colours(scene: Image.Image) -> None:
    image = scene.quantize(16)
    picture = media.from_image(image)
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert not picture.grey


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_palette_becomes_alpha(scene: Image.Image, format: str) -> None:
    image = scene.quantize(16)
    picture = media.read(encoded(image, format, transparency=5))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, np.asarray(image) == 5)


def test_a_palette_of_many_opacities_becomes_alpha(scene: Image.Image) -> None:
    image = scene.quantize(4)
    picture = media.read(encoded(image, "PNG", transparency=bytes([0, 80, 160, 255])))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.array([0, 80, 160, 255])[np.asarray(image)])
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))


def test_a_palette_with_alpha_becomes_alpha(scene: Image.Image) -> None:
    image = scene.quantize(8).convert("PA")
    image.putalpha(99)
    picture = media.from_image(image)
    assert picture.alpha is not None
    assert (picture.alpha == 99).all()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode: str) -> None:
    image = Image.new(mode, (4, 1), 10 if mode == "L" else (10, 20, 30))
    image.putpixel((2, 0), 11 if mode == "L" else (10, 20, 31))
    transparency = 11 if mode == "L" else (10, 20, 31)
    picture = media.read(encoded(image, "PNG", transparency=transparency))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 255, 0, 255]]
    assert picture.grey == (mode == "L")


def test_alpha_that_is_opaque_everywhere_is_kept() -> None:
    picture = media.read(encoded(Image.new("RGBA", (3, 3), (1, 2, 3, 255)), "PNG"))
    assert picture.alpha is not None
    assert (picture.alpha == 255).all()


def test_colours_under_full_transparency_are_kept() -> None:
    picture = media.read(encoded(Image.new("RGBA", (3, 3), (1, 2, 3, 0)), "PNG"))
    assert picture.pixels[0, 0].tolist() == [1, 2, 3]


def test_16_bit_grey_is_rounded(scene: Image.Image) -> None:
    deep = np.arange(0, 65536, 97).astype(np.uint16)[None]
    for format in ("PNG", "TIFF"):
        picture = media.read(encoded(Image.fromarray(deep), format))
        assert picture.grey
        assert np.array_equal(picture.pixels[0, :, 0], np.rint(deep[0] / 257).astype(np.uint8))
        assert picture.warnings == ()
        assert picture.reduction == "16-bit samples were reduced to 8 bits"


def test_a_transparent_16_bit_grey_becomes_alpha() -> None:
    deep = np.array([[0, 1000, 60000]], np.uint16)
    picture = media.read(encoded(Image.fromarray(deep), "PNG", transparency=1000))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 255]]


def test_wide_ranges_are_stretched() -> None:
    picture = media.from_image(Image.fromarray(np.array([[-100, 100_000]], np.int32)))
    assert picture.pixels[0, :, 0].tolist() == [0, 255]
    assert picture.warnings == (
        "32-bit samples from -100 to 100000 were stretched over 0..255, 8 bits each",
    )
    values = np.array([[np.nan, -1, np.inf, 3, -np.inf]], np.float32)
    picture = media.from_image(Image.fromarray(values))
    assert picture.pixels[0, :, 0].tolist() == [0, 0, 255, 255, 0]
    assert "from -1 to 3" in picture.warnings[0]


def test_nan_samples_are_black() -> None:
    picture = media.from_image(Image.fromarray(np.full((2, 2), np.nan, np.float32)))
    assert (picture.pixels == 0).all()


def test_strips_join_without_a_seam(scene: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_convert, "_STRIP_PIXELS", 200)
    scene.putalpha(scene.getchannel("R"))
    for image in (scene, scene.convert("CMYK"), scene.convert("LA")):
        expected = np.asarray(image.convert("RGB"))
        assert np.array_equal(media.from_image(image).pixels, expected)


def test_the_image_is_not_changed(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.info["exif"] = exif.tobytes()
    before = scene.tobytes()
    media.from_image(scene)
    assert scene.tobytes() == before
    assert scene.getexif()[0x0112] == 6
