"""Features to bytes and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from quantal.arguments import number, typed, whole
from quantal.arguments import path as checked_path
from quantal.codecs.weights import read_header
from quantal.container import FeatureHeader, TensorInfo, read_features, write_features
from quantal.errors import ArgumentError, CorruptError, ModelError
from quantal.latents.features import _plain as plain
from quantal.latents.features._basis import Basis
from quantal.latents.features._codebook import Codebook
from quantal.latents.features._known import Known
from quantal.latents.features._planes import (
    DEAD,
    LARGEST,
    Plane,
    check_levels,
    dequantised,
    quantised,
)
from quantal.latents.features._tables import layout_hash
from quantal.latents.features._values import (
    Array,
    Tensors,
    by_channel,
    channel_axis,
    given,
    in_shape,
    returned,
)
from quantal.latents.recognisers import fingerprint
from quantal.memory import memory_errors
from quantal.names import shown
from quantal.planes import bands
from quantal.sources import Source, read_source

__all__ = ["decode", "encode", "read_known", "verify"]

#: Values that are compared at a time, in float64.
_COMPARED = 1 << 18
#: Steps are positive numbers.
_SMALLEST, _COARSEST = float(np.nextafter(0.0, 1.0)), float(np.finfo(np.float64).max)
#: What files of these codecs need.
_KNOWN = {Basis.codec: "basis", Codebook.codec: "codebook"}


def encode(
    tensors: Tensors,
    *,
    max_error: float | None = None,
    bits: float | None = None,
    basis: Basis | Codebook | None = None,
    rate: int | None = None,
    channels: int | None = None,
    network: nn.Module | bytes | None = None,
    layer: str = "",
) -> bytes:
    """Return a .qtl file of features.

    Floats are quantised uniformly, with one step for each tensor; integers are kept exactly. The
    levels of each channel are coded with the probability table that fits them best. The error of a
    float is that of its quantisation and of its type: a decoded float is the nearest of its type to
    a whole multiple of the step.

    >>> import torch
    >>> features = torch.randn(64, 14, 14, generator=torch.Generator().manual_seed(0))
    >>> data = encode(features, max_error=0.05)
    >>> bool((decode(data) - features).abs().max() <= 0.05)
    True

    Args:
        tensors: a tensor or a list of them, of up to 8 dimensions each: floats or integers, of
            torch or numpy, NaN and infinity excepted. Integers have magnitudes below 2^30.
        max_error: the largest difference between a float and what is decoded, in its own units. It
            can be met if it is 2^-29 of the tensor's largest magnitude or more.
        bits: the most bits that a value may cost on average, the whole file counted; in a list
            every tensor gets the same step in proportion to its standard deviation.
        basis: a transform across channels (Basis) or vectors (Codebook) that floats are coded with,
            instead of statistics in the file; decode() needs the same one. Not with `max_error`.
        rate: how finely a Basis quantises, 0..63, instead of `bits`; a Codebook needs neither.
        channels: the axis of the channels; default: the third from the end, of a matrix the last.
        network: the network that computed them, or its fingerprint of 4 bytes, for the header.
        layer: the name of the layer, for the header.

    Returns:
        The bytes of the file.

    Raises:
        ArgumentError: If tensors can't be coded, or a bound can't be met.
    """
    single, found = given(tensors)
    _check_targets([info for info, _ in found], max_error, bits, basis, rate)
    axes = [channel_axis(info.shape, channels) for info, _ in found]
    header = FeatureHeader(
        codec=plain.CODEC if basis is None else basis.codec,
        model_hash=layout_hash() if basis is None else basis.hash,
        tensors=tuple(info for info, _ in found),
        single=single,
        network=_fingerprint(network),
        layer=typed("layer", layer, str),
    )
    values = [by_channel(array, axis) for (_, array), axis in zip(found, axes, strict=True)]
    if basis is None and bits is None:
        planes = [
            _exact(own, place) if own.dtype == np.int64 else _bounded(own, info, max_error, place)
            for place, (own, info) in enumerate(zip(values, header.tensors, strict=True))
        ]
        return write_features(header, plain.write(planes, axes))
    writer = _Plain(values, axes, header) if basis is None else _Known(values, axes, header, basis)
    if bits is not None:
        return _finest(writer, number("bits", bits) * header.values / 8)
    return writer.at(whole("rate", writer.rates[0] if rate is None else rate, *writer.rates))


def decode(data: Source, *, basis: Basis | Codebook | None = None) -> Tensor | list[Tensor]:
    """Return the tensors of a file of features.

    Args:
        data: the file: bytes, a path or an open file.
        basis: the basis or codebook that it was written with, if any.

    Returns:
        A tensor or a list, as was encoded, with its types and shapes, contiguous, on the CPU.

    Raises:
        BitstreamError: If the file is damaged or holds something else.
        ModelError: If it needs another basis.
        OutOfMemoryError: If there is not enough memory.
    """
    header, part = read_features(read_source(data))
    _check_basis(header, basis)
    with memory_errors(f"decoding features of {header.values:,} values"):
        if basis is None:
            planes, axes = plain.read(part, header)
            found = [
                dequantised(plane, info.dtype)
                for plane, info in zip(planes, header.tensors, strict=True)
            ]
        else:
            found, axes = _read_part(basis, part, header)
        tensors = [
            returned(info, in_shape(own, info.shape, axis))
            for own, info, axis in zip(found, header.tensors, axes, strict=True)
        ]
    return tensors[0] if header.single else tensors


def verify(data: Source, *, basis: Basis | Codebook | None = None) -> str | None:
    """Check a file of features: its checksum, and every symbol if all that it needs is here.

    Args:
        data: the file: bytes, a path or an open file.
        basis: the basis or codebook that it was written with, if any.

    Returns:
        Why symbols were not parsed; None if they were.

    Raises:
        BitstreamError: If the file is damaged or holds something else.
        ModelError: If it needs another basis than the one given.
        OutOfMemoryError: If there is not enough memory.
    """
    header, part = read_features(read_source(data))
    if header.codec in _KNOWN and basis is None:
        return f"they need the {_KNOWN[header.codec]} {header.model_hash.hex()}"
    _check_basis(header, basis)
    with memory_errors(f"parsing features of {header.values:,} values"):
        if basis is not None:
            _read_part(basis, part, header)
            return None
        planes, _ = plain.read(part, header)
        for plane, info in zip(planes, header.tensors, strict=True):
            check_levels(plane, info.dtype)
    return None


def read_known(path: str | os.PathLike[str]) -> Basis | Codebook:
    """Read a file that Basis.write() or Codebook.write() wrote.

    Raises:
        ModelError: If it is missing, damaged or of another kind.
    """
    file = Path(checked_path("basis", path))
    if not file.is_file():
        raise ModelError(f"there is no basis or codebook {shown(file)}; name a file that is there")
    layout = read_header(file).get("format")
    return Codebook.read(path) if layout == Codebook.layout else Basis.read(path)


def _read_part(
    basis: Known, part: bytes, header: FeatureHeader
) -> tuple[list[Array], list[int | None]]:
    """Return the values of each tensor and the axes of their channels; see Known.read_part."""
    for place, info in enumerate(header.tensors):
        if not _is_float(info):
            raise CorruptError(
                f"tensor {place} of {header.codec} is {info.dtype}, expected floats: the header is "
                "damaged"
            )
    return basis.read_part(part, header)


class _Plain:
    """Writes floats with their statistics at any rate, for _finest().

    Args:
        values: the values of each tensor, [C, n].
        axes: the axis of each tensor's channels.
        header: the header of the file.
    """

    #: Steps are a tensor's spread times 2 to the power of minus an eighth of these.
    rates = (-80, 200)

    def __init__(
        self, values: Sequence[Array], axes: Sequence[int | None], header: FeatureHeader
    ) -> None:
        self._values, self._axes, self._header = values, axes, header
        self._spreads = [_spread(own) for own in values]

    def _planes(self, rate: int) -> list[Plane]:
        factor = 2.0 ** (-rate / 8)
        steps = [min(max(spread * factor, finest), _COARSEST) for spread, finest in self._spreads]
        return [quantised(*pair, DEAD) for pair in zip(self._values, steps, strict=True)]

    def estimate(self, rate: int) -> float:
        """Return about the bytes of a part."""
        return sum(plane.bits for plane in self._planes(rate)) / 8

    def at(self, rate: int) -> bytes:
        """Return the file."""
        return write_features(self._header, plain.write(self._planes(rate), self._axes))


class _Known:
    """Writes floats by a basis or a codebook at any rate; see _Plain."""

    def __init__(
        self,
        values: Sequence[Array],
        axes: Sequence[int | None],
        header: FeatureHeader,
        known: Known,
    ) -> None:
        self._values, self._axes, self._header, self._known = values, axes, header, known
        self.rates = known.rates

    def estimate(self, rate: int) -> float:
        """Return about the bytes of a part."""
        return len(self.at(rate))

    def at(self, rate: int) -> bytes:
        """Return the file."""
        part = self._known.write_part(self._values, self._axes, self._header, rate)
        return write_features(self._header, part)


def _spread(values: Array) -> tuple[float, float]:
    """Return the standard deviation of values, and the finest step whose levels hold them.

    Of values that are all alike it is their magnitude.
    """
    largest = float(np.abs(values).max()) if values.size else 0.0
    if not largest:
        return 1.0, 1.0
    # Squares of values near the ends of their type would overflow, or be zero.
    scaled = values.astype(np.float64) / largest
    spread = float(scaled.std()) if np.ptp(scaled) else 1.0
    return largest * spread, max(2 * (largest / LARGEST), _SMALLEST)


def _finest(writer: _Plain | _Known, limit: float) -> bytes:
    """Return the file at the highest rate whose size is at most `limit` bytes.

    Raises:
        ArgumentError: If there is none.
    """
    low, high = writer.rates
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if writer.estimate(middle) <= limit else (low, middle - 1)
    while len(data := writer.at(low)) > limit:
        if low == writer.rates[0]:
            raise ArgumentError(
                f"{limit:.0f} bytes are too few for these features, {len(data)} are needed; "
                + ("ask for more bits a value" if limit else "give `max_error`: there is no value")
            )
        low -= 1
    return data


def _bounded(values: Array, info: TensorInfo, bound: float | None, place: int) -> Plane:
    """Return the coarsest plane of floats whose errors are within a bound.

    Raises:
        ArgumentError: If there is none.
    """
    wanted = number("max_error", bound)
    largest = float(np.abs(values).max()) if values.size else 0.0
    # A step that fits the bound exactly may miss it by the rounding of the tensor's type. Half of
    # it never does: a rounding that is larger than the rest of the bound leads to the value itself.
    for share in (1.0, 1 - 2.0**-20, 1 - 2.0**-8, 0.5):
        step = min(2 * wanted * share, _COARSEST)
        if largest / step > LARGEST - 1:
            break
        plane = quantised(values, step)
        if _error(values, plane, info.dtype) <= wanted:
            return plane
    raise ArgumentError(
        f"tensor {place} is {info.dtype} with magnitudes up to {largest:.6g}, whose errors can't "
        f"be kept within {wanted:.6g}; ask for a larger `max_error`"
    )


def _error(values: Array, plane: Plane, dtype: str) -> float:
    """Return the largest difference between values and what is read of a plane."""
    found = returned(TensorInfo(dtype, values.shape), dequantised(plane, dtype))
    wide = found.numpy() if dtype in ("float32", "float64") else found.float().numpy()
    flat, others = values.reshape(-1), wide.reshape(-1)
    # Not in float32, whose rounding could hide an error beyond the bound.
    largest = (
        np.abs(np.subtract(flat[part], others[part], dtype=np.float64)).max()
        for part in bands(len(flat), 1, _COMPARED)
    )
    with np.errstate(over="ignore"):
        return float(max(largest, default=0.0))


def _exact(values: Array, place: int) -> Plane:
    """Return the plane of integers.

    Raises:
        ArgumentError: If levels can't hold them.
    """
    if values.size and (values.min() <= -LARGEST or values.max() >= LARGEST):
        raise ArgumentError(
            f"tensor {place} has integers from {values.min()} to {values.max()}, expected less "
            f"than 2^30 in magnitude; convert it to floats, or store it as it is"
        )
    return quantised(values, 1.0)


def _check_targets(
    infos: Sequence[TensorInfo],
    max_error: float | None,
    bits: float | None,
    basis: Basis | Codebook | None,
    rate: int | None,
) -> None:
    """Raise ArgumentError unless it is clear how finely floats are quantised."""
    if basis is not None and not isinstance(basis, Basis | Codebook):
        raise _no_basis(basis)
    floats = [_is_float(info) for info in infos]
    if basis is not None and not all(floats):
        raise ArgumentError("a basis codes floats alone; encode integers without it")
    targets = sum(each is not None for each in (max_error, bits, rate))
    fixed = basis is not None and basis.rates[0] == basis.rates[1]
    if targets > 1 or (targets == 0 and any(floats) and not fixed):
        raise ArgumentError(
            f"{targets} of `max_error`, `bits` and `rate` given, expected one of them"
        )
    if bits is not None and not all(floats):
        raise ArgumentError(
            "integers are kept exactly, whatever that costs; give `max_error` for the floats "
            "beside them, or encode them by themselves"
        )
    if max_error is not None and basis is not None:
        raise ArgumentError("a basis bounds no error: give `bits` or `rate` with it")
    if rate is not None and basis is None:
        raise ArgumentError("rates are those of a basis: give `bits` or `max_error` without one")


def _is_float(info: TensorInfo) -> bool:
    return info.dtype.startswith(("float", "bfloat"))


def _no_basis(basis: object) -> ArgumentError:
    return ArgumentError(
        f"basis is a {type(basis).__name__}, expected a Basis or a Codebook; read_known() reads one"
    )


def _check_basis(header: FeatureHeader, basis: Basis | Codebook | None) -> None:
    """Raise ModelError unless a file can be read with a basis; ArgumentError if it is none."""
    if basis is not None and not isinstance(basis, Basis | Codebook):
        raise _no_basis(basis)
    if header.codec not in (plain.CODEC, *_KNOWN):
        raise ModelError(f"features of codec {header.codec!r} found; update Quantal")
    if basis is None:
        codec, wanted, what = plain.CODEC, layout_hash(), "another version of Quantal"
    else:
        codec, wanted, what = basis.codec, basis.hash, "another one"
    if header.codec != codec:
        needed = _KNOWN.get(header.codec)
        name = header.model_hash.hex()
        raise ModelError(
            f"the features need the {needed} {name}; give it as `basis`"
            if needed
            else "the features were written without a basis; give none"
        )
    if header.model_hash != wanted:
        raise ModelError(
            f"the features were written with {header.model_hash.hex()}, {what} than "
            f"{wanted.hex()}; give the one that they were written with"
        )


def _fingerprint(network: nn.Module | bytes | None) -> bytes:
    if isinstance(network, nn.Module):
        return bytes(fingerprint(network).tolist())
    found = typed("network", bytes(4) if network is None else network, bytes)
    if len(found) != 4:
        raise ArgumentError(f"a fingerprint of {len(found)} bytes found, expected 4")
    return found
