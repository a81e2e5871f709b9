"""TIFF pixels are right for every layout that can be opened, or the file is refused."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from quantal import media

HEIGHT, WIDTH = 12, 17


def samples(channels: int) -> np.ndarray[Any, Any]:
    """Return samples [H, W, C] in 0..255, with both ends."""
    generator = np.random.default_rng(channels)
    pixels = generator.integers(0, 256, (HEIGHT, WIDTH, channels))
    pixels[0, 0], pixels[-1, -1] = 0, 255
    return pixels


def tiff(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


#: How samples 0..255 are stored, and with which tolerance they come back.
STORED = {
    "uint8": lambda p: p.astype(np.uint8),
    "uint16": lambda p: (p * 257).astype(np.uint16),
    "uint32": lambda p: (p * 16843009).astype(np.uint32),
    "int8": lambda p: (p - 128).astype(np.int8),
    "int16": lambda p: (p * 257 - 32768).astype(np.int16),
    "int32": lambda p: (p * 16843009 - (1 << 31)).astype(np.int32),
    "float16": lambda p: (p / 255).astype(np.float16),
    "float32": lambda p: (p / 255).astype(np.float32),
    "float64": lambda p: p / 255,
}
ONE, THREE = ("minisblack", "miniswhite"), ("rgb",)


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize(
    ("photometric", "channels", "extra"),
    [
        *((photometric, 1, None) for photometric in ONE),
        *((photometric, 2, "unassalpha") for photometric in ONE),
        ("rgb", 3, None),
        ("rgb", 4, "unassalpha"),
        ("rgb", 4, "unspecified"),
        ("rgb", 5, "unassalpha"),
        ("minisblack", 3, "unspecified"),
        ("minisblack", 5, "unspecified"),
    ],
)
def test_pixels_are_right(kind: str, photometric: str, channels: int, extra: str | None) -> None:
    pixels = samples(channels)
    stored = STORED[kind](pixels)
    colours = 1 if channels < 3 else 3
    extras = None if extra is None else [extra] + ["unspecified"] * 8
    for planar, order, compression in itertools.product((False, True), "<>", (None, "zlib")):
        array = stored[:, :, 0] if channels == 1 else stored
        own = None if extras is None else extras[: channels - (3 if photometric == "rgb" else 1)]
        data = tiff(
            np.moveaxis(array, -1, 0) if planar and channels > 1 else array,
            photometric=photometric,
            planarconfig=("separate" if planar else "contig") if channels > 1 else None,
            extrasamples=own,
            byteorder=order,
            compression=compression,
        )
        for picture in _both_ways(data):
            expected = pixels[:, :, :colours]
            expected = 255 - expected if photometric == "miniswhite" else expected
            where = (kind, photometric, channels, planar, order, compression)
            assert np.abs(picture.pixels - expected.astype(int)).max() <= 1, where
            assert picture.grey == (colours == 1)
            has_alpha = extra == "unassalpha"
            assert (picture.alpha is not None) == has_alpha, where
            if picture.alpha is not None:
                assert np.abs(picture.alpha - pixels[:, :, colours].astype(int)).max() <= 1, where
            further = channels - colours - has_alpha
            assert any("further band" in text for text in picture.warnings) == (further > 0), where


def _both_ways(data: bytes) -> list[media.Picture]:
    """Return the picture of a file, and that of an image which Pillow opened, if it does."""
    pictures = [media.read(data)]
    try:
        image = Image.open(io.BytesIO(data))
    except Exception:
        return pictures
    return [*pictures, media.from_image(image)]
