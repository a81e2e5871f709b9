"""Tensors whose statistics are in the file: for every channel a centre and a table."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from quantal.container import FeatureHeader
from quantal.entropy.coder import Decoder, Encoder
from quantal.entropy.tables import TOTAL, TableSet
from quantal.errors import CorruptError
from quantal.latents.features._planes import Plane
from quantal.latents.features._stream import (
    axis_of,
    cut,
    put_levels,
    require,
    sizes,
    taken_levels,
)
from quantal.latents.features._tables import FAMILY, LEAST_BITS, family

__all__ = ["CODEC", "read", "write"]

#: Name in headers.
CODEC = "features"
#: The axis of the channels, and 128 if no level is negative; the step.
_RECORD = struct.Struct("<Bd")
_ONE_SIDED = 128
#: The table of the family that centres are coded with: one of wide values.
_CENTRES = np.uint8(170)


def _numbers() -> TableSet:
    """Return the table of the numbers of tables: all alike."""
    share, rest = divmod(TOTAL - 1, len(FAMILY))
    weights = np.full(len(FAMILY) + 1, share, np.int32)
    weights[0] += rest
    weights[-1] = 1
    return TableSet.from_weights([0], [weights])


_NUMBERS = _numbers()


def write(planes: Sequence[Plane], axes: Sequence[int | None]) -> bytes:
    """Return the part of a file.

    Args:
        planes: a plane for each tensor.
        axes: the axis of each tensor's channels, None for none.
    """
    encoder, records = Encoder(), bytearray()
    for plane, axis in zip(planes, axes, strict=True):
        flags = (0 if axis is None else axis + 1) | (_ONE_SIDED if plane.one_sided else 0)
        records += _RECORD.pack(flags, plane.step)
        if plane.levels.size:
            zeros = np.zeros_like(plane.tables)
            encoder.put(plane.centres, zeros + _CENTRES, family(False))
            encoder.put(plane.tables.astype(np.int32), zeros, _NUMBERS)
            index = np.repeat(plane.tables, plane.levels.shape[1])
            put_levels(encoder, plane.levels, index, family(plane.one_sided))
    return bytes(records) + encoder.finish()


def read(part: bytes, header: FeatureHeader) -> tuple[list[Plane], list[int | None]]:
    """Return the planes and the axes of their channels; see write().

    Raises:
        BitstreamError: If the part does not hold exactly such tensors.
    """
    records, stream = cut(part, header, _RECORD)
    require(stream, header.values, LEAST_BITS)
    decoder = Decoder(stream)
    planes, axes = [], []
    for info, (flags, step) in zip(header.tensors, records, strict=True):
        axis, one_sided = axis_of(flags & ~_ONE_SIDED, info), bool(flags & _ONE_SIDED)
        if not (np.isfinite(step) and step > 0):
            raise CorruptError(f"a step of {step} found, expected a positive number")
        count, length = sizes(info, axis)
        zeros = np.zeros(count, np.uint8)
        centres, tables = np.zeros(count, np.int32), zeros
        levels = np.zeros((count, length), np.int32)
        if levels.size:
            centres = decoder.take(zeros + _CENTRES, family(False))
            numbers = decoder.take(zeros, _NUMBERS)
            if numbers.min() < 0 or numbers.max() >= len(FAMILY):
                raise CorruptError(f"a table beyond 0..{len(FAMILY) - 1} found: it is damaged")
            tables = numbers.astype(np.uint8)
            index = np.repeat(tables, length).reshape(levels.shape)
            levels = taken_levels(decoder, index, family(one_sided))
        planes.append(Plane(levels, tables, centres, one_sided, step))
        axes.append(axis)
    decoder.finish()
    return planes, axes
