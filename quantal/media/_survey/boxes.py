"""What an AVIF or HEIC file holds beside its pixels: its boxes and items (ISO/IEC 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from quantal.media._beside import Beside
from quantal.media._colour import from_code_points

__all__ = ["survey"]

_TOP = frozenset({"ftyp", "meta", "mdat", "moov", "free", "skip", "idat"})
_META = frozenset({"hdlr", "pitm", "iloc", "iinf", "iref", "iprp", "idat", "dinf", "free", "grpl"})
#: Properties that decoding takes, and those without a meaning for one still picture.
_PROPERTIES = frozenset(
    {"ispe", "pixi", "av1C", "hvcC", "colr", "irot", "imir", "auxC", "pasp", "a1op", "a1lx"}
    | {"lsel", "cdsc", "free", "lhvC", "oinf", "tols"}
)
#: Bytes of a property that says what an auxiliary picture is; the rest does not matter.
_LABEL = 128
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")


@dataclass
class _Items:
    """Items of a file, their properties and their references."""

    primary: int = 0
    kinds: dict[int, str] = field(default_factory=dict)
    references: list[tuple[str, int, list[int]]] = field(default_factory=list)
    properties: list[tuple[str, bytes]] = field(default_factory=list)
    owned: dict[int, dict[int, None]] = field(default_factory=dict)

    def auxiliary(self, item: int) -> bytes | None:
        """Return the beginning of what an auxiliary picture says it is; None for other items."""
        kinds = (value[4:_LABEL] for name, value in self.of(item) if name == "auxC")
        return next(kinds, None)

    def of(self, item: int) -> Iterator[tuple[str, bytes]]:
        """Yield the properties of an item."""
        for index in self.owned.get(item, ()):
            if 0 < index <= len(self.properties):
                yield self.properties[index - 1]


def survey(data: bytes) -> Beside:
    """List what an AVIF or HEIC file holds; the decoder reads EXIF, XMP and the ICC profile."""
    found = Beside()
    items = _Items()
    try:
        for name, content in _boxes(memoryview(data)):
            if name == "meta":
                _meta(content[4:], items, found)
            elif name not in _TOP:
                found.companions_lost |= name == "mpvd"
                what = "the video" if name == "mpvd" else f"the box {name!r}"
                found.drop(f"{what} of {len(content):,} bytes")
    except (struct.error, IndexError):  # the decoder complains if it matters
        found.drop("something behind a broken box")
    _describe(items, found)
    return found


def _boxes(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = len(data) if size == 0 else at + size
        if end < start:
            raise IndexError("a box is shorter than its head")
        yield name.decode("latin-1"), data[start : min(end, len(data))]
        at = end


def _meta(content: memoryview, items: _Items, found: Beside) -> None:
    for name, inner in _boxes(content):
        if name == "pitm":
            items.primary = int.from_bytes(inner[4 : 6 if inner[0] == 0 else 8], "big")
        elif name == "iinf":
            for kind, entry in _boxes(inner[6 if inner[0] == 0 else 8 :]):
                if kind == "infe" and entry[0] >= 2:
                    wide = 2 if entry[0] == 2 else 4
                    number = int.from_bytes(entry[4 : 4 + wide], "big")
                    label = bytes(entry[6 + wide : 10 + wide]).decode("latin-1")
                    if label == "mime":
                        mime = bytes(entry[10 + wide :]).split(b"\0")[1:2]
                        label = (mime or [b""])[0].decode("latin-1")
                    items.kinds[number] = label
        elif name == "iref":
            _references(inner, items)
        elif name == "iprp":
            _properties(inner, items)
        elif name not in _META:
            found.drop(f"the box {name!r}")


def _references(inner: memoryview, items: _Items) -> None:
    wide = 2 if inner[0] == 0 else 4
    for kind, entry in _boxes(inner[4:]):
        source = int.from_bytes(entry[:wide], "big")
        count = int.from_bytes(entry[wide : wide + 2], "big")
        targets = [
            int.from_bytes(entry[at : at + wide], "big")
            for at in range(wide + 2, min(wide + 2 + count * wide, len(entry)), wide)
        ]
        items.references.append((kind, source, targets))


def _properties(inner: memoryview, items: _Items) -> None:
    for name, content in _boxes(inner):
        if name == "ipco":
            items.properties += [(kind, bytes(value)) for kind, value in _boxes(content)]
        elif name == "ipma":
            wide = 2 if content[0] == 0 else 4
            large = content[3] & 1
            (count,) = struct.unpack_from(">I", content, 4)
            at = 8
            for _ in range(count):
                item = int.from_bytes(content[at : at + wide], "big")
                number = content[at + wide]
                at += wide + 1
                step = 2 if large else 1
                owned = items.owned.setdefault(item, {})
                for _ in range(number):
                    index = int.from_bytes(content[at : at + step], "big")
                    owned[index & (0x7FFF if large else 0x7F)] = None
                    at += step


def _describe(items: _Items, found: Beside) -> None:
    """Name what decoding the primary item leaves out, and take its colour space."""
    auxiliary = {item: items.auxiliary(item) for item in items.owned}
    alpha = {item for item, what in auxiliary.items() if (what or b"").startswith(_ALPHA)}
    explained = {items.primary}
    for _ in range(4):  # tiles of grids, alpha of the picture and its tiles
        for kind, source, targets in items.references:
            if kind == "dimg" and source in explained:
                explained.update(targets)
            elif kind == "auxl" and explained & set(targets) and source in alpha:
                explained.add(source)
    thumbnails = {source for kind, source, _ in items.references if kind == "thmb"}
    for number, kind in items.kinds.items():
        if number in explained or kind in ("Exif", "application/rdf+xml"):
            continue
        what = auxiliary.get(number)
        if number in thumbnails:
            found.drop("a thumbnail")
        elif what is not None:
            label = what.split(b"\0")[0].decode("latin-1")
            found.drop(f"the auxiliary picture {label[-60:]}")
        elif kind == "tmap":
            found.companions_lost = True
            found.drop("a gain map (high dynamic range)")
        else:
            found.drop(f"a further item of type {kind!r:.40}")
    for name, value in items.of(items.primary):
        _property(name, value, found)


def _property(name: str, value: bytes, found: Beside) -> None:
    if name == "colr" and value[:4] == b"nclx" and len(value) >= 8:
        primaries, transfer = struct.unpack_from(">HH", value, 4)
        found.colour = from_code_points(primaries, transfer)
        if found.colour is None:
            found.drop(f"the colour space nclx {primaries}/{transfer}")
    elif name == "pixi" and len(value) > 5:
        found.bits = max(value[5:])
    elif name == "av1C" and len(value) > 2:
        found.bits = max(found.bits, (12 if value[2] & 0x20 else 10) if value[2] & 0x40 else 8)
    elif name == "pasp" and len(value) >= 8 and value[:4] != value[4:8]:
        found.drop("the shape of its pixels, which are not square")
    elif name == "clap":
        found.drop("its crop, a clean aperture")
    elif name not in _PROPERTIES:
        found.drop(f"the property {name!r}")
