"""Files of features: what a network computed, coded as tensors without a picture.

The header begins with the fields of every .qtl file up to `media`. Types and shapes of the tensors
follow, so that a file is described without decoding it; then one part, and its checksum.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from quantal.arguments import flag, typed, whole
from quantal.container._field import Field, read_fields, write_fields
from quantal.container._fields import FIELDS, check_media
from quantal.container._file import as_bytes
from quantal.container._wire import Choice, Cursor, Raw, Sink, Text, UInt, Varint
from quantal.errors import ArgumentError, CorruptError, TruncatedError

__all__ = [
    "DIMENSION_LIMIT",
    "FEATURE_FIELDS",
    "TENSOR_FIELDS",
    "TENSOR_TYPES",
    "FeatureHeader",
    "FeatureInfo",
    "TensorInfo",
    "probe_features",
    "read_features",
    "write_features",
]

TENSOR_TYPES = (
    *("float16", "bfloat16", "float32", "float64"),
    *("uint8", "int8", "int16", "int32", "int64"),
)
"""Types of tensors, as torch names them."""

DIMENSION_LIMIT = 8
"""Dimensions that a tensor may have."""

#: Values of all tensors of a file, sizes of zero counted as ones: with it no array of another size
#: is too large for numpy and torch because it is empty.
_VALUE_LIMIT = 1 << 40
_CHECKSUM_BYTES = 4
_DIMENSION, _LENGTH = Varint(), Varint()

FEATURE_FIELDS: tuple[Field, ...] = (
    *FIELDS[: [field.name for field in FIELDS].index("width")],
    Field(
        "network", Raw(4), None, "fingerprint of the network that computed them; zeros if unknown"
    ),
    Field("layer", Text(), None, "name of the layer that they are of; may be empty"),
    Field(
        "single", Choice((False, True), 1), (False, True), "1 for a tensor, 0 for a list of them"
    ),
    Field("reserved", UInt(7), (0,), "nothing yet"),
    Field("count", Varint(), None, "number of tensors; a record for each follows"),
)

TENSOR_FIELDS: tuple[Field, ...] = (
    Field("dtype", Choice(TENSOR_TYPES, 4), TENSOR_TYPES, "0 is float16, and so on in this order"),
    Field("dimensions", UInt(4), range(DIMENSION_LIMIT + 1), "their number; a varint for each"),
)


@dataclass(frozen=True)
class TensorInfo:
    """Type and shape of a tensor.

    Attributes:
        dtype: One of `TENSOR_TYPES`.
        shape: Its sizes.
    """

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        typed("dtype", self.dtype, str)
        shape = tuple(whole("a size", size, 0) for size in typed("shape", self.shape, tuple))
        object.__setattr__(self, "shape", shape)

    @property
    def dimensions(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def values(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class FeatureHeader:
    """The header of a file of features.

    Attributes:
        codec: Name of the codec of the part.
        model_hash: First 4 bytes of a SHA-256 over what decides how its bits are read.
        tensors: Types and shapes.
        single: Whether it is one tensor, not a list.
        network: Fingerprint of the network that they are of, 4 bytes; zeros if it is unknown.
        layer: Which features of that network.
        grey: False; only pictures are grey.
        media: "features".
        version: Version of the format.
    """

    codec: str
    model_hash: bytes
    tensors: tuple[TensorInfo, ...]
    single: bool = False
    network: bytes = bytes(4)
    layer: str = ""
    grey: bool = False
    media: str = "features"
    version: int = 1

    def __post_init__(self) -> None:
        for name in ("codec", "layer", "media"):
            typed(name, getattr(self, name), str)
        for name in ("model_hash", "network"):
            typed(name, getattr(self, name), bytes)
        for tensor in typed("tensors", self.tensors, tuple):
            typed("a tensor", tensor, TensorInfo)
        object.__setattr__(self, "single", flag("single", self.single))
        if self.single and len(self.tensors) != 1:
            raise ArgumentError(f"{len(self.tensors)} tensors found, expected a single one")

    @property
    def count(self) -> int:
        """Number of tensors."""
        return len(self.tensors)

    @property
    def values(self) -> int:
        """Number of elements of all tensors."""
        return sum(tensor.values for tensor in self.tensors)


@dataclass(frozen=True)
class FeatureInfo:
    """Header and size of a file of features.

    Attributes:
        header: The header.
        header_bytes: Bytes before the part: the header and the length of the part.
        part_bytes: Length of the part, without its checksum.
        bytes: Size of the file.
    """

    header: FeatureHeader
    header_bytes: int
    part_bytes: int
    bytes: int

    @property
    def bits_per_value(self) -> float:
        """Bits of the whole file for each element."""
        return 8 * self.bytes / max(self.header.values, 1)


def write_features(header: FeatureHeader, part: bytes) -> bytes:
    """Encode a file of features.

    >>> header = FeatureHeader("features", bytes(4), (TensorInfo("float32", (64, 14, 14)),), True)
    >>> data = write_features(header, b"coded")
    >>> probe_features(data).header == header
    True

    Args:
        header: The header.
        part: The coded tensors.

    Raises:
        ArgumentError: The header is invalid.
    """
    if typed("header", header, FeatureHeader).media != "features" or header.grey:
        raise ArgumentError(f"media {header.media!r} or grey found, expected features")
    sink = Sink()
    write_fields(FEATURE_FIELDS, sink, header)
    for tensor in header.tensors:
        write_fields(TENSOR_FIELDS, sink, tensor)
        for size in tensor.shape:
            _DIMENSION.write(sink, size)
    if (extent := sum(map(_extent, header.tensors))) > _VALUE_LIMIT:
        raise ArgumentError(
            f"tensors of {extent} values found, sizes of zero counted as ones, expected at most "
            f"{_VALUE_LIMIT}; divide them among several files"
        )
    _LENGTH.write(sink, len(typed("part", part, bytes)))
    head = bytes(sink.data)
    return head + part + _checksum(head, part)


def probe_features(data: bytes, size: int | None = None) -> FeatureInfo:
    """Read the header of a file of features. The checksum is not verified.

    Args:
        data: The bytes of a file, or its first ones, the whole header among them.
        size: Size of the file in bytes, by default that of `data`.

    Raises:
        CorruptError: The file is damaged.
        TruncatedError: The file is truncated.
        UnsupportedVersionError: The file needs a newer version of Quantal.
        BitstreamError: The file holds something else.
    """
    data = as_bytes(data)
    check_media(data, "features")
    cursor = Cursor(data)
    fields = read_fields(FEATURE_FIELDS, cursor)
    count, size = fields.pop("count"), len(data) if size is None else whole("size", size, 0)
    # A record takes a byte or more.
    if count > size - cursor.position:
        raise CorruptError(f"the header says {count} tensors, {size} bytes hold fewer")
    if fields["grey"] or (fields["single"] and count != 1):
        raise CorruptError("the header contradicts itself; the file is damaged")
    tensors, extent = [], 0
    for _ in range(count):
        record = read_fields(TENSOR_FIELDS, cursor)
        cursor.what = "shape"
        shape = tuple(_DIMENSION.read(cursor) for _ in range(record["dimensions"]))
        tensors.append(TensorInfo(record["dtype"], shape))
        extent += _extent(tensors[-1])
        if extent > _VALUE_LIMIT:
            raise CorruptError(
                f"the header says tensors of {extent} values or more, sizes of zero counted as "
                f"ones, expected at most {_VALUE_LIMIT}; it is damaged"
            )
    cursor.what = "length"
    length = _LENGTH.read(cursor)
    end = cursor.position + length + _CHECKSUM_BYTES
    if end > size:
        raise TruncatedError(
            f"the file has {size} bytes, its header announces {end}; it was cut, fetch it again"
        )
    if end < size:
        raise CorruptError(
            f"the file has {size} bytes, its header announces {end}; {size - end} trailing bytes "
            "belong to nothing"
        )
    header = FeatureHeader(tensors=tuple(tensors), **fields)
    return FeatureInfo(header, cursor.position, length, size)


def read_features(data: bytes) -> tuple[FeatureHeader, bytes]:
    """Return the header and the part of a file of features, whose checksum is verified.

    Raises:
        BitstreamError: See `probe_features`; or the checksum is wrong.
    """
    data = as_bytes(data)
    info = probe_features(data)
    end = info.header_bytes + info.part_bytes
    head, part, stored = data[: info.header_bytes], data[info.header_bytes : end], data[end:]
    expected = _checksum(head, part)
    if stored != expected:
        raise CorruptError(
            f"the file has the checksum {stored.hex()}, expected {expected.hex()}; it is damaged, "
            "fetch it again"
        )
    return info.header, part


def _extent(tensor: TensorInfo) -> int:
    """Return the number of elements if sizes of zero were ones."""
    return math.prod(size or 1 for size in tensor.shape)


def _checksum(head: bytes, part: bytes) -> bytes:
    """Return the checksum of a part, which also covers the header."""
    return zlib.crc32(part, zlib.crc32(head)).to_bytes(_CHECKSUM_BYTES, "little")
