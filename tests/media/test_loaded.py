"""Images that Pillow has loaded, whose file is gone: all that Pillow keeps of it is carried."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from quantal import media
from quantal.errors import MediaError

from .pngs import chunk, png, text
from .test_beside import PIXELS, dataset, jpeg, resource, values


def loaded(data: bytes) -> media.Picture:
    image = Image.open(io.BytesIO(data))
    image.load()
    return media.from_image(image)


def tiff(*tags: tuple[int, int, int, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    extra = [(*tag, True) for tag in tags]
    with tifffile.TiffWriter(file) as writer:
        writer.write(PIXELS.astype(np.uint8), photometric="rgb", extratags=extra, **options)
        if "subifds" in options:
            writer.write(PIXELS.astype(np.uint8), photometric="rgb")
    return file.getvalue()


@pytest.mark.parametrize("key", ["version", "quality", "gamma", "timestamp", "mode", "primary"])
def test_texts_under_names_that_pillow_uses_are_carried(key: str) -> None:
    picture = loaded(png(PIXELS, 2, 8, text(key, "a text")))
    assert (key, "a text") in media._xmp.texts_of(picture.xmp or b"")


def test_chunks_that_pillow_keeps_are_named() -> None:
    picture = loaded(png(PIXELS, 2, 8, chunk(b"teSt", b"1")))
    assert picture.warnings == ("not carried: the chunk teSt",)


def test_segments_of_jpeg_are_carried_or_named() -> None:
    data = jpeg((0xFE, b"one"), (0xE7, b"ACME made"), (0xFE, b"two"))
    for picture in (loaded(data), media.read(data)):
        assert values(picture.xmp, "exif:UserComment") == ["one\ntwo"]
        assert picture.warnings == ("not carried: the segment APP7 (ACME made)",)


def test_a_comment_that_was_taken_out_stays_out() -> None:
    image = Image.open(io.BytesIO(jpeg((0xFE, b"one"), (0xFE, b"two"))))
    image.load()
    del image.info["comment"]
    assert media.from_image(image).xmp is None


def test_tags_of_a_tiff_are_carried_or_named() -> None:
    record = dataset(120, b"a caption")
    resources = resource(0x0404, dataset(25, b"a keyword"))
    primaries = (708, 1000, 292, 1000, 170, 1000, 797, 1000, 131, 1000, 46, 1000)
    data = tiff(
        (33723, 7, len(record), record),
        (34377, 7, len(resources), resources),
        (318, 5, 2, (3127, 10000, 3290, 10000)),
        (319, 5, 6, primaries),
        subifds=1,
    )
    expected = media.read(data)
    assert values(expected.xmp, "dc:description") == ["a caption"]
    picture = loaded(data)
    assert picture.xmp == expected.xmp
    assert picture.icc == expected.icc is not None
    assert picture.warnings == expected.warnings == ("not carried: a picture inside the picture",)


def test_xmp_announces_no_video_that_the_image_does_not_have() -> None:
    image = Image.fromarray(PIXELS.astype(np.uint8))
    image.info["xmp"] = b'<rdf:Description Camera:MotionPhoto="1"/>'
    assert media.from_image(image).xmp == b'<rdf:Description Camera:MotionPhoto="0"/>'


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF"])
def test_a_turned_picture_has_the_density_of_its_exif_turned(format: str, orientation: int) -> None:
    image = Image.fromarray(PIXELS.astype(np.uint8))
    exif = Image.Exif()
    exif[274], exif[296], exif[282], exif[283] = orientation, 2, 300.0, 150.0
    file = io.BytesIO()
    image.save(file, format, exif=exif)
    data = file.getvalue()
    turned = orientation >= 5
    for picture in (media.read(data), loaded(data)):
        found = Image.Exif()
        found.load(picture.exif or b"")
        assert picture.pixels.shape[:2] == ((8, 6) if turned else (6, 8))
        assert (found[282], found[283]) == ((150, 300) if turned else (300, 150))
        assert not picture.warnings


@pytest.mark.parametrize(("bigtiff", "order"), [(False, "<"), (False, ">"), (True, "<")])
def test_tags_of_every_kind_of_tiff_are_carried(bigtiff: bool, order: str) -> None:
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        PIXELS.astype(np.uint8),
        photometric="rgb",
        bigtiff=bigtiff,
        byteorder=order,
        resolution=(300, 150),
        resolutionunit=2,
        description="a caption",
        metadata=None,
        extratags=[(274, 3, 1, 6, True)],
    )
    picture = media.read(file.getvalue())
    found = Image.Exif()
    found.load(picture.exif or b"")
    assert picture.pixels.shape == (8, 6, 3)
    assert (found[270], found[282], found[283]) == ("a caption", 150, 300)


def test_a_big_endian_bigtiff_is_named() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS.astype(np.uint8), bigtiff=True, byteorder=">")
    with pytest.raises(MediaError, match="BigTIFF"):
        media.read(file.getvalue())


@pytest.mark.parametrize("data", [b"II*\0", b"II+\0\x08\0\0\0", b"MM\0*\0\0"])
def test_a_tiff_that_ends_in_its_head_is_named(data: bytes) -> None:
    with pytest.raises(MediaError, match="the TIFF is cut"):
        media.read(data)
