"""What a GIF file holds beside its pixels: its extensions (GIF89a specification)."""

from __future__ import annotations

from quantal.media._beside import Beside, Density

__all__ = ["survey"]

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT, _PLAIN_TEXT, _APPLICATION = 0xF9, 0xFE, 0x01, 0xFF
#: How often an animation repeats, of which one frame is taken.
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"


def survey(data: bytes) -> Beside:
    """List what a GIF file holds; its structure is left to the decoder to check."""
    found = Beside()
    if len(data) < 13:
        return found
    if data[12] and data[12] != 49:
        found.density = Density(64, data[12] + 15, inch=False)
    at = 13 + _table(data[10])
    while at < len(data) and data[at] in (_EXTENSION, _IMAGE):
        if data[at] == _IMAGE:
            if at + 10 > len(data):
                return found
            at += 11 + _table(data[at + 9])
            _, at = _blocks(data, at)
            continue
        label, start = data[at + 1 : at + 2], at + 2
        content, at = _blocks(data, start)
        if label:
            _extension(label[0], content, data[start:at], found)
    if data[at : at + 1] == bytes([_END]) and len(data) > at + 1:
        found.drop_bytes_behind(memoryview(data)[at + 1 :])
    return found


def _table(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> tuple[list[bytes], int]:
    """Return blocks, each with its length before it, and where what follows begins."""
    blocks = []
    while at < len(data) and data[at]:
        blocks.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return blocks, at + 1


def _extension(label: int, blocks: list[bytes], raw: bytes, found: Beside) -> None:
    if label == _COMMENT:
        text = b"".join(blocks).decode("utf-8", "replace").strip("\0")
        found.properties.append(("exif:UserComment", text))
    elif label == _PLAIN_TEXT:
        found.drop("text drawn over the picture")
    elif label == _APPLICATION and blocks:
        name, content = blocks[0], b"".join(blocks[1:])
        if name == _XMP:  # written without lengths; ends where its packet does
            start, end = raw.find(b"<?xpacket begin"), raw.rfind(b"<?xpacket end=")
            close = raw.find(b">", end)
            if 0 <= start < end < close:
                found.xmp = raw[start : close + 1]
            else:
                found.drop("broken XMP")
        elif name == _ICC:
            found.icc = content
        elif name not in _LOOPS:
            found.drop(f"the application extension {name[:8].decode('ascii', 'replace')!r}")
    elif label not in (_CONTROL, _APPLICATION):
        found.drop(f"the extension {label:#x}")
