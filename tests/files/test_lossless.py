"""Lossless files: every kind of picture comes back as it was, or is refused with a reason."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import quantal
from quantal import container, media
from quantal.errors import ArgumentError, BitstreamError, CorruptError, MediaError, QuantalWarning
from quantal.files.encode import encode_picture

sys.path.insert(0, str(Path(__file__).parents[1] / "codecs"))

PHOTOGRAPH = data.astronaut()[100:163, 200:251]
ALPHA = (np.arange(63 * 51).reshape(63, 51, 1) % 256).astype(np.uint8)
ARRAYS = {
    "grey": PHOTOGRAPH[:, :, :1],
    "grey-alpha": np.concatenate([PHOTOGRAPH[:, :, :1], ALPHA], 2),
    "rgb": PHOTOGRAPH,
    "rgba": np.concatenate([PHOTOGRAPH, ALPHA], 2),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("deep", [False, True])
def test_arrays_come_back(kind: str, deep: bool) -> None:
    samples = ARRAYS[kind]
    if deep:
        noise = np.random.default_rng(0).integers(0, 256, samples.shape)
        samples = (samples.astype(np.uint16) << 8) + noise.astype(np.uint16)
    coded = quantal.compress(samples, "lossless")
    found = quantal.samples(coded)
    assert found.dtype == samples.dtype
    assert np.array_equal(found, samples)
    assert not container.read(coded).part("alpha")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_pillow_come_back(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(PHOTOGRAPH)
    if mode == "I;16":
        image = Image.fromarray(PHOTOGRAPH[:, :, 0].astype(np.uint16) * 200)
    else:
        image = image.convert(mode)
    path = tmp_path / "picture.png"
    image.save(path)
    target = tmp_path / "picture.qtl"
    quantal.write(target, path, "lossless")
    back = quantal.read(target)
    shown = {"1": "L", "P": "RGB"}.get(mode, mode)
    assert back.mode == shown
    assert np.array_equal(np.asarray(back), np.asarray(image.convert(shown)))


def test_sixteen_bits_of_colour_come_back_as_png(tmp_path: Path) -> None:
    samples = PHOTOGRAPH.astype(np.uint16) * 251 + 3
    picture = media.from_array(samples)
    coded = encode_picture(picture, quantal.load("lossless")).data
    written = media.write(quantal.files.decode_picture(coded), "png")
    assert np.array_equal(media.read(written).deep, samples)


def test_metadata_is_carried_and_depth_kept() -> None:
    samples = (PHOTOGRAPH[:, :, :1].astype(np.uint16) << 2) + 1
    picture = media.from_array(samples, 10)
    coded = encode_picture(picture, quantal.load("lossless")).data
    back = quantal.files.decode_picture(coded)
    assert back.depth == 10
    assert back.grey
    assert np.array_equal(back.deep, samples)
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    file = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(file, "PNG", exif=exif)
    back_image = quantal.decompress(quantal.compress(file.getvalue(), "lossless"))
    assert back_image.getexif()[0x010E] == "a picture"


def test_what_reading_changes_is_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).convert("CMYK").save(file, "TIFF")
    with pytest.raises(MediaError, match=r"CMYK was converted.*convert the picture"):
        quantal.compress(file.getvalue(), "lossless")
    floats = Image.fromarray(PHOTOGRAPH[:, :, 0].astype(np.float32) * 3)
    with pytest.raises(MediaError, match="keeps every sample"):
        quantal.compress(floats, "lossless")
    with pytest.warns(QuantalWarning, match="stretched"):
        quantal.compress(floats, "context-s", quality=1)


def test_there_is_one_quality() -> None:
    with pytest.raises(ArgumentError, match="single rate"):
        quantal.compress(PHOTOGRAPH, "lossless", quality=90)
    with pytest.raises(ArgumentError):
        quantal.compress(PHOTOGRAPH, "lossless", effort=1)
    assert quantal.compress(PHOTOGRAPH, "lossless", quality=100)


def test_alpha_apart_is_damage() -> None:
    file = container.read(quantal.compress(PHOTOGRAPH, "lossless"))
    alpha = container.Part("alpha", media.encode_alpha(ALPHA[:, :, 0]))
    forged = container.write(file.header, [file.parts[0], alpha])
    with pytest.raises(CorruptError, match="alpha apart"):
        quantal.decompress(forged)


def test_the_first_bytes_are_a_coarser_picture() -> None:
    coded = quantal.compress(PHOTOGRAPH, "lossless")
    with pytest.warns(QuantalWarning, match="cut"):
        coarse = quantal.decompress(coded[: len(coded) // 2], max_parts=4)
    assert coarse.size == (51, 63)
    whole = quantal.decompress(coded, max_parts=99)
    assert np.array_equal(np.asarray(whole), PHOTOGRAPH)
    with pytest.raises(BitstreamError):
        quantal.decompress(coded[: len(coded) // 2])
