"""The image part: what the samples are, and how they are coded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.contract import Samples
from quantal.codecs.lossless.coding import Reading, Writing
from quantal.codecs.lossless.colour import KINDS, planes_of, samples_of
from quantal.codecs.lossless.layers import Layers, candidates, read_layers
from quantal.codecs.lossless.levels import (
    Levels,
    expanded,
    pack_levels,
    packed,
    read_levels,
    used_levels,
)
from quantal.codecs.lossless.model import LosslessModel
from quantal.codecs.lossless.stored import read_stored, stored
from quantal.codecs.lossless.walk import Known, Layout, walk
from quantal.codecs.synthetic import read_tiles
from quantal.entropy.lengths import put_length, take_length
from quantal.entropy.walk import too_small
from quantal.errors import CorruptError, TruncatedError

__all__ = ["Picture", "colour_tiles", "read_stream", "write_stream"]

Floats = npt.NDArray[np.float32]

#: Bits of the first byte: channels less one in the lowest two, and these.
_DEEP, _LEVELS, _STORED, _COLOUR_LAYER, _ALPHA_LAYER = 4, 8, 16, 32, 64
_KNOWN_BITS = 127
#: Bits of a sample, on average, from which on deflation may do better; and up to which.
_NOISE, _DRAWN = 0.97, 0.06
#: Pictures of fewer samples are deflated too, to compare.
_SMALL = 1 << 16


@dataclass(frozen=True, eq=False)
class Picture:
    """Samples.

    Attributes:
        samples: uint8 or uint16 [H, W, C], C in 1..4.
        depth: bits that they had in their file, 8 for uint8, else 9..16.
    """

    samples: Samples
    depth: int

    @property
    def deep(self) -> bool:
        """Whether samples have more than 8 bits."""
        return self.samples.dtype == np.uint16


def write_stream(model: LosslessModel, picture: Picture) -> bytes:
    """Return the image part of a picture."""
    samples = picture.samples
    found = min((_modelled(model, picture, each) for each in candidates(samples)), key=len)
    share = 8 * len(found) / (samples.size * 8 * samples.itemsize)
    if not _DRAWN < share < _NOISE or samples.size < _SMALL:
        flags = samples.shape[2] - 1 | (_DEEP if picture.deep else 0) | _STORED
        depths = bytes([(picture.depth - 1) << 4]) if picture.deep else b""
        found = min(found, bytes([flags]) + depths + stored(samples), key=len)
    return found


def _modelled(model: LosslessModel, picture: Picture, layers: Layers) -> bytes:
    """Return the image part of a picture that layers and networks code."""
    samples = picture.samples
    height, width, channels = samples.shape
    flags = channels - 1 | (_DEEP if picture.deep else 0)
    # Numbers of levels would differ inside and outside of layers.
    levels = None if layers.any else used_levels(samples)
    head, numbers = b"", samples
    if levels is not None:
        flags |= _LEVELS
        numbers = packed(samples, levels)
        head += _counted(pack_levels(levels, picture.deep))
    depth = max(int(numbers.max()).bit_length(), 8)
    if picture.deep:
        # Both are 1..16.
        head += bytes([(picture.depth - 1) << 4 | depth - 1])
    for flag, data in ((_COLOUR_LAYER, layers.colour), (_ALPHA_LAYER, layers.alpha)):
        if data is not None:
            flags |= flag
            head += _counted(data)
    layout = Layout(height, width, KINDS[channels], depth)
    planes = planes_of(numbers, depth)
    writing = Writing(planes, layout)
    there = np.zeros_like(planes)
    for own, plane, where in zip(there, planes, layers.known, strict=True):
        if where is not None:
            np.copyto(own, plane, where=where)
    walk(model, layout, there, layers.known, writing)
    return bytes([flags]) + head + writing.finish()


def _counted(data: bytes) -> bytes:
    return put_length(len(data)) + data


def colour_tiles(payload: bytes, width: int, height: int) -> npt.NDArray[np.bool_] | None:
    """Return which tiles the layer of colours has, bool [h, w]; None if there is no such layer.

    Raises:
        BitstreamError: If the head of the image part, or the map of tiles, is damaged.
    """
    layer = _Head.read(payload, 0).colour
    return None if layer is None else read_tiles(layer, width, height)


def read_stream(
    model: LosslessModel,
    payload: bytes,
    missing: int,
    height: int,
    width: int,
    parts: int | None,
) -> Picture:
    """Return the picture of an image part.

    Args:
        model: the one that it was written with.
        payload: the image part, or its first bytes.
        missing: bytes that are missing behind these.
        height: of the picture.
        width: of the picture.
        parts: read only so many levels, the coarsest first; None: all.

    Raises:
        BitstreamError: If the bytes are damaged, or too few.
    """
    head = _Head.read(payload, missing)
    if head.flags & _STORED:
        if missing:
            raise TruncatedError("stored samples have no parts, and the image part was cut")
        deep = bool(head.flags & _DEEP)
        samples = read_stored(payload[head.end :], height, width, head.channels, deep)
        return Picture(samples, head.source_depth)
    layout = Layout(height, width, KINDS[head.channels], head.depth)
    total = layout.levels + 1
    least = model.least_bits * layout.samples / 8
    # Layers are cheaper than networks, and are judged by themselves.
    if parts is None and not head.has_layers and len(payload) + 8 < least:
        raise too_small(len(payload), int(least), f"a picture of {width}x{height} pixels")
    last = 0 if parts is None else max(total - parts, 0)
    kind = np.int16 if head.depth < 15 else np.int32
    layers = head.layers(height, width)
    planes = np.zeros((head.channels, height, width), kind)
    if layers.samples is not None:
        planes[:] = planes_of(layers.samples, head.depth)
    reading = Reading(payload[head.end :], missing, layout)
    try:
        walk(model, layout, planes, layers.known, reading, last)
    except TruncatedError as error:
        if parts is None:
            raise
        raise TruncatedError(
            f"{parts} parts of the picture were asked for, and {reading.levels} are there: the "
            "image part was cut",
        ) from error
    if parts is None:
        reading.finish()
    if last:
        _fill(planes, last, layers.known)
    numbers = samples_of(planes, head.depth, bool(head.flags & _DEEP))
    samples = numbers if head.levels is None else expanded(numbers, head.levels)
    return Picture(samples, head.source_depth)


@dataclass(frozen=True, eq=False)
class _Head:
    """The beginning of an image part.

    Attributes:
        flags: the first byte.
        source_depth: bits that samples had in their file.
        depth: bits of the samples that are coded.
        levels: what these stand for; None: for themselves.
        colour: the synthetic layer of colours, if there is one.
        alpha: that of alpha.
        end: where it ends.
    """

    flags: int
    source_depth: int
    depth: int
    levels: Levels | None
    colour: bytes | None
    alpha: bytes | None
    end: int

    @property
    def has_layers(self) -> bool:
        """Whether there is a synthetic layer."""
        return self.colour is not None or self.alpha is not None

    def layers(self, height: int, width: int) -> Layers:
        """Read the layers; raises BitstreamError if they are damaged."""
        return read_layers(self.colour, self.alpha, height, width, self.channels)

    @property
    def channels(self) -> int:
        return (self.flags & 3) + 1

    @classmethod
    def read(cls, payload: bytes, missing: int) -> _Head:
        if not payload:
            raise TruncatedError("the image part is empty: it was cut")
        flags, end = payload[0], 1
        if flags & ~_KNOWN_BITS:
            raise CorruptError(f"the image part begins with {flags}, which means nothing")
        if flags & _STORED and flags & _LEVELS:
            raise CorruptError("stored samples have no levels: the image part is damaged")
        channels, layered = (flags & 3) + 1, flags & (_COLOUR_LAYER | _ALPHA_LAYER)
        if layered and flags & (_STORED | _LEVELS | _DEEP):
            raise CorruptError("a synthetic layer is in a picture that can't have one: damage")
        if flags & _ALPHA_LAYER and channels not in (2, 4):
            raise CorruptError("there is a layer of alpha, and no alpha: the image part is damaged")
        levels, deep = None, bool(flags & _DEEP)
        if flags & _LEVELS:
            length, end = take_length(payload, end, "the levels")
            levels = read_levels(payload[end : end + length], deep)
            end += length
        source, depth = 8, 8
        if deep:
            if end >= len(payload):
                raise TruncatedError("the image part ends before the depth of its samples")
            source, depth = (payload[end] >> 4) + 1, (payload[end] & 15) + 1
            end += 1
            if source < 9 or (depth < 8 and not flags & _STORED):
                raise CorruptError(f"samples of {source} bits in {depth} found, expected 9..16")
        parts: list[bytes | None] = []
        for flag in (_COLOUR_LAYER, _ALPHA_LAYER):
            parts.append(None)
            if flags & flag:
                length, end = take_length(payload, end, "a synthetic layer")
                if end + length > len(payload):
                    raise TruncatedError("the image part ends inside a synthetic layer: it was cut")
                parts[-1] = payload[end : end + length]
                end += length
        return cls(flags, source, depth, levels, parts[0], parts[1], end)


def _fill(planes: npt.NDArray[Any], level: int, known: Sequence[Known]) -> None:
    """Fill in what a coarser picture lacks, by straight lines between its samples.

    Args:
        planes: [C, H, W], whose samples at multiples of 2^level are there.
        level: above 0.
        known: for each channel where all samples are there.
    """
    stride = 1 << level
    height, width = planes.shape[1:]
    for plane, there in zip(planes, known, strict=True):
        coarse = plane[::stride, ::stride].astype(np.float32)
        rows = np.minimum(np.arange(height) / stride, len(coarse) - 1)
        columns = np.minimum(np.arange(width) / stride, coarse.shape[1] - 1)
        filled = np.rint(_between(_between(coarse, rows).T, columns).T)
        np.copyto(plane, filled, casting="unsafe", where=True if there is None else ~there)


def _between(values: Floats, places: npt.NDArray[np.float64]) -> Floats:
    """Return rows between rows."""
    low = places.astype(np.intp)
    high = np.minimum(low + 1, len(values) - 1)
    share = (places - low).astype(np.float32)[:, None]
    found: Floats = values[low] * (1 - share) + values[high] * share
    return found
