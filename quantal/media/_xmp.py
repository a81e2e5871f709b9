"""Texts and properties added to an XMP packet, and read back from there.

Names of properties are those of ISO 16684-1 and, for IPTC, of the IPTC Photo Metadata Standard. A
text without a property of its own is kept with its keyword under a namespace of Quantal.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

__all__ = ["in_utf_8", "texts_of", "with_texts", "without_companions"]

_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "quantal": "urn:quantal:text:1.0/",
}
_ALTERNATIVES = frozenset({"dc:title", "dc:description", "dc:rights", "exif:UserComment"})
_LISTS = {"dc:creator": "Seq", "dc:subject": "Bag", "photoshop:SupplementalCategories": "Bag"}

_EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#: The prefix that a packet has for RDF, nearly always "rdf".
_PREFIX = re.compile(rb"""xmlns:([\w.-]{1,99})\s*=\s*["']""" + re.escape(_RDF.encode()))
#: How packets of wide characters begin, with and without byte order mark.
_WIDE = (
    ("utf-32-le", b"\xff\xfe\0\0", b"<\0\0\0"),
    ("utf-32-be", b"\0\0\xfe\xff", b"\0\0\0<"),
    ("utf-16-le", b"\xff\xfe", b"<\0"),
    ("utf-16-be", b"\xfe\xff", b"\0<"),
)
#: Characters that XML 1.0 forbids.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ITEM = '<rdf:li rdf:parseType="Resource"><quantal:keyword>{}</quantal:keyword>{}</rdf:li>'
_VALUE = "<rdf:value>{}</rdf:value>"
_TEXT = re.compile(_ITEM.format("([^<]*)", _VALUE.format("([^<]*)")))
_MOTION = re.compile(rb"""(Camera:(?:MotionPhoto|MicroVideo)(?:\s*=\s*["']|>))1""")
_GAIN_MAP = re.compile(rb"""\shdrgm:Version\s*=\s*(?:"[^"<]*"|'[^'<]*')""")
_DIRECTORY, _DIRECTORY_END = b"<Container:Directory", b"</Container:Directory>"


def with_texts(
    xmp: bytes | None, properties: Sequence[tuple[str, str]], texts: Iterable[tuple[str, str]]
) -> bytes | None:
    """Return an XMP packet with further properties and texts.

    What the packet says already stays; another value of the same property becomes a text.

    Args:
        xmp: The packet; None for a new one.
        properties: Names, such as "dc:title", with values; repeated for lists.
        texts: Keywords with texts.

    Returns:
        The packet; None if the given one has no place for additions.
    """
    packet = xmp or _EMPTY
    found = _PREFIX.search(packet)
    rdf = found[1] if found else b"rdf"
    end = b"</" + rdf + b":RDF>"
    empty = rb"<(" + re.escape(rdf) + rb":RDF)([^<>]*)/>"
    packet = re.sub(empty, rb"<\1\2></\1>", packet)
    if packet.count(end) != 1:
        return None
    grouped: dict[str, list[str]] = {}
    others = list(texts)
    stated = {
        name: _stated(name.encode(), packet) for name in dict.fromkeys(n for n, _ in properties)
    }
    for name, value in properties:
        there = stated[name]
        if there is None:
            grouped.setdefault(name, []).append(value)
        elif _escaped(value).strip().encode() not in there:
            others.append((name, value))
    parts = [_property(name, values) for name, values in grouped.items()]
    known = set(texts_of(packet))
    items = [
        _ITEM.format(_escaped(keyword), _VALUE.format(_escaped(text)))
        for keyword, text in dict.fromkeys(others)
        if (keyword, text) not in known
    ]
    if items:
        parts.append(f"<quantal:texts><rdf:Bag>{''.join(items)}</rdf:Bag></quantal:texts>")
    if not parts:
        return xmp
    used = dict.fromkeys(part[1 : part.index(":")] for part in parts)
    spaces = "".join(f' xmlns:{prefix}="{_NAMESPACES[prefix]}"' for prefix in used)
    # The subject is the same in all descriptions, else some readers refuse them.
    about = re.search(re.escape(rdf) + rb""":about\s*=\s*("[^"<]*"|'[^'<]*')""", packet)
    subject = about[1].decode("utf-8", "replace") if about else '""'
    head = f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about={subject}{spaces}>'
    return packet.replace(end, f"{head}{''.join(parts)}</rdf:Description>".encode() + end)


def _stated(name: bytes, packet: bytes) -> set[bytes] | None:
    """Return the values of a property in a packet, as written there; None if it has none."""
    if not re.search(rb"[<\s]" + name + rb"[\s=>]", packet):
        return None
    values = re.findall(rb"\s" + name + rb"""\s*=\s*(?:"([^"<]*)|'([^'<]*))""", packet)
    found = {one or other for one, other in values}
    for piece in packet.split(b"</" + name + b">")[:-1]:
        inner = piece[piece.rfind(b"<" + name) :]
        found.update(value.strip() for value in re.findall(rb">([^<>]*)", inner))
    return found


def in_utf_8(xmp: bytes) -> bytes:
    """Return an XMP packet in UTF-8, which may come in UTF-16 or UTF-32 too (ISO 16684-1)."""
    for encoding, mark, beginning in _WIDE:
        if xmp.startswith((mark, beginning)):
            with suppress(UnicodeError):
                return xmp.decode(encoding).removeprefix("\ufeff").encode("utf-8")
    return xmp


def texts_of(xmp: bytes) -> list[tuple[str, str]]:
    """Return the keywords and texts that `with_texts` kept under Quantal's namespace."""
    found = _TEXT.findall(xmp.decode("utf-8", "replace"))
    return [(html.unescape(keyword), html.unescape(text)) for keyword, text in found]


def without_companions(xmp: bytes) -> bytes:
    """Return an XMP packet that announces neither a video nor a gain map in the file."""
    packet = _GAIN_MAP.sub(b"", _MOTION.sub(rb"\g<1>0", xmp))
    start, end = packet.find(_DIRECTORY), packet.rfind(_DIRECTORY_END)
    return packet[:start] + packet[end + len(_DIRECTORY_END) :] if 0 <= start < end else packet


def _property(name: str, values: Sequence[str]) -> str:
    if name in _LISTS:
        kind, items = _LISTS[name], values
        inner = "".join(f"<rdf:li>{_escaped(value)}</rdf:li>" for value in items)
        inner = f"<rdf:{kind}>{inner}</rdf:{kind}>"
    else:
        inner = _escaped("\n".join(dict.fromkeys(values)))
        if name in _ALTERNATIVES:
            inner = f'<rdf:Alt><rdf:li xml:lang="x-default">{inner}</rdf:li></rdf:Alt>'
    return f"<{name}>{inner}</{name}>"


def _escaped(text: str) -> str:
    return html.escape(_FORBIDDEN.sub("\ufffd", text), quote=False)
