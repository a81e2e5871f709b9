"""TIFF files of any layout, uncompressed and in one strip a plane, as no library writes them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

__all__ = ["tiff_of"]

_FORMS = {3: "H", 4: "I"}


def tiff_of(
    samples: np.ndarray[Any, Any],
    bits: int,
    photometric: int,
    *,
    planar: bool = False,
    order: str = "<",
    format: int = 1,
    extras: tuple[int, ...] = (),
    reverse: bool = False,
    colours: np.ndarray[Any, Any] | None = None,
    **tags: tuple[int, ...],
) -> bytes:
    """Return a TIFF of unsigned or signed samples [H, W, C].

    Args:
        samples: The samples.
        bits: Bits per sample, 1 to 64.
        photometric: Tag 262.
        planar: Whether each channel has a plane of its own.
        order: "<" or ">".
        format: Tag 339.
        extras: Tag 338.
        reverse: Whether bits are stored from the least significant on (FillOrder 2).
        colours: Colour map [3, 2^bits] of 16 bits.
        tags: Further tags of type SHORT, by "tN".
    """
    height, width, channels = samples.shape
    planes = [samples[:, :, i : i + 1] for i in range(channels)] if planar else [samples]
    strips = [_packed(plane, bits, order, reverse) for plane in planes]
    entries: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (bits,) * channels),
        259: (3, (1,)),
        262: (3, (photometric,)),
        266: (3, (2 if reverse else 1,)),
        273: (4, (0,) * len(strips)),
        277: (3, (channels,)),
        278: (4, (height,)),
        279: (4, tuple(map(len, strips))),
        284: (3, (2 if planar else 1,)),
        339: (3, (format,) * channels),
    }
    if extras:
        entries[338] = 3, extras
    if colours is not None:
        entries[320] = 3, tuple(int(v) for v in colours.ravel())
    entries |= {int(name[1:]): (3, values) for name, values in tags.items()}

    size = 8 + 2 + 12 * len(entries) + 4
    place, offsets = size + sum(_long(entry) for entry in entries.values()), []
    for strip in strips:
        offsets.append(place)
        place += len(strip)
    entries[273] = 4, tuple(offsets)

    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    directory, values = struct.pack(order + "H", len(entries)), b""
    for tag, (kind, content) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(content)}{_FORMS[kind]}", *content)
        if len(packed) > 4:
            packed, values = struct.pack(order + "I", size + len(values)), values + packed
        directory += struct.pack(order + "HHI", tag, kind, len(content)) + packed.ljust(4, b"\0")
    return head + directory + bytes(4) + values + b"".join(strips)


def _long(entry: tuple[int, tuple[int, ...]]) -> int:
    size = struct.calcsize(_FORMS[entry[0]]) * len(entry[1])
    return size if size > 4 else 0


def _packed(plane: np.ndarray[Any, Any], bits: int, order: str, reverse: bool) -> bytes:
    height = plane.shape[0]
    whole = np.ascontiguousarray(plane.reshape(height, -1).astype(np.int64).view(np.uint64))
    if bits in (16, 32, 64):
        data = whole.astype(f"{order}u{bits // 8}").tobytes()
        octets = np.frombuffer(data, np.uint8)
    elif bits == 24:
        parts = whole.astype(order + "u4").view(np.uint8).reshape(height, -1, 4)
        octets = (parts[..., :3] if order == "<" else parts[..., 1:]).ravel()
    else:
        shifts = np.arange(bits - 1, -1, -1, dtype=np.uint64)
        single = ((whole[..., None] >> shifts) & np.uint64(1)).astype(np.uint8)
        octets = np.packbits(single.reshape(height, -1), axis=1).ravel()
    if reverse:
        octets = np.packbits(np.unpackbits(octets, bitorder="little"))
    return octets.tobytes()
