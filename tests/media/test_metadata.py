"""Metadata: orientation is applied once; ICC, EXIF and XMP are kept, with warnings about losses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from quantal import media
from quantal.media._exif import EXIF_PREFIX

from .conftest import encoded

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="%d"/></x:xmpmeta>'


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2024:01:02 03:04:05"
    exif[0x0112] = orientation
    return exif


def read_exif(picture: media.Picture) -> Image.Exif:
    assert picture.exif is not None
    exif = Image.Exif()
    exif.load(EXIF_PREFIX + picture.exif)
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_and_removed(
    scene: Image.Image, format: str, orientation: int
) -> None:
    options = {"quality": 95} if format != "TIFF" else {}
    data = encoded(scene, format, exif=exif_with(orientation).tobytes(), **options)
    picture = media.read(data)
    expected = scene.copy()
    expected.info["exif"] = exif_with(orientation).tobytes()
    upright = np.asarray(ImageOps.exif_transpose(expected))
    assert picture.pixels.shape == upright.shape
    assert picture.pixels.flags.c_contiguous
    assert abs(picture.pixels.astype(int) - upright).mean() < 4
    exif = read_exif(picture)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x010F] == "Maker"
    assert exif.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
    # Other programs do not apply the orientation a second time.
    again = media.read(media.write(picture, "png"))
    assert np.array_equal(again.pixels, picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_alpha_is_turned_with_the_pixels(scene: Image.Image, orientation: int) -> None:
    scene.putalpha(scene.getchannel("R"))
    picture = media.read(encoded(scene, "PNG", exif=exif_with(orientation)))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, picture.pixels[:, :, 0])


@pytest.mark.parametrize("orientation", [0, 9, 6000])
def test_an_invalid_orientation_is_ignored(scene: Image.Image, orientation: int) -> None:
    picture = media.read(encoded(scene, "PNG", exif=exif_with(orientation)))
    assert np.array_equal(picture.pixels, np.asarray(scene))
    assert read_exif(picture)[0x0112] == 1


def test_only_the_orientation_of_exif_is_changed(scene: Image.Image) -> None:
    stored = exif_with(6).tobytes().removeprefix(EXIF_PREFIX)
    picture = media.read(encoded(scene, "JPEG", exif=EXIF_PREFIX + stored))
    assert picture.exif is not None
    assert len(picture.exif) == len(stored)
    changed = [i for i, (a, b) in enumerate(zip(stored, picture.exif, strict=True)) if a != b]
    assert len(changed) == 1


@pytest.mark.parametrize("exif", [b"II*\0", b"MM\0*\xff\xff\xff\xff", b"nonsense"])
def test_broken_exif_is_kept_and_its_orientation_ignored(scene: Image.Image, exif: bytes) -> None:
    scene.info["exif"] = exif
    picture = media.from_image(scene)
    assert picture.exif == exif
    assert picture.width == 40


def test_exif_of_imagemagick_in_png_is_found(scene: Image.Image) -> None:
    raw = exif_with(6).tobytes()
    scene.info["Raw profile type exif"] = f"\nexif\n{len(raw):8}\n{raw.hex()}\n"
    picture = media.from_image(scene)
    assert (picture.width, picture.height) == (24, 40)
    assert read_exif(picture)[0x010F] == "Maker"


def test_orientation_in_xmp_is_applied_and_removed(scene: Image.Image) -> None:
    picture = media.read(encoded(scene, "JPEG", xmp=XMP % 6))
    assert (picture.width, picture.height) == (24, 40)
    assert picture.xmp == XMP % 1


def test_exif_takes_precedence_over_xmp(scene: Image.Image) -> None:
    picture = media.read(encoded(scene, "JPEG", xmp=XMP % 6, exif=exif_with(3)))
    assert (picture.width, picture.height) == (40, 24)
    assert picture.xmp == XMP % 1
    assert read_exif(picture)[0x0112] == 1


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
def test_icc_exif_and_xmp_are_kept_by_every_written_format(scene: Image.Image, format: str) -> None:
    exif = exif_with(1).tobytes().removeprefix(EXIF_PREFIX)
    picture = media.Picture(np.asarray(scene), icc=SRGB, exif=exif, xmp=XMP % 1)
    again = media.read(media.write(picture, format))
    assert (again.icc, again.exif, again.xmp) == (picture.icc, picture.exif, picture.xmp)
    assert again.warnings == ()


def test_tiff_tags_of_the_camera_are_kept_without_those_of_the_layout(scene: Image.Image) -> None:
    data = encoded(scene, "TIFF", exif=exif_with(1), icc_profile=SRGB, compression="tiff_lzw")
    picture = media.read(data)
    assert picture.icc == SRGB
    exif = read_exif(picture)
    assert exif[0x010F] == "Maker"
    assert not {256, 257, 258, 259, 273, 279, 34675} & set(exif)


def test_a_plain_tiff_has_no_exif(scene: Image.Image) -> None:
    assert media.read(encoded(scene, "TIFF")).exif is None


@pytest.mark.parametrize(
    ("mode", "icc", "kept"),
    [
        ("RGB", SRGB, True),
        ("RGBA", SRGB, True),
        ("L", SRGB, True),
        ("L", GREY, True),
        ("P", SRGB, True),
        ("RGB", GREY, False),
        ("RGB", LAB, False),
        ("RGB", b"no profile", False),
        ("L", LAB, False),
    ],
)
def test_a_profile_is_kept_if_it_fits(
    scene: Image.Image, mode: str, icc: bytes, kept: bool
) -> None:
    image = scene.convert(mode)
    image.info["icc_profile"] = icc
    picture = media.from_image(image)
    assert picture.icc == (icc if kept else None)
    assert bool(picture.warnings) != kept


def test_a_cmyk_profile_is_dropped_with_its_colours(scene: Image.Image) -> None:
    image = scene.convert("CMYK")
    profile = SRGB[:16] + b"CMYK" + SRGB[20:]
    picture = media.read(encoded(image, "JPEG", icc_profile=profile))
    assert picture.icc is None
    assert picture.warnings == (
        "CMYK was converted to RGB; its ICC profile no longer applies and was dropped",
    )


def test_metadata_can_be_given_in_place_of_that_of_the_image(scene: Image.Image) -> None:
    scene.info |= {"icc_profile": SRGB, "exif": exif_with(3).tobytes(), "xmp": XMP % 1}
    picture = media.from_image(scene, {"icc_profile": None, "exif": exif_with(6), "xmp": b"<x/>"})
    assert (picture.width, picture.height) == (24, 40)
    assert (picture.icc, picture.xmp) == (None, b"<x/>")
    assert read_exif(picture)[0x0112] == 1
    picture = media.from_image(scene, {"exif": b"", "xmp": None})
    assert (picture.icc, picture.exif, picture.xmp) == (SRGB, None, None)
