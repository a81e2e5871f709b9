"""PNG pixels are right for every colour type, depth and transparency; no text hides the picture."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from quantal import media
from quantal.errors import MediaError

from .pngs import CHANNELS, chunk, png, text

LAYOUTS = [
    *((0, depth) for depth in (1, 2, 4, 8, 16)),
    *((kind, depth) for kind in (2, 4, 6) for depth in (8, 16)),
    *((3, depth) for depth in (1, 2, 4, 8)),
]


@pytest.mark.parametrize("opened", [False, True], ids=["read", "opened by Pillow"])
@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "tRNS"])
@pytest.mark.parametrize(("kind", "depth"), LAYOUTS)
def test_pixels_are_right(kind: int, depth: int, keyed: bool, opened: bool) -> None:
    generator = np.random.default_rng(depth)
    top = (1 << depth) - 1
    samples = generator.integers(0, top + 1, (9, 13, CHANNELS[kind]))
    samples[0, 0], samples[0, 1] = 0, top
    samples[3, :4] = samples[2, 2]
    key = samples[2, 2]
    before = []
    palette = generator.integers(0, 256, (top + 1, 3))
    if kind == 3:
        before.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    if keyed and kind in (0, 2):
        before.append(chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    elif keyed and kind == 3:
        before.append(chunk(b"tRNS", bytes([0, 77])))
    data = png(samples, kind, depth, *before)
    picture = media.from_image(Image.open(io.BytesIO(data))) if opened else media.read(data)

    colours = palette[samples[..., 0]] if kind == 3 else samples[..., : 3 if kind in (2, 6) else 1]
    scale = 1 if kind == 3 else 255 / top
    assert np.abs(picture.pixels - colours * scale).max() <= 1
    assert picture.grey == (kind in (0, 4))
    if kind in (4, 6):
        assert picture.alpha is not None
        assert np.abs(picture.alpha - samples[..., -1] * scale).max() <= 1
    elif not keyed:
        assert picture.alpha is None
    else:
        assert picture.alpha is not None
        if kind == 3:
            opacity = np.full(top + 1, 255)
            opacity[:2] = 0, 77
            assert np.array_equal(picture.alpha, opacity[samples[..., 0]])
        else:
            assert np.array_equal(picture.alpha == 0, (samples == key).all(axis=2))
    assert picture.warnings == picture.altered == ()
    if depth < 16:
        assert picture.deep is None
        return
    assert picture.deep is not None
    assert picture.depth == 16
    assert picture.reduction == "16-bit samples were reduced to 8 bits"
    assert np.array_equal(picture.deep[..., : CHANNELS[kind]], samples)
    if keyed and kind in (0, 2):
        assert np.array_equal(picture.deep[..., -1], np.where((samples == key).all(2), 0, 65535))


def test_an_image_that_pillow_opened_stays_as_it_is() -> None:
    samples = 1000 * np.arange(60).reshape(5, 4, 3)
    image = Image.open(io.BytesIO(png(samples, 2, 16, text("Title", "x"))))
    media.from_image(image)
    assert np.array_equal(np.asarray(image), samples >> 8)


def test_a_size_that_the_bytes_can_not_fill_allocates_nothing() -> None:
    data = bytearray(png(np.zeros((2, 2, 3), int), 2, 8))
    data[16:33] = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))[8:]
    with pytest.raises(MediaError, match="too few for 30000x30000"):
        media.read(bytes(data))


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt"])
def test_a_long_text_does_not_hide_the_picture(name: bytes) -> None:
    samples = np.zeros((2, 3, 3), int)
    for length, carried in ((2_000_000, True), (20_000_000, False)):
        packed = zlib.compress(b"a" * length)
        head = b"\0" if name == b"zTXt" else b"\1\0\0\0"
        picture = media.read(png(samples, 2, 8, chunk(name, b"notes\0" + head + packed)))
        assert (picture.xmp is not None) == carried
        assert any("'notes'" in warning for warning in picture.warnings) != carried


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"pHYs", b"cICP"])
@pytest.mark.parametrize("content", [b"", b"\0", b"abc\0\1", b"abc\0\0" + bytes(30)])
def test_broken_chunks_beside_the_pixels_are_harmless(name: bytes, content: bytes) -> None:
    samples = np.full((2, 3, 3), 9)
    assert (media.read(png(samples, 2, 8, chunk(name, content))).pixels == 9).all()


def test_a_checksum_of_a_text_does_not_matter_but_that_of_pixels_does() -> None:
    data = png(np.full((2, 3, 3), 9), 2, 8, text("Title", "x")[:-1] + b"?")
    assert (media.read(data).pixels == 9).all()


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
def test_many_compressed_texts_share_one_limit(name: bytes) -> None:
    packed = b"\0\0" + zlib.compress(bytes(b"a" * (6 << 20)))
    texts = [chunk(name, b"text%d" % i + packed) for i in range(5)]
    picture = media.read(png(np.full((2, 2, 1), 7), 0, 8, *texts))
    assert len(picture.xmp or b"") + len(picture.icc or b"") < 17 << 20
    assert any("more than 16 MiB" in w for w in picture.warnings)
