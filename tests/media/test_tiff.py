"""TIFF pixels are right for every layout that can be opened, or the file is refused."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image

from quantal import media
from quantal.errors import MediaError

from .tiffs import tiff_of

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


# -- layouts that libraries seldom write: right, or refused ----------------------------------

PHOTOMETRIC = {"white": 0, "black": 1, "rgb": 2, "palette": 3, "cmyk": 5}
CHANNELS = {"white": 1, "black": 1, "rgb": 3, "palette": 1, "cmyk": 4}


@pytest.mark.parametrize("reverse", [False, True], ids=["", "FillOrder 2"])
@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64])
@pytest.mark.parametrize("kind", PHOTOMETRIC)
def test_odd_layouts_are_right_or_refused(
    kind: str, bits: int, order: str, planar: bool, reverse: bool
) -> None:
    if kind == "palette" and bits > 16:
        return
    generator = np.random.default_rng(bits)
    top = (1 << min(bits, 32)) - 1
    stored = generator.integers(0, top + 1, (HEIGHT, WIDTH, CHANNELS[kind]))
    stored[0, 0], stored[-1, -1] = 0, top
    colours = generator.integers(0, 256, (3, top + 1)) * 257 if kind == "palette" else None
    data = tiff_of(
        stored,
        bits,
        PHOTOMETRIC[kind],
        planar=planar,
        order=order,
        reverse=reverse,
        colours=colours,
    )
    try:
        picture = media.read(data)
    except MediaError:
        assert bits not in (8, 16, 32) or kind == "palette" or reverse or kind == "cmyk"
        assert not (bits == 8 and not reverse and not planar)
        return
    eight = stored * (255 / top)
    if colours is not None:
        eight = np.moveaxis(colours[:, stored[:, :, 0]], 0, -1) / 257
    elif kind == "white":
        eight = 255 - eight
    elif kind == "cmyk":
        eight = (255 - eight[:, :, :3]) * (255 - eight[:, :, 3:]) / 255
    assert np.abs(picture.pixels - eight).max() <= (2 if kind == "cmyk" else 1)


@pytest.mark.parametrize("photometric", [4, 9, 10, 32803, 34892, 32844, 32845, 77])
def test_unknown_photometrics_are_refused(photometric: int) -> None:
    channels = 3 if photometric in (9, 10, 34892) else 1
    with pytest.raises(MediaError):
        media.read(tiff_of(samples(channels), 8, photometric))


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
def test_raw_ycbcr_is_right_or_refused(subsampling: tuple[int, int]) -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128)
    grey[..., 0] = samples(1)[..., 0]
    data = tiff_of(grey, 8, 6, t530=subsampling)
    if subsampling != (1, 1):
        with pytest.raises(MediaError):
            media.read(data)
        return
    try:
        pixels = media.read(data).pixels
    except MediaError:
        assert int(PIL.__version__.split(".")[0]) < 13  # which has no decoder for it
        return
    assert np.abs(pixels - grey[..., :1]).max() <= 1


@pytest.mark.parametrize("cut", [9, 100, 200, -1, -300])
def test_cut_files_are_refused(cut: int) -> None:
    for bits in (8, 16):
        with pytest.raises(MediaError):
            media.read(tiff_of(samples(3), bits, 2)[:cut])


def test_a_size_that_the_bytes_can_not_fill_allocates_nothing() -> None:
    data = bytearray(tiff_of(samples(1), 16, 1))
    for tag in (256, 257):
        place = data.index(tag.to_bytes(2, "little") + b"\4\0\1\0\0\0")
        data[place + 8 : place + 12] = (30000).to_bytes(4, "little")
    with pytest.raises(MediaError, match="too few for 30000x30000"):
        media.read(bytes(data))


def test_the_preview_of_a_camera_raw_file_is_not_the_picture() -> None:
    data = tiff_of(samples(3), 8, 2, t254=(1,), t330=(0,))
    with pytest.raises(MediaError, match="camera raw"):
        media.read(data)


def test_blank_faxes_of_any_width_are_read() -> None:
    for width in (1, 3, 9920):
        file = io.BytesIO()
        Image.new("1", (width, 900), 1).save(file, "TIFF", compression="group4")
        assert (media.read(file.getvalue()).pixels == 255).all()


def test_strips_that_share_their_bytes_justify_no_memory() -> None:
    side, place = 20_000, 200
    tags = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, side, place),
        (278, 3, 1, 1),
        (279, 4, side, place + 4 * side),
    ]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
    head += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    strips = struct.pack(f"<{2 * side}I", *[0] * side, *[side] * side)
    with pytest.raises(MediaError, match="too few for 20000x20000"):
        media.read(head.ljust(place, b"\0") + strips)
