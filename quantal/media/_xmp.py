"""Texts and properties added to an XMP packet, and read back from there.

Names of properties are those of ISO 16684-1 and, for IPTC, of the IPTC Photo Metadata Standard. A
text without a property of its own is kept with its keyword under a namespace of Quantal.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

__all__ = ["texts_of", "with_texts", "without_companions"]

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
_END, _EMPTY_ROOT = b"</rdf:RDF>", re.compile(rb"<rdf:RDF([^<>]*)/>")
_ABOUT = re.compile(rb"""rdf:about\s*=\s*(?:"[^"<]*"|'[^'<]*')""")
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
    packet = _EMPTY_ROOT.sub(rb"<rdf:RDF\1></rdf:RDF>", xmp or _EMPTY)
    if packet.count(_END) != 1:
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
    about = _ABOUT.search(packet)  # the same in all descriptions, else some readers refuse them
    subject = about[0].decode("utf-8", "replace") if about else 'rdf:about=""'
    block = f"<rdf:Description {subject}{spaces}>{''.join(parts)}</rdf:Description>"
    return packet.replace(_END, block.encode() + _END)


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
