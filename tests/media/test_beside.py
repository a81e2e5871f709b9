"""What lies beside the pixels is carried, or named in a warning; nothing is lost silently."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from PIL import Image

from quantal import media
from quantal.media._beside import Density
from quantal.media._exif import density_of, with_density
from quantal.media._xmp import texts_of

from .conftest import encoded
from .pngs import chunk, png, text

PIXELS = np.full((6, 8, 3), 99)
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


def values(xmp: bytes | None, name: str) -> list[str]:
    """Return the values of a property in an XMP packet."""
    assert xmp is not None
    root = ElementTree.fromstring(xmp)
    found = root.findall(f".//{name}//rdf:li", NAMESPACES) or root.findall(f".//{name}", NAMESPACES)
    return [element.text or "" for element in found]


def jpeg(*segments: tuple[int, bytes], behind: bytes = b"", **options: Any) -> bytes:
    """Return a JPEG with further segments (marker, content) after the first one."""
    data = encoded(Image.fromarray(PIXELS.astype(np.uint8)), "JPEG", **options)
    first = 4 + int.from_bytes(data[4:6], "big")
    added = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in segments
    )
    return data[:first] + added + data[first:] + behind


def dataset(number: int, value: bytes, record: int = 2) -> bytes:
    return b"\x1c" + bytes([record, number]) + struct.pack(">H", len(value)) + value


def resource(kind: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", kind, 0, len(content)) + content + bytes(len(content) % 2)


# -- density ---------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("target", ["png", "jpg"])
def test_density_goes_there_and_back(scene: Image.Image, format: str, target: str) -> None:
    picture = media.read(encoded(scene, format, dpi=(300, 150)))
    density = density_of(picture.exif or b"")
    assert density is not None and (density.x, density.y) == pytest.approx((300, 150), abs=0.1)
    assert picture.warnings == ()
    with Image.open(io.BytesIO(media.write(picture, target))) as image:
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_density_is_added_to_exif_without_moving_it(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker with a long name"
    exif.get_ifd(0x8769)[0x927C] = b"maker note " * 9
    picture = media.read(encoded(scene, "PNG", exif=exif.tobytes(), dpi=(300, 300)))
    assert picture.exif is not None
    again = Image.Exif()
    again.load(picture.exif)
    assert again[0x010F] == "A maker with a long name"
    assert again[0x011A] == 300 and again[0x0128] == 2
    assert again.get_ifd(0x8769)[0x927C] == b"maker note " * 9
    place = exif.tobytes().removeprefix(b"Exif\0\0").index(b"maker note")
    assert picture.exif.index(b"maker note") == place


def test_contradictory_densities_are_named(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 72.0, 72.0, 2
    picture = media.read(encoded(scene, "JPEG", exif=exif.tobytes(), dpi=(300, 300)))
    assert "EXIF says 72x72 pixels per inch, the file 300x300" in picture.warnings[0]
    density = density_of(picture.exif or b"")
    assert density is not None and density.x == 300


def test_a_turned_picture_has_its_density_turned(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = media.read(encoded(scene, "JPEG", exif=exif.tobytes(), dpi=(300, 150)))
    density = density_of(picture.exif or b"")
    assert density is not None and (density.x, density.y) == (150, 300)


# -- texts -----------------------------------------------------------------------------------


def test_texts_of_png_go_to_xmp() -> None:
    data = png(
        PIXELS,
        2,
        8,
        text("Title", "A <cup> & saucer"),
        text("Copyright", "\xa9 A"),
        text("parameters", "steps: 20"),
        chunk(b"zTXt", b"Author\0\0" + zlib.compress(b"B")),
        chunk(b"iTXt", b"Description\0\0\0de\0\0" + "Größe".encode()),
        chunk(b"tIME", struct.pack(">H5B", 2024, 2, 3, 4, 5, 6)),
    )
    picture = media.read(data)
    assert values(picture.xmp, "dc:title") == ["A <cup> & saucer"]
    assert values(picture.xmp, "dc:rights") == ["\xa9 A"]
    assert values(picture.xmp, "dc:creator") == ["B"]
    assert values(picture.xmp, "dc:description") == ["Größe"]
    assert values(picture.xmp, "xmp:ModifyDate") == ["2024-02-03T04:05:06Z"]
    assert texts_of(picture.xmp or b"") == [("parameters", "steps: 20")]
    assert picture.warnings == ()
    with Image.open(io.BytesIO(media.write(picture, "png"))) as again:
        assert again.info["parameters"] == "steps: 20"


def test_texts_join_the_xmp_that_is_there() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf'
        b'-syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>'
        b"<rdf:Alt><rdf:li>Mine</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF>"
        b"</x:xmpmeta>"
    )
    beside = [chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)]
    picture = media.read(png(PIXELS, 2, 8, *beside, text("Title", "Yours"), text("Author", "B")))
    assert values(picture.xmp, "dc:title") == ["Mine"]
    assert values(picture.xmp, "dc:creator") == ["B"]
    assert texts_of(picture.xmp or b"") == [("dc:title", "Yours")]
    broken = [chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x")]
    picture = media.read(png(PIXELS, 2, 8, *broken, text("Title", "Yours")))
    assert picture.xmp == b"<x"
    assert "no place for them: dc:title" in picture.warnings[0]


@pytest.mark.parametrize("format", ["JPEG", "GIF"])
def test_comments_go_to_xmp(scene: Image.Image, format: str) -> None:
    picture = media.read(encoded(scene, format, comment=b"a comment"))
    assert values(picture.xmp, "exif:UserComment") == ["a comment"]
    assert picture.warnings == ()


@pytest.mark.parametrize("where", ["JPEG", "TIFF", "TIFF Photoshop", "PNG"])
def test_iptc_goes_to_xmp(scene: Image.Image, where: str) -> None:
    record = dataset(90, b"\x1b%G", record=1) + dataset(0, b"\0\2")
    record += dataset(25, b"cup") + dataset(25, "Größe".encode()) + dataset(116, b"A")
    record += dataset(120, b"A cup") + dataset(55, b"20240203") + dataset(60, b"040506+0100")
    record += dataset(199, b"odd")
    if where == "JPEG":
        data = jpeg((0xED, b"Photoshop 3.0\0" + resource(0x0404, record)))
    elif where == "PNG":
        digits = b"\niptc\n" + str(len(record)).encode() + b"\n" + record.hex().encode()
        data = png(
            PIXELS, 2, 8, chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(digits))
        )
    else:
        content = record if where == "TIFF" else resource(0x0404, record)
        code = 33723 if where == "TIFF" else 34377
        file = io.BytesIO()
        tags = [(code, 7, len(content), content, True)]
        tifffile.imwrite(file, PIXELS.astype(np.uint8), photometric="rgb", extratags=tags)
        data = file.getvalue()
    picture = media.read(data)
    assert values(picture.xmp, "dc:subject") == ["cup", "Größe"]
    assert values(picture.xmp, "dc:rights") == ["A"]
    assert values(picture.xmp, "dc:description") == ["A cup"]
    assert values(picture.xmp, "photoshop:DateCreated") == ["2024-02-03T04:05:06+01:00"]
    assert texts_of(picture.xmp or b"") == [("IPTC 2:199", "odd")]


# -- named -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (jpeg((0xE5, b"Ducky\0\1")), "APP5 (Ducky)"),
        (jpeg((0xE0, b"JFXX\0\x10" + bytes(9))), "thumbnail"),
        (jpeg((0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(50))), "extended XMP"),
        (jpeg((0xED, b"Photoshop 3.0\0" + resource(0x0BB7, b"xx"))), "1 settings of Photoshop"),
        (jpeg(behind=b"\0\0\0\x18ftypmp42" + bytes(9000)), "the video of 9,012 bytes"),
        (jpeg(behind=b"MotionPhoto_Data" + bytes([1]) * 5000), "5,016 bytes behind the picture"),
        (png(PIXELS, 2, 8, chunk(b"bKGD", bytes(6))), "the chunk bKGD"),
        (png(PIXELS, 2, 8, chunk(b"caBX", bytes(6))), "the chunk caBX"),
        (png(PIXELS, 2, 8) + b"x" * 10, "10 bytes behind the picture"),
    ],
)
def test_what_is_not_carried_is_named(data: bytes, named: str) -> None:
    picture = media.read(data)
    assert len(picture.warnings) == 1
    assert picture.warnings[0].startswith("not carried: ") and named in picture.warnings[0]
    assert named in str(media.from_image(Image.open(io.BytesIO(data))).warnings)


def test_an_unknown_chunk_of_webp_is_named(scene: Image.Image) -> None:
    data = encoded(scene, "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    data += b"ABCD" + struct.pack("<I", 4) + b"data"
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    assert media.read(data).warnings == ("not carried: the chunk 'ABCD'",)


def test_xmp_announces_no_companions_that_are_gone() -> None:
    packet = (
        b'<x GCamera:MotionPhoto="1" GCamera:MicroVideo="1" Other:Motion="1" hdrgm:Version="1.0">'
        b"<Container:Directory><rdf:Seq/></Container:Directory></x>"
    )
    segment = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    still = media.read(jpeg(segment))
    assert still.xmp == packet and still.warnings == ()
    moving = media.read(jpeg(segment, behind=b"\0\0\0\x18ftypmp42" + bytes(900)))
    assert moving.xmp == (
        b'<x GCamera:MotionPhoto="0" GCamera:MicroVideo="0" Other:Motion="1"></x>'
    )


def test_pages_and_inner_pictures_of_a_tiff_are_named() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for subifds in (1, 0):
            writer.write(PIXELS.astype(np.uint8), photometric="rgb", subifds=subifds, metadata=None)
        writer.write(PIXELS.astype(np.uint8), photometric="rgb", metadata=None)
    warnings = media.read(file.getvalue()).warnings
    assert "only frame 1 of 2 was taken" in warnings
    assert "not carried: a picture inside the picture" in warnings


def test_unknown_info_of_an_image_is_named(scene: Image.Image) -> None:
    scene.info.update(odd=object(), note="a note", dpi=(300, 300))
    picture = media.from_image(scene)
    assert picture.warnings == ("not carried: info 'odd'",)
    assert texts_of(picture.xmp or b"") == [("note", "a note")]


# -- EXIF after turning ----------------------------------------------------------------------


def with_thumbnail(orientation: int) -> bytes:
    """Return EXIF with a thumbnail and sizes in pixels, as cameras write it."""
    thumbnail = encoded(Image.new("RGB", (16, 8), "red"), "JPEG")
    own = struct.pack(">H", 2) + struct.pack(">HHII", 0xA002, 4, 1, 40)
    own += struct.pack(">HHII", 0xA003, 4, 1, 24) + bytes(4)
    main = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    main += struct.pack(">HHII", 0x8769, 4, 1, 38)
    first = 38 + len(own)
    place = first + 2 + 36 + 4
    second = struct.pack(">H", 3) + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    second += struct.pack(">HHII", 0x0201, 4, 1, place)
    second += struct.pack(">HHII", 0x0202, 4, 1, len(thumbnail)) + bytes(4)
    head = b"MM\0*\0\0\0\x08" + struct.pack(">H", 2) + main + struct.pack(">I", first)
    return b"Exif\0\0" + head + own + second + thumbnail


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_follows_the_turned_pixels(scene: Image.Image, orientation: int) -> None:
    given = with_thumbnail(orientation)
    picture = media.read(encoded(scene, "JPEG", exif=given))
    exif = Image.Exif()
    assert picture.exif is not None
    exif.load(picture.exif)
    own = exif.get_ifd(0x8769)
    assert exif[0x0112] == 1
    assert (own[0xA002], own[0xA003]) == (picture.width, picture.height)
    thumbnail = exif.get_ifd(1)
    if orientation == 1:
        assert picture.exif == given.removeprefix(b"Exif\0\0")
    else:
        assert not thumbnail
        assert b"\xff\xd8" not in picture.exif  # nor are its bytes left


@pytest.mark.parametrize(
    "part",
    [b"<Container:Directory", b" ", b"a", b"<rdf:RDF", b"<?xpacket begin", b" hdrgm:Version="],
)
def test_long_xmp_takes_no_quadratic_time(part: bytes) -> None:
    long = (part * (4_000_000 // len(part) + 1))[:4_000_000]
    chunks = (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + long), text("Title", "x"))
    picture = media.read(png(PIXELS, 2, 8, *chunks) + bytes([1]) * 9)
    assert picture.xmp == long
    gif = encoded(Image.fromarray(PIXELS.astype(np.uint8)), "GIF")
    packet = b"!\xff\x0bXMP DataXMP" + long[:100_000] + bytes(range(255, -1, -1)) + b"\0"
    assert media.read(gif[:-1] + packet + gif[-1:]).width == 8


def test_an_opened_image_is_surveyed_like_its_file() -> None:
    data = png(
        PIXELS,
        2,
        8,
        chunk(b"cICP", bytes([12, 13, 0, 1])),
        text("Title", "A cup"),
        text("parameters", "steps: 20"),
    )
    picture = media.from_image(Image.open(io.BytesIO(data)))
    assert (picture.icc, picture.xmp) == (media.read(data).icc, media.read(data).xmp)
    changed = Image.open(io.BytesIO(data))
    changed.info["Title"] = "Another"
    picture = media.from_image(changed)
    assert values(picture.xmp, "dc:title") == ["Another"]
    assert texts_of(picture.xmp or b"") == [("parameters", "steps: 20")]


def test_an_incomplete_profile_of_jpeg_is_named(scene: Image.Image) -> None:
    icc = media.read(png(PIXELS, 2, 8, chunk(b"gAMA", struct.pack(">I", 100000)))).icc
    assert icc is not None
    data = encoded(scene, "JPEG", icc_profile=icc)
    assert media.read(data).icc == icc
    place = data.index(b"ICC_PROFILE") + 13
    picture = media.read(data[:place] + b"\2" + data[place + 1 :])
    assert "not carried: the ICC profile, of which a part is missing" in picture.warnings


@pytest.mark.parametrize("per_metre", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("target", ["png", "jpg"])
def test_impossible_densities_are_not_written(per_metre: int, target: str) -> None:
    data = png(PIXELS, 2, 8, chunk(b"pHYs", struct.pack(">IIB", per_metre, 11811, 1)))
    picture = media.read(data)
    assert density_of(picture.exif or b"") is None
    exif = with_density(None, Density(400_000, 300))
    assert media.write(dataclasses.replace(picture, exif=exif), target)
