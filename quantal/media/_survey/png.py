"""What a PNG file holds beside its pixels: its ancillary chunks (PNG, 3rd edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from quantal.media._beside import Beside, Density
from quantal.media._colour import SRGB_PRIMARIES, Colour, from_code_points
from quantal.media._exif import EXIF_PREFIX
from quantal.media._survey.photoshop import survey_iptc, survey_resources

__all__ = ["PROPERTIES", "SIGNATURE", "Png", "chunks", "survey"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Bytes that all compressed texts may have once they are unpacked.
_TEXT_LIMIT = 1 << 24
#: Samples of a pixel, by colour type.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_XMP = "XML:com.adobe.xmp"
#: Keywords of the specification that XMP has a property for.
PROPERTIES = {
    "Title": "dc:title",
    "Author": "dc:creator",
    "Description": "dc:description",
    "Copyright": "dc:rights",
    "Software": "xmp:CreatorTool",
    "Comment": "exif:UserComment",
}
_RAW_PROFILE = "Raw profile type "


@dataclass
class Png:
    """A PNG file without its ancillary chunks.

    Attributes:
        pixels: A file with the chunks that decoding takes.
        beside: Everything else.
        bits: Bits per sample, at least 8.
        bits_per_pixel: As stored.
        packed: Bytes of compressed pixels.
        significant: Bits of each channel that mean something, from the chunk sBIT.
        transparent: The transparent sample of a grey or RGB picture, one value per channel.
        frames: Frames of an animation.
    """

    pixels: bytes
    beside: Beside
    bits: int = 8
    bits_per_pixel: int = 8
    packed: int = 0
    significant: tuple[int, ...] = ()
    transparent: tuple[int, ...] = ()
    frames: int = 1


@dataclass
class _Unpacker:
    """Unpacks compressed texts and profiles of one file, up to a limit for all of them."""

    left: int = _TEXT_LIMIT

    def __call__(self, packed: bytes) -> bytes | None:
        """Return a zlib stream's content; None if it has more bytes than are left."""
        stream = zlib.decompressobj()
        content = stream.decompress(packed, self.left + 1)
        if len(content) > self.left:
            return None
        if not stream.eof:
            raise ValueError("the stream was cut")
        self.left -= len(content)
        return content


@dataclass
class _Colour:
    """What the chunks say about colour; the first that is there decides."""

    points: Colour | None = None
    srgb: bool = False
    gamma: float | None = None
    primaries: tuple[float, ...] | None = None
    found: list[str] = field(default_factory=list)


def survey(data: bytes) -> Png:
    """Separate a PNG file's pixels from everything else.

    A file that ends inside a chunk keeps its rest, so that its decoder finds the damage.

    Args:
        data: The file.
    """
    beside = Beside()
    colour, unpacked = _Colour(), _Unpacker()
    png = Png(b"", beside)
    kept = [data[: len(SIGNATURE)]]
    depth = kind = 0
    end = len(data)
    for name, start, stop in chunks(data):
        content = memoryview(data)[start + 8 : stop - 4]
        if name == b"IHDR" and len(content) >= 13:
            depth, kind = content[8], content[9]
            png.bits = max(depth, 8)
            png.bits_per_pixel = depth * _CHANNELS.get(kind, 1)
        if name == b"tRNS" and kind in (0, 2) and len(content) >= (2 if kind == 0 else 6):
            values = struct.unpack_from(">H" if kind == 0 else ">3H", content)
            png.transparent = tuple(value & ((1 << depth) - 1) for value in values)
            continue
        if name == b"sBIT":
            png.significant = tuple(content)
        if name == b"IDAT":
            png.packed += len(content)
        if name == b"acTL" and len(content) >= 4:
            png.frames = int.from_bytes(content[:4], "big")
        elif name[0] & 0x20 and name not in (b"tRNS", b"fcTL", b"fdAT"):
            _ancillary(name.decode("latin-1"), bytes(content), beside, colour, unpacked)
        if name == b"tRNS" or not name[0] & 0x20:
            kept.append(data[start:stop])
        if name == b"IEND":
            end = stop
            break
    else:
        end = sum(map(len, kept))
    png.pixels = b"".join(kept)
    if png.pixels[-12:-8] + png.pixels[-8:-4] == bytes(4) + b"IEND" and end < len(data):
        beside.drop_bytes_behind(data[end:])
    _decide(colour, beside)
    return png


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of every chunk, the last one perhaps cut."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        stop = min(at + 12 + size, len(data))
        yield name, at, stop
        at += 12 + size


def _ancillary(
    name: str, content: bytes, beside: Beside, colour: _Colour, unpacked: _Unpacker
) -> None:
    try:
        if name in ("tEXt", "zTXt", "iTXt"):
            _text(name, content, beside, unpacked)
        elif name == "iCCP":
            profile = unpacked(content.split(b"\0", 1)[1][1:])
            if profile is None:
                beside.drop(f"an ICC profile of more than {_TEXT_LIMIT >> 20} MiB")
            else:
                beside.icc = profile
        elif name == "eXIf":
            beside.exif = content.removeprefix(EXIF_PREFIX)
        elif name == "pHYs":
            x, y, unit = struct.unpack(">IIB", content)
            scale = 0.0254 if unit == 1 else 1.0
            beside.density = Density(_rounded(x * scale), _rounded(y * scale), inch=unit == 1)
        elif name == "tIME":
            moment = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(*struct.unpack(">H5B", content))
            beside.properties.append(("xmp:ModifyDate", moment))
        elif name == "sRGB":
            colour.srgb = True
        elif name == "gAMA":
            (gamma,) = struct.unpack(">I", content)
            colour.gamma = 100000 / gamma if gamma else None
        elif name == "cHRM":
            white, others = content[:8], content[8:]
            colour.primaries = tuple(v / 100000 for v in struct.unpack(">8I", others + white))
        elif name == "cICP":
            _code_points(content, beside, colour)
        else:
            beside.drop(f"the chunk {name}" if name.isalpha() else "a chunk without a name")
    except (ValueError, IndexError, struct.error, zlib.error):
        beside.drop(f"a broken chunk {name}")


def _rounded(per_inch: float) -> float:
    """Return dots per inch, whole where the metre of pHYs hides a whole number."""
    return round(per_inch) if abs(per_inch - round(per_inch)) < 0.02 else per_inch


def _code_points(content: bytes, beside: Beside, colour: _Colour) -> None:
    primaries, transfer, matrix, full = struct.unpack(">4B", content)
    colour.points = from_code_points(primaries, transfer)
    if colour.points is None:
        beside.drop(f"the colour space cICP {primaries}/{transfer}")
    if matrix or full != 1:
        beside.drop("cICP of samples that are not RGB of full range")


def _decide(colour: _Colour, beside: Beside) -> None:
    """Choose the colour space in the order that the specification demands."""
    if colour.points is not None:
        beside.colour, beside.overrides_icc = colour.points, True
        if beside.icc:
            beside.drop("the ICC profile, which cICP overrides")
    elif beside.icc or colour.srgb or (colour.gamma is None and colour.primaries is None):
        return
    else:
        primaries = colour.primaries or SRGB_PRIMARIES
        beside.colour = Colour(primaries, colour.gamma or 2.2)  # type: ignore[arg-type]


def _text(name: str, content: bytes, beside: Beside, unpacked: _Unpacker) -> None:
    keyword, rest = content.split(b"\0", 1)
    packed = name == "zTXt" or (name == "iTXt" and rest[0] == 1)
    if name == "zTXt":
        rest = rest[1:]
    elif name == "iTXt":
        _, _, rest = rest[2:].split(b"\0", 2)
    label = keyword.decode("latin-1")
    text = unpacked(rest) if packed else rest
    if text is None:
        beside.drop(f"the text {label!r:.40}, for texts have more than {_TEXT_LIMIT >> 20} MiB")
    elif label == _XMP:
        beside.xmp = text
    elif label.startswith(_RAW_PROFILE):
        _raw_profile(label.removeprefix(_RAW_PROFILE).strip().lower(), text, beside)
    elif text:
        encoding = "utf-8" if name == "iTXt" else "latin-1"
        value = text.decode(encoding, "replace")
        if label in PROPERTIES:
            beside.properties.append((PROPERTIES[label], value))
        else:
            beside.texts.append((label, value))


def _raw_profile(kind: str, text: bytes, beside: Beside) -> None:
    """Read metadata in hexadecimal digits, as ImageMagick writes it."""
    digits = text.split(b"\n", 3)[3]
    content = bytes.fromhex(b"".join(digits.split()).decode("ascii"))
    if kind == "app1":
        kind = "exif" if content.startswith(EXIF_PREFIX) else "xmp"
        content = content.removeprefix(b"http://ns.adobe.com/xap/1.0/\0")
    if kind == "exif":
        beside.exif = beside.exif or content.removeprefix(EXIF_PREFIX)
    elif kind == "xmp":
        beside.xmp = beside.xmp or content
    elif kind in ("icc", "icm"):
        beside.icc = beside.icc or content
    elif kind in ("iptc", "8bim"):
        if content.startswith(b"8BIM"):
            survey_resources(content, beside)
        else:
            survey_iptc(content, beside)
    else:
        beside.drop(f"the raw profile {kind!r:.40}")
