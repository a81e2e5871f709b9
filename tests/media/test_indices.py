"""Class indices: the samples that are stored, whatever Pillow makes of them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from quantal import media
from quantal.errors import MediaError

GREY, PALETTE = 0, 3


def png(samples: NDArray[np.int64], bits: int, colour: int) -> bytes:
    """A PNG made by hand: samples [H, W] of any depth."""
    height, width = samples.shape
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in samples]
    else:
        planes = (samples[..., None] >> np.arange(bits)[::-1]) & 1
        rows = [np.packbits(row.ravel()).tobytes() for row in planes.astype(np.uint8)]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    if colour == PALETTE:
        chunks.append((b"PLTE", bytes(3 * 2**bits)))
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    made = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks:
        made += struct.pack(">I", len(content)) + name + content
        made += struct.pack(">I", zlib.crc32(name + content))
    return made


@pytest.mark.parametrize(
    ("bits", "colour"),
    [(b, GREY) for b in (1, 2, 4, 8, 16)] + [(b, PALETTE) for b in (1, 2, 4, 8)],
)
def test_samples_come_as_they_are_stored(bits: int, colour: int) -> None:
    samples = np.random.default_rng(bits).integers(0, 2**bits, (5, 7))
    samples[0, :2] = 0, 2**bits - 1
    found = media.read_indices(png(samples, bits, colour))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, samples)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_no_indices(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (4, 3)).save(file, "PNG")
    with pytest.raises(MediaError, match=f"mask of mode {mode}; expected class indices"):
        media.read_indices(file)


def test_what_is_no_png_is_named(tmp_path) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (4, 3)).save(path, "JPEG")
    with pytest.raises(MediaError, match=r"mask.png is a mask in JPEG; expected a PNG"):
        media.read_indices(path)
    path.write_text("no picture")
    with pytest.raises(MediaError, match=r"mask.png is not a picture"):
        media.read_indices(path)
    whole = png(np.zeros((40, 40), np.int64), 8, GREY)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=r"mask.png is cut"):
        media.read_indices(path)
    with pytest.raises(MediaError, match="can't be opened"):
        media.read_indices(tmp_path / "none.png")
