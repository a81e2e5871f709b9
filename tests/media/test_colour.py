"""Colour spaces that a file states without a profile become ICC profiles."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from quantal import media

from .pngs import chunk, png

PIXELS = np.full((6, 8, 3), 99)


def shown_as_srgb(picture: media.Picture) -> list[int]:
    """Return the first pixel as a viewer with colour management shows it."""
    from PIL import ImageCms

    image = media.to_image(picture).convert("L" if picture.grey else "RGB")
    assert picture.icc is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.icc))
    srgb = ImageCms.createProfile("sRGB")
    found = ImageCms.profileToProfile(image, profile, srgb, renderingIntent=1, outputMode="RGB")
    assert found is not None
    return np.asarray(found)[0, 0].tolist()


@pytest.mark.parametrize("kind", [0, 2], ids=["grey", "RGB"])
def test_gamma_becomes_a_profile(kind: int) -> None:
    samples = np.full((2, 2, 1 if kind == 0 else 3), 55)
    picture = media.read(png(samples, kind, 8, chunk(b"gAMA", struct.pack(">I", 100000))))
    expected = round(255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055))
    assert shown_as_srgb(picture) == pytest.approx([expected] * 3, abs=1)
    assert picture.warnings == ()


def test_chromaticities_become_a_profile() -> None:
    wide = [31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600]
    data = png(
        np.array([[[100, 150, 90]]]),
        2,
        8,
        chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"cHRM", struct.pack(">8I", *wide)),
    )
    linear = (np.array([100, 150, 90]) / 255) ** 2.2
    to_srgb = np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    )  # ITU-R BT.2087
    light = (to_srgb @ linear).clip(0, 1)
    expected = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert shown_as_srgb(media.read(data)) == pytest.approx(255 * expected, abs=2)


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100000))),
        (chunk(b"gAMA", struct.pack(">I", 45455)),),
        (chunk(b"cICP", bytes([1, 13, 0, 1])),),
    ],
)
def test_srgb_needs_no_profile(chunks: tuple[bytes, ...]) -> None:
    picture = media.read(png(PIXELS, 2, 8, *chunks))
    assert picture.icc is None and picture.warnings == ()


def test_code_points_take_precedence_and_are_kept() -> None:
    data = png(PIXELS, 2, 8, chunk(b"cICP", bytes([12, 13, 0, 1])), chunk(b"sRGB", b"\0"))
    icc = media.read(data).icc
    assert icc is not None and b"cicp\0\0\0\0" + bytes([12, 13, 0, 1]) in icc
    bright = media.read(png(PIXELS, 2, 8, chunk(b"cICP", bytes([9, 16, 0, 1]))))
    assert bright.icc is not None and "high dynamic range" in bright.warnings[0]
    unknown = media.read(png(PIXELS, 2, 8, chunk(b"cICP", bytes([77, 13, 0, 1]))))
    assert unknown.warnings == ("not carried: the colour space cICP 77/13",)


@pytest.mark.parametrize("points", [b"\0" * 32, b"\xff" * 32, struct.pack(">8I", *[33000] * 8)])
def test_impossible_chromaticities_are_named(points: bytes) -> None:
    picture = media.read(png(PIXELS, 2, 8, chunk(b"cHRM", points)))
    assert picture.icc is None
    assert "impossible" in picture.warnings[0]


def test_the_profile_of_a_bmp_is_carried() -> None:
    icc = media.read(png(PIXELS, 2, 8, chunk(b"gAMA", struct.pack(">I", 100000)))).icc
    assert icc is not None
    pixels = bytes(3 * 4) + bytes(4)
    head = struct.pack("<IiiHHIIiiII", 124, 4, 1, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    place = struct.pack("<IIII", 4, 124 + len(pixels), len(icc), 0)
    head += bytes(16) + b"DEBM" + bytes(48) + place
    file = b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels), 0, 0, 14 + 124) + head + pixels
    assert media.read(file + icc).icc == icc
