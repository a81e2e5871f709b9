"""Reading of picture files: all formats, limits, and errors of invalid files."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantal import media
from quantal.errors import MediaError
from quantal.media._survey import boxes

from .conftest import encoded, photo

FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "GIF"]


def png(width: int, height: int, bits: int = 8, pixels: bytes = b"", key: bytes = b"") -> bytes:
    """An RGB PNG as Pillow does not write it: too small for its size, or of 16 bits."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    transparency = chunk(b"tRNS", key) if key else b""
    content = chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + transparency + content


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "rocket.jpg", "camera.png"])
def test_photographs_are_read_as_by_pillow(name: str) -> None:
    picture = media.read(photo(name))
    with Image.open(photo(name)) as image:
        assert picture.grey == (image.mode == "L")
        assert (picture.width, picture.height) == image.size
        assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert picture.warnings == ()


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read(scene: Image.Image, format: str) -> None:
    picture = media.read(encoded(scene, format))
    assert picture.pixels.shape == (24, 40, 3)
    assert picture.pixels.dtype == np.uint8
    difference = picture.pixels.astype(int) - np.asarray(scene)
    assert abs(difference).mean() < (30 if format == "GIF" else 4)
    assert picture.warnings == ()


@pytest.mark.parametrize("format", FORMATS)
def test_pillows_global_limit_does_not_apply(
    scene: Image.Image, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(scene, format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 24 if format == "GIF" else 40 * 24 // 2)
    assert media.read(data).width == 40


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow has no such limit")
def test_pillows_limit_where_it_can_not_be_lifted_is_explained(
    scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(scene, "WEBP")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(MediaError, match=r"960 pixels.*MAX_IMAGE_PIXELS"):
        media.read(data)


def test_paths_bytes_and_open_files_are_the_same(tmp_path: Path, scene: Image.Image) -> None:
    data = encoded(scene, "PNG")
    path = tmp_path / "scene.png"
    path.write_bytes(data)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    already_read = io.BytesIO(data)
    already_read.read()
    sources: list[str | Path | bytes | BinaryIO] = [path, str(path), data, already_read, Pipe(data)]
    for source in sources:
        assert np.array_equal(media.read(source).pixels, np.asarray(scene))
    assert not already_read.closed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a picture.*68 65 6c 6c"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
        (b"\x8bQTL\x01" + bytes(40), "not a picture"),
        (b"\xff\xd8\xff", "cut, broken"),
        (b"\x89PNG\r\n\x1a\n", "cut, broken"),
        (b"GIF89a", "cut, broken"),
        (b"BM" + bytes(60), "cut, broken"),
        (b"II*\0" + bytes(60), "cut, broken"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "cut, broken"),
    ],
)
def test_other_files_are_media_errors(data: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        media.read(data)


@given(st.sampled_from(FORMATS), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_file_is_read_or_a_media_error(format: str, where: int, change: int) -> None:
    data = bytearray(encoded(Image.new("RGB", (9, 7), (200, 100, 50)), format))
    data[where % len(data)] ^= change
    # Pillow's own warnings are errors in this test suite only.
    with suppress(MediaError, Warning):
        media.read(bytes(data))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_cut_files_are_media_errors(format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(MediaError):
        media.read(data[: int(len(data) * share)])


def test_a_missing_file_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.png can't be opened: No such file"):
        media.read(tmp_path / "none.png")
    with pytest.raises(MediaError, match="can't be opened"):
        media.read(tmp_path)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (65535, 65535, "65535x65535 = 4294836225 pixels, expected at most 1073741824"),
        (65536, 1, r"65536x1 pixels, expected 1\.\.65535 each"),
        (1, 70000, "1x70000 pixels"),
    ],
)
def test_sizes_beyond_the_limits_are_errors_before_decoding(
    width: int, height: int, message: str
) -> None:
    with pytest.raises(MediaError, match=message):
        media.read(png(width, height))


def test_the_widest_picture_passes() -> None:
    picture = media.read(encoded(Image.new("L", (65535, 2), 7), "PNG"))
    assert (picture.width, picture.height) == (65535, 2)
    assert (picture.pixels == 7).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation_is_read(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    picture = media.read(data)
    assert picture.warnings == ("only frame 1 of 3 was taken",)
    assert abs(picture.pixels[0, 0].astype(int) - (255, 0, 0)).max() <= 3


def test_16_bit_colours_are_reduced_with_a_warning() -> None:
    pixels = b"\0" + struct.pack(">6H", 0, 0x8081, 0xFFFF, 1, 2, 3)
    picture = media.read(png(2, 1, 16, pixels))
    assert picture.pixels[0, 0].tolist() == [0, 128, 255]
    assert picture.shallow().warnings == ("16-bit samples were reduced to 8 bits",)
    picture = media.read(png(2, 1, 16, pixels, key=struct.pack(">3H", 1, 2, 3)))
    assert picture.alpha is not None and picture.alpha[0].tolist() == [255, 0]


def test_an_avif_of_10_bits_has_a_warning(scene: Image.Image) -> None:
    data = bytearray(encoded(scene, "AVIF"))
    assert boxes.survey(bytes(data)).bits == 8
    data[data.index(b"av1C") + 6] |= 0x40  # high_bitdepth
    assert boxes.survey(bytes(data)).bits == 10


def test_every_suffix_is_one_that_is_read() -> None:
    extensions = Image.registered_extensions()
    others = {".mpo", ".dib", ".heic", ".heif", ".hif"}  # HEIC needs pillow-heif
    suffixes = media.PICTURE_SUFFIXES - others
    assert {extensions[suffix] for suffix in suffixes} == set(FORMATS)
