"""What the parts of all files of features share: records, and levels in batches."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.container import FeatureHeader, TensorInfo
from quantal.entropy.coder import Decoder, Encoder
from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError, TruncatedError
from quantal.planes import bands

__all__ = ["axis_of", "cut", "put_levels", "require", "sizes", "taken_levels"]

#: Levels that are coded in one batch, which stays in the processor's cache. Part of the format.
BATCH = 1 << 16


def cut(
    part: bytes, header: FeatureHeader, record: struct.Struct
) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the records of a part, one for each tensor, and the stream behind them.

    Raises:
        TruncatedError: If they are not there.
    """
    size = record.size * header.count
    if len(part) < size:
        raise TruncatedError(
            f"the records of {header.count} tensors need {size} bytes, the part has {len(part)}"
        )
    return list(record.iter_unpack(part[:size])), part[size:]


def require(stream: bytes, symbols: int, bits: float) -> None:
    """Refuse a stream that can't hold so many symbols, before memory is allocated for them.

    Args:
        stream: the bytes.
        symbols: their number.
        bits: the fewest bits that one costs.

    Raises:
        CorruptError: If it can't.
    """
    if symbols * bits > 8 * (len(stream) + 8):
        raise CorruptError(
            f"{symbols} symbols need {int(symbols * bits / 8)} bytes or more, the stream has "
            f"{len(stream)}: the header is wrong"
        )


def axis_of(number: int, info: TensorInfo) -> int | None:
    """Return the axis of the channels by its number in a record: one more, 0 for none.

    Raises:
        CorruptError: If the tensor has no such axis.
    """
    if number > info.dimensions:
        raise CorruptError(f"channels along axis {number - 1} of {info.dimensions} found")
    return number - 1 if number else None


def sizes(info: TensorInfo, axis: int | None) -> tuple[int, int]:
    """Return the channels of a tensor and the values of each; an empty tensor has no channels."""
    if axis is None:
        return 1, info.values
    return (info.shape[axis], info.values // info.shape[axis]) if info.values else (0, 0)


def put_levels(
    encoder: Encoder,
    levels: npt.NDArray[np.int32],
    index: npt.NDArray[np.uint8],
    tableset: TableSet,
) -> None:
    """Put levels, each with a table: both [K, n], in raster order."""
    flat, tables = levels.reshape(-1), index.reshape(-1)
    for part in bands(len(flat), 1, BATCH):
        encoder.put(flat[part], tables[part], tableset)


def taken_levels(
    decoder: Decoder, index: npt.NDArray[np.uint8], tableset: TableSet
) -> npt.NDArray[np.int32]:
    """Take what put_levels() put, int32 [K, n]."""
    tables = index.reshape(-1)
    flat = np.zeros(len(tables), np.int32)
    for part in bands(len(flat), 1, BATCH):
        decoder.take(tables[part], tableset, flat[part])
    return flat.reshape(index.shape)
