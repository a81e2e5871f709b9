"""Photoshop image resources and the IPTC record in them, as JPEG, TIFF and PNG carry them.

Sources: Adobe Photoshop File Formats Specification; IPTC-NAA Information Interchange Model 4.2.
"""

from __future__ import annotations

import struct

from quantal.media._beside import Beside, Density

__all__ = ["survey_iptc", "survey_resources"]

_RESOLUTION, _IPTC, _COPYRIGHTED, _ADDRESS = 0x03ED, 0x0404, 0x040A, 0x040B
_ICC, _EXIF, _EXIF_3, _XMP = 0x040F, 0x0422, 0x0423, 0x0424
_THUMBNAILS = (0x0409, 0x040C)
#: A checksum of the IPTC record and the version that wrote it: nothing of the user's.
_DERIVED = (0x0425, 0x0421)

#: Datasets of record 2 with their properties in XMP.
_PROPERTIES = {
    5: "dc:title",
    10: "photoshop:Urgency",
    15: "photoshop:Category",
    20: "photoshop:SupplementalCategories",
    25: "dc:subject",
    40: "photoshop:Instructions",
    55: "photoshop:DateCreated",
    80: "dc:creator",
    85: "photoshop:AuthorsPosition",
    90: "photoshop:City",
    92: "Iptc4xmpCore:Location",
    95: "photoshop:State",
    100: "Iptc4xmpCore:CountryCode",
    101: "photoshop:Country",
    103: "photoshop:TransmissionReference",
    105: "photoshop:Headline",
    110: "photoshop:Credit",
    115: "photoshop:Source",
    116: "dc:rights",
    120: "dc:description",
    122: "photoshop:CaptionWriter",
}
_UTF_8 = b"\x1b%G"


def survey_resources(data: bytes, found: Beside) -> None:
    """List the image resources of Photoshop.

    Args:
        data: Resources one after another, from the first "8BIM" on.
        found: Receives what is carried and what is not.
    """
    settings = 0
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        (kind,) = struct.unpack_from(">H", data, at + 4)
        at += 6 + (data[at + 6] + 2) // 2 * 2  # a name with its length, padded to even
        if at + 4 > len(data):
            break
        (size,) = struct.unpack_from(">I", data, at)
        content = data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
        if kind == _IPTC:
            survey_iptc(content, found)
        elif kind == _RESOLUTION and len(content) >= 12:
            x, _, _, y = struct.unpack_from(">IHHI", content)
            found.density = found.density or Density(x / 65536, y / 65536)
        elif kind == _COPYRIGHTED:
            found.properties.append(("xmpRights:Marked", str(content[:1] == b"\1")))
        elif kind == _ADDRESS:
            found.properties.append(("xmpRights:WebStatement", content.decode("latin-1")))
        elif kind in (_EXIF, _EXIF_3):
            found.exif = found.exif or content
        elif kind == _XMP:
            found.xmp = found.xmp or content
        elif kind == _ICC:
            found.icc = found.icc or content
        elif kind in _THUMBNAILS:
            found.drop("the thumbnail of Photoshop")
        elif kind not in _DERIVED:
            settings += 1
    if settings:
        found.drop(f"{settings} settings of Photoshop")
    if at < len(data) and data[at:].strip(b"\0"):
        found.drop("broken Photoshop data")


def survey_iptc(data: bytes, found: Beside) -> None:
    """List the datasets of an IPTC record; those with a property in XMP are carried."""
    encoding = "latin-1"
    date: int | None = None  # place of a date that waits for its time
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, dataset, size = struct.unpack_from(">BBH", data, at + 1)
        at += 5
        if size & 0x8000:  # an extended dataset: the length of its length
            width = size & 0x7FFF
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        content = data[at : at + size]
        at += size
        if (record, dataset) == (1, 90):
            encoding = "utf-8" if content.startswith(_UTF_8) else "latin-1"
            continue
        text = _decoded(content, encoding)
        if record == 2 and dataset in _PROPERTIES:
            if dataset == 55 and len(text) == 8 and text.isdigit():
                text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
                date = len(found.properties)
            found.properties.append((_PROPERTIES[dataset], text))
        elif (record, dataset) == (2, 60) and date is not None and len(text) >= 6:
            name, day = found.properties[date]
            zone = f"{text[6:9]}:{text[9:11]}" if len(text) == 11 else ""
            found.properties[date] = name, f"{day}T{text[:2]}:{text[2:4]}:{text[4:6]}{zone}"
            date = None
        elif (record, dataset) not in ((1, 0), (2, 0)):  # versions of the record
            found.texts.append((f"IPTC {record}:{dataset}", text))
    if at < len(data) and data[at:].strip(b"\0"):
        found.drop("broken IPTC data")


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).rstrip("\0")
    except UnicodeDecodeError:
        return content.decode("latin-1").rstrip("\0")
