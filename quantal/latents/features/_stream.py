"""The part of a file of features: a record for each tensor, then one stream of the coder."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quantal.container import FeatureHeader, TensorInfo
from quantal.entropy.coder import Decoder, Encoder
from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError, TruncatedError
from quantal.latents.features._planes import Plane
from quantal.latents.features._tables import FAMILY, LEAST_BITS, family
from quantal.planes import bands

__all__ = ["read", "read_by_basis", "write", "write_by_basis"]

#: The axis of the channels and one more, 0 for none, and 128 if no level is negative; the step.
_RECORD = struct.Struct("<Bd")
#: The axis likewise; the rate.
_SHORT_RECORD = struct.Struct("<BB")
_ONE_SIDED = 128
#: Levels that are coded in one batch, which stays in the processor's cache. Part of the format.
BATCH = 1 << 16
#: The table of the family that centres are coded with: of wide values.
_CENTRES = 170


def _numbers() -> TableSet:
    """Return the table of the numbers of tables: all alike."""
    share, rest = divmod((1 << 24) - 1, len(FAMILY))
    weights = np.full(len(FAMILY) + 1, share, np.int32)
    weights[0] += rest
    weights[-1] = 1
    return TableSet.from_weights([0], [weights])


_NUMBERS = _numbers()


def write(planes: Sequence[Plane], axes: Sequence[int | None]) -> bytes:
    """Return the part of tensors that bring their statistics along.

    Args:
        planes: a plane for each tensor.
        axes: of the channels, None for none.
    """
    encoder, records = Encoder(), b""
    for plane, axis in zip(planes, axes, strict=True):
        flags = (0 if axis is None else axis + 1) | (_ONE_SIDED if plane.one_sided else 0)
        records += _RECORD.pack(flags, plane.step)
        if plane.levels.size:
            encoder.put(
                plane.centres, np.full(len(plane.centres), _CENTRES, np.uint8), family(False)
            )
            encoder.put(plane.tables.astype(np.int32), np.zeros_like(plane.tables), _NUMBERS)
            _put(encoder, plane.levels, plane.tables, family(plane.one_sided))
    return records + encoder.finish()


def read(part: bytes, header: FeatureHeader) -> tuple[list[Plane], list[int | None]]:
    """Return the planes and the axes of their channels; see write().

    Raises:
        BitstreamError: If the part does not hold exactly such tensors.
    """
    records, decoder = _opened(part, header, _RECORD)
    planes, axes = [], []
    for info, (flags, step) in zip(header.tensors, records, strict=True):
        axis, one_sided = _axis(flags & ~_ONE_SIDED, info), bool(flags & _ONE_SIDED)
        if not (np.isfinite(step) and step > 0):
            raise CorruptError(f"a step of {step} found, expected a positive number")
        count, length = _sizes(info, axis)
        centres = np.zeros(count, np.int32)
        tables, levels = np.zeros(count, np.uint8), np.zeros((count, length), np.int32)
        if levels.size:
            centres = decoder.take(np.full(count, _CENTRES, np.uint8), family(False))
            numbers = decoder.take(np.zeros(count, np.uint8), _NUMBERS)
            if numbers.min() < 0 or numbers.max() >= len(FAMILY):
                raise CorruptError(
                    f"a table beyond 0..{len(FAMILY) - 1} found: the file is damaged"
                )
            tables = numbers.astype(np.uint8)
            levels = _taken(decoder, tables, length, family(one_sided))
        planes.append(Plane(levels, tables, centres, one_sided, step))
        axes.append(axis)
    decoder.finish()
    return planes, axes


def write_by_basis(
    levels: Sequence[npt.NDArray[np.int32]],
    axes: Sequence[int | None],
    rate: int,
    tables: npt.NDArray[np.uint8],
) -> bytes:
    """Return the part of tensors whose statistics a basis has.

    Args:
        levels: of each tensor, int32 [K, n].
        axes: of the channels.
        rate: 0..63, of all.
        tables: of the family, uint8 [K].
    """
    encoder, records = Encoder(), b""
    for own, axis in zip(levels, axes, strict=True):
        records += _SHORT_RECORD.pack(0 if axis is None else axis + 1, rate)
        _put(encoder, own, tables, family(False))
    return records + encoder.finish()


def read_by_basis(
    part: bytes, header: FeatureHeader, channels: int, tables: npt.NDArray[np.uint8]
) -> tuple[list[npt.NDArray[np.int32]], list[int | None], list[int]]:
    """Return the levels [K, n], the axes and the rates of tensors; see write_by_basis().

    Args:
        part: the part.
        header: of the file.
        channels: that tensors must have.
        tables: of each rate, uint8 [R, K].

    Raises:
        BitstreamError: If the part does not hold exactly such tensors.
    """
    kept = tables.shape[1]
    records, decoder = _opened(part, header, _SHORT_RECORD)
    levels, axes, rates = [], [], []
    for info, (flags, number) in zip(header.tensors, records, strict=True):
        axis, rate = _axis(flags, info), int(number)
        count, length = _sizes(info, axis)
        if count != channels or rate >= len(tables):
            raise CorruptError(
                f"{count} channels at rate {rate} found, expected {channels} and a rate below "
                f"{len(tables)}"
            )
        own = np.zeros((kept, length), np.int32)
        if own.size:
            own = _taken(decoder, tables[rate], length, family(False))
        levels.append(own)
        axes.append(axis)
        rates.append(rate)
    decoder.finish()
    return levels, axes, rates


def _opened(
    part: bytes, header: FeatureHeader, record: struct.Struct
) -> tuple[list[tuple[int, float]], Decoder]:
    """Return the records and the decoder of what follows, which has bytes enough for all values."""
    size = record.size * header.count
    if len(part) < size:
        raise TruncatedError(
            f"the records of {header.count} tensors need {size} bytes, the part has {len(part)}"
        )
    # No value is free, so the bytes bound how many there can be; before memory is allocated.
    stream = part[size:]
    if header.values * LEAST_BITS > 8 * (len(stream) + 8):
        raise CorruptError(
            f"{header.values} values need {int(header.values * LEAST_BITS / 8)} bytes or more, "
            f"the stream has {len(stream)}: the header is wrong"
        )
    records = [(int(flags), value) for flags, value in record.iter_unpack(part[:size])]
    return records, Decoder(stream)


def _axis(number: int, info: TensorInfo) -> int | None:
    if number > info.dimensions:
        raise CorruptError(f"channels along axis {number - 1} of {info.dimensions} found")
    return number - 1 if number else None


def _sizes(info: TensorInfo, axis: int | None) -> tuple[int, int]:
    """Return the channels of a tensor and the values of each; an empty tensor has no channels."""
    values = info.values
    if axis is None or not values:
        return (1, values) if axis is None else (0, 0)
    return info.shape[axis], values // info.shape[axis]


def _put(
    encoder: Encoder,
    levels: npt.NDArray[np.int32],
    tables: npt.NDArray[np.uint8],
    tableset: TableSet,
) -> None:
    """Put levels [K, n] in batches."""
    flat, index = levels.reshape(-1), np.repeat(tables, levels.shape[1])
    for part in bands(len(flat), 1, BATCH):
        encoder.put(flat[part], index[part], tableset)


def _taken(
    decoder: Decoder, tables: npt.NDArray[np.uint8], length: int, tableset: TableSet
) -> npt.NDArray[np.int32]:
    """Take what _put() put."""
    index = np.repeat(tables, length)
    flat = np.zeros(len(index), np.int32)
    for part in bands(len(flat), 1, BATCH):
        decoder.take(index[part], tableset, flat[part])
    return flat.reshape(len(tables), length)
