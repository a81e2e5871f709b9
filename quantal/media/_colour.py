"""Colour spaces that files state by chromaticities, gamma or code points, as ICC profiles.

Code points are those of ITU-T H.273, which PNG's cICP chunk and the nclx boxes of AVIF and HEIC
carry. Profiles have three curves and a matrix (ICC.1:2022), and the tag `cicp` where there are code
points, by which readers that know it show high dynamic range.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SRGB_PRIMARIES", "Colour", "from_code_points", "profile"]

Matrix = npt.NDArray[np.float64]
#: x and y of red, green, blue and white.
Primaries = tuple[float, float, float, float, float, float, float, float]

_D65 = (0.3127, 0.3290)
SRGB_PRIMARIES: Primaries = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65)

#: H.273, table 2.
_PRIMARIES: dict[int, Primaries] = {
    1: SRGB_PRIMARIES,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}
_SRGB, _PQ, _HLG = 13, 16, 18
#: Parameters g, a, b, c, d of ICC's parametric curves, type 3: (a x + b)^g from d on, else c x.
_PARAMETRIC = {
    _SRGB: (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    **dict.fromkeys((1, 6, 14, 15), (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0912),
}
#: Exponents of transfer characteristics that are powers.
_POWERS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
#: Luminance of diffuse white in PQ pictures, cd/m2 (ITU-R BT.2408).
_DIFFUSE_WHITE = 203.0
#: Entries of a sampled curve: one for each value of 8-bit samples.
_SAMPLES = 256

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class Colour:
    """A colour space of RGB or grey samples.

    Attributes:
        primaries: x and y of red, green, blue and white, CIE 1931.
        transfer: From sample to light: an exponent, or a transfer characteristic of H.273.
        code_points: Primaries and transfer characteristic of H.273, if the file states them.
    """

    primaries: Primaries = SRGB_PRIMARIES
    transfer: float | int = _SRGB
    code_points: tuple[int, int] | None = None

    @property
    def is_srgb(self) -> bool:
        """Whether it is sRGB, or so near that viewers take it as sRGB."""
        near = np.allclose(self.primaries, SRGB_PRIMARIES, atol=0.002)
        power = isinstance(self.transfer, float)
        return near and (abs(self.transfer - 2.2) < 0.02 if power else self.transfer == _SRGB)

    @property
    def is_possible(self) -> bool:
        """Whether the chromaticities span a triangle, and the exponent is one."""
        x = np.array(self.primaries, float).reshape(4, 2)
        if not (np.isfinite(x).all() and (x[:, 1] > 1e-4).all() and (np.abs(x) < 8).all()):
            return False
        if isinstance(self.transfer, float) and not 0.1 <= self.transfer <= 10:
            return False
        with np.errstate(all="ignore"):
            matrix = _to_d50(self.primaries)
        return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-4)

    @property
    def is_bright(self) -> bool:
        """Whether samples go beyond diffuse white: PQ and HLG."""
        return self.transfer in (_PQ, _HLG) and not isinstance(self.transfer, float)


def from_code_points(primaries: int, transfer: int) -> Colour | None:
    """Return the colour space of code points of H.273; None if there is none with these.

    2 means unspecified, which viewers take as sRGB.
    """
    found = SRGB_PRIMARIES if primaries == 2 else _PRIMARIES.get(primaries)
    known = transfer in (_PQ, _HLG, *_PARAMETRIC, *_POWERS)
    curve = _SRGB if transfer == 2 else _POWERS.get(transfer, transfer) if known else None
    if found is None or curve is None:
        return None
    points = None if 2 in (primaries, transfer) else (primaries, transfer)
    return Colour(found, curve, points)


def profile(colour: Colour, grey: bool) -> bytes:
    """Return the ICC profile of a colour space, for RGB or grey samples."""
    curve = _curve(colour.transfer)
    tags: dict[bytes, bytes] = {
        b"desc": _text(_name(colour)),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(_adaptation(colour.primaries).ravel()),
    }
    if colour.code_points:
        # Matrix 0 and full range: the samples of a profile are RGB.
        tags[b"cicp"] = b"cicp\0\0\0\0" + bytes((*colour.code_points, 0, 1))
    if grey:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip(b"rgb", _to_d50(colour.primaries).T, strict=True):
            tags[bytes([name]) + b"XYZ"] = _xyz(column)
            tags[bytes([name]) + b"TRC"] = curve
    return _assembled(tags, b"GRAY" if grey else b"RGB ")


def _name(colour: Colour) -> str:
    known = next((code for code, p in _PRIMARIES.items() if p == colour.primaries), None)
    names = {1: "BT.709", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
    space = names.get(known or 0, "measured primaries")
    if isinstance(colour.transfer, float):
        return f"{space}, gamma {colour.transfer:.4g}"
    curves = {_SRGB: "sRGB curve", _PQ: "PQ", _HLG: "HLG"}
    return f"{space}, {curves.get(int(colour.transfer), 'BT.709 curve')}"


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Return a profile of tags; equal ones share their bytes."""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    body = b""
    for content in tags.values():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
    table = b"".join(
        name + struct.pack(">II", places[content], len(content)) for name, content in tags.items()
    )
    size = start + len(body)
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x04400000, b"mntr", space, b"XYZ ")
    head += date + b"acsp" + bytes(28) + _fixed(_D50) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def _fixed(values: npt.ArrayLike) -> bytes:
    """Return values as s15Fixed16Number."""
    return np.rint(np.asarray(values, float) * 65536).astype(">i4").tobytes()


def _xyz(values: npt.ArrayLike) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(coded), 28) + coded


def _curve(transfer: float | int) -> bytes:
    """Return the curve from samples to light, both 0..1."""
    if isinstance(transfer, float):
        return b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + _fixed([transfer])
    if transfer in _PARAMETRIC:
        return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(_PARAMETRIC[transfer])
    x = np.linspace(0, 1, _SAMPLES)
    light = np.minimum(_pq(x) * (10000 / _DIFFUSE_WHITE), 1) if transfer == _PQ else _hlg(x)
    samples = np.rint(light * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", _SAMPLES) + samples


def _pq(x: Matrix) -> Matrix:
    """Return light, 1 for 10000 cd/m2, of samples by the PQ curve (SMPTE ST 2084)."""
    root = x ** (32 / 2523)
    above = np.maximum(root - 107 / 128, 0)
    return (above / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)


def _hlg(x: Matrix) -> Matrix:
    """Return scene light, 1 for the peak, of samples by the HLG curve (ITU-R BT.2100)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(x <= 0.5, x**2 / 3, (np.exp((x - c) / a) + b) / 12)


def _white(primaries: Primaries) -> Matrix:
    x, y = primaries[6:]
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(primaries: Primaries) -> Matrix:
    """Return the matrix from the white of the primaries to D50 (Bradford)."""
    gains = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ _white(primaries))
    return np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD


def _to_d50(primaries: Primaries) -> Matrix:
    """Return the matrix from linear RGB to XYZ with white D50."""
    xy = np.array(primaries[:6]).reshape(3, 2)
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(1)) / xy[:, 1]])
    try:
        scales = np.linalg.solve(columns, _white(primaries))
    except np.linalg.LinAlgError:  # the primaries lie on a line
        return np.full((3, 3), np.nan)
    return _adaptation(primaries) @ (columns * scales)
