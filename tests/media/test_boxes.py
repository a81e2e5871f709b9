"""AVIF and HEIC: colour space, further items and the format by its brands, not by its name."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from quantal import media
from quantal.errors import MediaError
from quantal.media import _read
from quantal.media._survey import boxes

from .conftest import encoded


@pytest.fixture
def avif(scene: Image.Image) -> bytes:
    return encoded(scene, "AVIF", quality=90)


def with_points(avif: bytes, primaries: int, transfer: int) -> bytes:
    start = avif.index(b"nclx") + 4
    return avif[:start] + struct.pack(">HH", primaries, transfer) + avif[start + 4 :]


def test_a_plain_avif_has_nothing_beside(avif: bytes) -> None:
    picture = media.read(avif)
    assert picture.icc is None and picture.warnings == ()


def test_code_points_become_a_profile(avif: bytes) -> None:
    wide = media.read(with_points(avif, 12, 13))
    assert wide.icc is not None and b"cicp\0\0\0\0" + bytes([12, 13, 0, 1]) in wide.icc
    assert wide.warnings == ()
    bright = media.read(with_points(avif, 9, 16))
    assert "high dynamic range" in bright.warnings[0]
    assert media.read(with_points(avif, 2, 2)).icc is None


def test_boxes_behind_the_picture_are_named(avif: bytes) -> None:
    video = avif + struct.pack(">I4s", 8 + 900, b"mpvd") + bytes(900)
    assert media.read(video).warnings == ("not carried: the video of 900 bytes",)


@pytest.mark.parametrize("cut", range(8, 400, 13))
def test_broken_boxes_are_media_errors(avif: bytes, cut: int) -> None:
    with pytest.raises(MediaError):
        media.read(avif[:cut])


def heic(image: Image.Image) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95)
    return file.getvalue()


def test_heic_is_read_under_any_name(scene: Image.Image) -> None:
    image = scene.resize((80, 64))
    picture = media.read(heic(image))
    assert np.abs(picture.pixels - np.asarray(image).astype(int)).mean() < 4
    assert picture.warnings == ()


def test_heic_is_named_without_pillow_heif(
    scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = heic(scene.resize((80, 64)))
    monkeypatch.setattr(_read, "_HEIC", False)
    with pytest.raises(MediaError, match="is a HEIC picture; pip install pillow-heif"):
        media.read(data)


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(12), "a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\x8bQTL\x01", "decompress it"),
    ],
)
def test_other_files_are_named(beginning: bytes, name: str) -> None:
    with pytest.raises(MediaError, match=name):
        media.read(beginning + bytes(40))


def test_many_references_take_no_quadratic_time() -> None:
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), name) + content

    count = 30_000
    references = box(b"auxl", struct.pack(">HHH", 2, 1, 1)) * count
    owners = bytes(4) + struct.pack(">I", count) + b"\0\2\1\1" * count
    properties = box(b"ipco", box(b"auxC", bytes(4) + b"depth\0")) + box(b"ipma", owners)
    content = box(b"pitm", b"\0\0\0\0\0\1") + box(b"iref", bytes(4) + references)
    found = boxes.survey(box(b"meta", bytes(4) + content + box(b"iprp", properties)))
    assert found.dropped == []
