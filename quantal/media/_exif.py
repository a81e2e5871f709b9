"""Changes of EXIF data in place: orientation, sizes, density, the thumbnail of a turned picture.

EXIF is a TIFF directory whose offsets count from its start. Everything that stays keeps its place,
since maker notes have offsets that only their camera understands.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from quantal.media._beside import Density

__all__ = ["EXIF_PREFIX", "density_of", "upright", "with_density"]

EXIF_PREFIX = b"Exif\0\0"

_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 0x011A, 0x011B, 0x0128
_FOCAL_X_RESOLUTION, _FOCAL_Y_RESOLUTION = 0xA20E, 0xA20F
_EXIF_DIRECTORY, _GPS_DIRECTORY, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_THUMBNAIL, _THUMBNAIL_BYTES = 0x0201, 0x0202
#: Tags of the width and the height in pixels, by directory.
_SIZES = {0: (0x0100, 0x0101), _EXIF_DIRECTORY: (0xA002, 0xA003)}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_CENTIMETRES = 3


@dataclass
class _Directory:
    """A directory: its place, its entries of 12 bytes by tag, and the place of the next one."""

    start: int
    entries: dict[int, int]
    next: int
    end: int


class _Exif:
    """EXIF that can be changed; struct.error wherever it contradicts itself."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
        self.main = self.directory(self.number("I", 4))

    def number(self, form: str, offset: int) -> int:
        return int(struct.unpack_from(self.order + form, self.data, offset)[0])

    def directory(self, start: int) -> _Directory:
        count = self.number("H", start)
        end = start + 2 + 12 * count
        entries = {self.number("H", at): at for at in range(start + 2, end, 12)}
        return _Directory(start, entries, self.number("I", end), end + 4)

    def sub(self, tag: int, parent: _Directory) -> _Directory | None:
        if tag not in parent.entries:
            return None
        return self.directory(self.number("I", parent.entries[tag] + 8))

    def integer(self, directory: _Directory, tag: int) -> int | None:
        """Return the value of a tag that is a single integer; None if it is none."""
        at = directory.entries.get(tag)
        form = None if at is None else {3: "H", 4: "I"}.get(self.number("H", at + 2))
        return None if at is None or form is None else self.number(form, at + 8)

    def set_integer(self, directory: _Directory, tag: int, value: int) -> None:
        """Replace a single integer where there is one and the new one fits."""
        at = directory.entries.get(tag)
        if at is None:
            return
        form = {3: "H", 4: "I"}.get(self.number("H", at + 2))
        if form is not None and value < 1 << (16 if form == "H" else 32):
            struct.pack_into(self.order + form, self.data, at + 8, value)

    def exchange(self, directory: _Directory, one: int, other: int) -> None:
        """Exchange the values of two tags where both are there."""
        places = [directory.entries[tag] + 2 for tag in (one, other) if tag in directory.entries]
        if len(places) == 2:
            first, second = (self.data[at : at + 10] for at in places)
            self.data[places[0] : places[0] + 10] = second
            self.data[places[1] : places[1] + 10] = first

    def ratio(self, directory: _Directory, tag: int) -> float | None:
        at = directory.entries.get(tag)
        if at is None or self.number("H", at + 2) != 5:
            return None
        place = self.number("I", at + 8)
        numerator, denominator = self.number("I", place), self.number("I", place + 4)
        return numerator / denominator if denominator else None

    def end_of(self, directory: _Directory) -> int:
        """Return where a directory and the values behind its entries end."""
        ends = [directory.end]
        for at in directory.entries.values():
            size = _BYTES.get(self.number("H", at + 2), 1) * self.number("I", at + 4)
            if size > 4:
                ends.append(self.number("I", at + 8) + size)
        return max(ends)


def _opened(exif: bytes) -> _Exif | None:
    """Return EXIF to be changed; None if it is broken, which is then kept as it is."""
    try:
        return _Exif(exif)
    except (struct.error, KeyError):
        return None


def upright(exif: bytes, sizes: Mapping[bool, tuple[int, int]]) -> tuple[int, bytes]:
    """Return the orientation in EXIF, 0 if there is none, and EXIF with orientation 1.

    Sizes in pixels and densities become those of the picture. The thumbnail of a picture that is
    turned goes, since it would be shown unturned.

    Args:
        exif: EXIF from its TIFF header on.
        sizes: Width and height of the upright picture, by whether its axes are exchanged.
    """
    opened = _opened(exif)
    if opened is None:
        return 0, exif
    try:
        found = opened.integer(opened.main, _ORIENTATION) or 0
        orientation = found if 1 <= found <= 8 else 0
        opened.set_integer(opened.main, _ORIENTATION, 1)
        if orientation > 1:
            directories = {
                0: opened.main,
                _EXIF_DIRECTORY: opened.sub(_EXIF_DIRECTORY, opened.main),
            }
            for tag, directory in directories.items():
                for size_tag, value in zip(_SIZES[tag], sizes[orientation >= 5], strict=True):
                    if directory is not None:
                        opened.set_integer(directory, size_tag, value)
            own = directories[_EXIF_DIRECTORY]
            if orientation >= 5:
                opened.exchange(opened.main, _X_RESOLUTION, _Y_RESOLUTION)
            if orientation >= 5 and own is not None:
                opened.exchange(own, _FOCAL_X_RESOLUTION, _FOCAL_Y_RESOLUTION)
            _remove_thumbnail(opened)
        return orientation, bytes(opened.data)
    except struct.error:
        return _patched_orientation(exif)


def _patched_orientation(exif: bytes) -> tuple[int, bytes]:
    """Return orientation and EXIF where only the first directory is sound."""
    opened = _opened(exif)
    found = 0 if opened is None else opened.integer(opened.main, _ORIENTATION) or 0
    if opened is None or not 1 <= found <= 8:
        return 0, exif
    opened.set_integer(opened.main, _ORIENTATION, 1)
    return found, bytes(opened.data)


def _remove_thumbnail(exif: _Exif) -> None:
    """Unlink the directory of the thumbnail; its bytes go if they are the last ones."""
    if not exif.main.next:
        return
    thumbnail = exif.directory(exif.main.next)
    start, end = thumbnail.start, exif.end_of(thumbnail)
    place = exif.integer(thumbnail, _THUMBNAIL)
    if place:
        start = min(start, place)
        end = max(end, place + (exif.integer(thumbnail, _THUMBNAIL_BYTES) or 0))
    struct.pack_into(exif.order + "I", exif.data, exif.main.end - 4, 0)
    others = [exif.main, exif.sub(_GPS_DIRECTORY, exif.main)]
    own = exif.sub(_EXIF_DIRECTORY, exif.main)
    others += [own, None if own is None else exif.sub(_INTEROPERABILITY, own)]
    used = max(exif.end_of(directory) for directory in others if directory is not None)
    if used <= start and end >= len(exif.data) - 16:
        del exif.data[used:]


def density_of(exif: bytes) -> Density | None:
    """Return the density that EXIF states; None if it states none."""
    opened = _opened(exif)
    if opened is None:
        return None
    try:
        x, y = (opened.ratio(opened.main, tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
        unit = opened.integer(opened.main, _UNIT)
    except struct.error:
        return None
    if not x or not y:
        return None
    scale = 2.54 if unit == _CENTIMETRES else 1.0
    return Density(x * scale, y * scale, inch=unit != 1)


def with_density(exif: bytes | None, density: Density) -> bytes | None:
    """Return EXIF that states a density; None if it is too broken to be added to.

    The first directory is written anew behind everything else.
    """
    opened = _opened(exif or b"MM\0*\0\0\0\x08\0\0\0\0\0\0")
    if opened is None:
        return None
    order, data, main = opened.order, opened.data, opened.main
    entries = {tag: bytes(data[at : at + 12]) for tag, at in main.entries.items()}
    if exif is None:
        del data[8:]
    data += bytes(len(data) % 2)
    place = len(data)
    for value in (density.x, density.y):
        data += struct.pack(order + "II", round(value * 10000), 10000)
    for index, tag in enumerate((_X_RESOLUTION, _Y_RESOLUTION)):
        entries[tag] = struct.pack(order + "HHII", tag, 5, 1, place + 8 * index)
    unit = 2 if density.inch else 1
    entries[_UNIT] = struct.pack(order + "HHIHH", _UNIT, 3, 1, unit, 0)
    struct.pack_into(order + "I", data, 4, len(data))
    data += struct.pack(order + "H", len(entries))
    data += b"".join(entries[tag] for tag in sorted(entries)) + struct.pack(order + "I", main.next)
    return bytes(data)
