"""What a JPEG file holds beside its pixels: its segments and what follows its end (ITU-T T.81)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from quantal.media._beside import Beside, Density
from quantal.media._survey.photoshop import survey_resources

__all__ = ["survey", "survey_segments"]

#: The next marker inside coded data; restart markers and escaped bytes belong to it.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_END, _SCAN, _COMMENT = 0xD9, 0xDA, 0xFE
#: The first box of an MP4 or QuickTime file.
_VIDEO = re.compile(rb"ftyp(mp4|isom|qt  |avc1|iso\d)")
_APPLICATIONS = range(0xE0, 0xF0)
#: Frames, tables and restart intervals: what decoding the pixels takes.
_PIXELS = frozenset({*range(0xC0, 0xD0), *range(0xDB, 0xE0), 0x01})

_JFIF, _JFXX, _ADOBE = b"JFIF\0", b"JFXX\0", b"Adobe"
_EXIF, _ICC, _MULTIPLE = b"Exif\0", b"ICC_PROFILE\0", b"MPF\0"
_XMP, _EXTENDED_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"


def survey(data: bytes) -> Beside:
    """List what a JPEG file holds; Pillow reads its EXIF, XMP and ICC profile.

    Args:
        data: The file.
    """
    found = Beside()
    resources: list[bytes] = []
    several = False
    profile: list[bytes] = []
    at = 2
    while marker := _MARKER.search(data, at):
        at = marker.start()
        kind = data[at + 1]
        if kind == _END or at + 4 > len(data):
            break
        (size,) = struct.unpack_from(">H", data, at + 2)
        content = data[at + 4 : at + 2 + size]
        at += 2 + max(size, 2)
        if kind == _COMMENT:
            found.properties.append(("exif:UserComment", _text(content)))
        elif kind in _APPLICATIONS:
            if content.startswith(_PHOTOSHOP):
                resources.append(content[len(_PHOTOSHOP) :])
            several |= content.startswith(_MULTIPLE)
            if content.startswith(_ICC):
                profile.append(content[len(_ICC) :])
            _application(kind - 0xE0, content, found)
        elif kind not in _PIXELS and kind != _SCAN:
            found.drop(f"the segment {kind:#x}")
    survey_resources(b"".join(resources), found)
    _name_broken_profile(profile, found)
    behind = memoryview(data)[at + 2 :] if data[at : at + 2] == b"\xff\xd9" else b""
    found.companions_lost = several  # Pillow counts further pictures as frames
    if behind and not several:
        found.drop_bytes_behind(behind)
    elif _VIDEO.search(behind):
        found.drop("the video behind the picture")
    return found


def survey_segments(segments: Iterable[tuple[str, bytes]], info: Mapping[Any, Any]) -> Beside:
    """List what Pillow keeps of the segments of a loaded JPEG, but not in `info`.

    Args:
        segments: Names, such as "APP1" or "COM", and contents.
        info: Pillow's, which has the last comment.
    """
    found = Beside()
    comments: list[bytes] = []
    for name, content in segments:
        if name == "COM":
            comments.append(content)
        elif name[3:].isdigit() and not content.startswith(_PHOTOSHOP):
            _application(int(name[3:]), content, found)
    if comments and comments.pop() == info.get("comment"):
        found.properties += [("exif:UserComment", _text(content)) for content in comments]
    return found


def _name_broken_profile(segments: list[bytes], found: Beside) -> None:
    """Name an ICC profile of which a segment is missing; each states its number and their count."""
    numbers = sorted(tuple(segment[:2]) for segment in segments)
    if numbers != [(i + 1, len(segments)) for i in range(len(segments))]:
        found.drop("the ICC profile, of which a part is missing")


def _application(number: int, content: bytes, found: Beside) -> None:
    if content.startswith(_JFIF) and len(content) >= 14:
        unit, x, y, wide, high = struct.unpack_from(">BHHBB", content, 7)
        scale = 2.54 if unit == 2 else 1.0
        found.density = Density(x * scale, y * scale, inch=unit in (1, 2))
        if wide and high:
            found.drop("the thumbnail of JFIF")
    elif content.startswith(_JFXX):
        found.drop("the thumbnail of JFIF")
    elif content.startswith(_EXTENDED_XMP):
        found.drop("extended XMP")
    elif not content.startswith((_EXIF, _XMP, _ICC, _ADOBE, _PHOTOSHOP, _MULTIPLE)):
        name = re.match(rb"[ -~]{2,40}", content)
        label = f" ({name[0].decode('ascii')})" if name else ""
        found.drop(f"the segment APP{number}{label}")


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return content.decode("latin-1").rstrip("\0")
