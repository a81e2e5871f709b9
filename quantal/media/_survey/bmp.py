"""What a BMP file holds beside its pixels: the colour space and the profile of its header."""

from __future__ import annotations

import struct

from quantal.media._beside import Beside, Density
from quantal.media._colour import Colour

__all__ = ["survey"]

_V4, _V5 = 108, 124
_CALIBRATED, _EMBEDDED, _LINKED = b"\0\0\0\0", b"DEBM", b"KNIL"


def survey(data: bytes) -> Beside:
    """List what a BMP file holds."""
    found = Beside()
    if len(data) < 18:
        return found
    (size,) = struct.unpack_from("<I", data, 14)
    if size >= 40 and len(data) >= 54:
        x, y = struct.unpack_from("<ii", data, 38)
        if x > 0 and y > 0:
            found.density = Density(round(x * 0.0254, 1), round(y * 0.0254, 1))
    if size < _V4 or len(data) < 14 + size:
        return found
    space = data[70:74]
    if space == _CALIBRATED:
        found.colour = _calibrated(data)
    elif size >= _V5 and space == _EMBEDDED:
        start, length = struct.unpack_from("<II", data, 14 + 112)
        found.icc = data[14 + start : 14 + start + length]
    elif size >= _V5 and space == _LINKED:
        found.drop("an ICC profile in another file")
    return found


def _calibrated(data: bytes) -> Colour | None:
    """Return the colour space of end points and gammas; None if they state none."""
    points = [value / (1 << 30) for value in struct.unpack_from("<9I", data, 74)]
    gammas = [value / (1 << 16) for value in struct.unpack_from("<3I", data, 110)]
    xyz = [points[i : i + 3] for i in (0, 3, 6)]
    white = [sum(axis) for axis in zip(*xyz, strict=True)]
    sums = [sum(point) for point in (*xyz, white)]
    if not all(sums) or len(set(gammas)) > 1 or not gammas[0]:
        return None
    primaries = [v for p, s in zip((*xyz, white), sums, strict=True) for v in (p[0] / s, p[1] / s)]
    return Colour(tuple(primaries), gammas[0])  # type: ignore[arg-type]
