"""What a WebP file holds beside its pixels: the chunks of its RIFF container (RFC 9649)."""

from __future__ import annotations

import struct

from quantal.media._beside import Beside

__all__ = ["survey"]

#: Pixels, and what Pillow reads: ICC profile, EXIF and XMP. It counts frames.
_READ = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "})


def survey(data: bytes) -> Beside:
    """List what a WebP file holds."""
    found = Beside()
    end = min(8 + int.from_bytes(data[4:8], "little"), len(data))
    at = 12
    while at + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8 + size + size % 2
        if name not in _READ:
            found.drop(f"the chunk {name.decode('ascii', 'replace').strip()!r}")
    if len(data) > end:
        found.drop_bytes_behind(memoryview(data)[end:])
    return found
