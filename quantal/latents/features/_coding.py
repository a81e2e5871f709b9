"""Features to bytes and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from quantal.arguments import number, typed, whole
from quantal.container import FeatureHeader, TensorInfo, read_features, write_features
from quantal.errors import ArgumentError, ModelError
from quantal.latents.features._basis import RATES, Basis
from quantal.latents.features._planes import LARGEST, Plane, dequantised, quantised
from quantal.latents.features._stream import read, read_by_basis, write, write_by_basis
from quantal.latents.features._tables import costs, layout_hash
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
from quantal.sources import Source, read_source

__all__ = ["decode", "encode", "verify"]

#: Names of codecs in headers: with statistics in the file, or those of a basis.
_PLAIN, _BASED = "features", "feature-basis"
Levels = npt.NDArray[np.int32]


def encode(
    tensors: Tensors,
    *,
    max_error: float | None = None,
    bits: float | None = None,
    basis: Basis | None = None,
    rate: int | None = None,
    channels: int | None = None,
    network: nn.Module | bytes | None = None,
    layer: str = "",
) -> bytes:
    """Return a .qtl file of features.

    Floats are quantised uniformly, with one step for each tensor; integers are kept exactly. The
    levels of each channel are coded with the probability table that fits them best.

    >>> import torch
    >>> features = torch.randn(64, 14, 14, generator=torch.Generator().manual_seed(0))
    >>> data = encode(features, max_error=0.05)
    >>> bool((decode(data) - features).abs().max() <= 0.05)
    True

    Args:
        tensors: a tensor or a list of them, of up to 8 dimensions each: floats or integers, of
            torch or numpy.
        max_error: the largest difference that a float may have afterwards, in its own units.
        bits: the most bits that a value may cost on average, the whole file counted.
        basis: codes floats after a transform across channels, and by statistics that are not in the
            file; decode() needs the same one. Not with `max_error`.
        rate: how finely a basis quantises, 0..63, instead of `bits`.
        channels: the axis of the channels; default: the third from the end, of a matrix the last.
        network: what computed them, or its fingerprint of 4 bytes; the file names it.
        layer: which of its features they are; the file names it.

    Returns:
        The bytes of the file.

    Raises:
        ArgumentError: If tensors can't be coded, or a bound can't be met.
    """
    single, found = given(tensors)
    _check_targets([info for info, _ in found], max_error, bits, basis, rate)
    axes = [channel_axis(info.shape, channels) for info, _ in found]
    header = FeatureHeader(
        codec=_PLAIN if basis is None else _BASED,
        model_hash=layout_hash() if basis is None else basis.hash,
        tensors=tuple(info for info, _ in found),
        single=single,
        network=_fingerprint(network),
        layer=typed("layer", layer, str),
    )
    values = [by_channel(array, axis) for (_, array), axis in zip(found, axes, strict=True)]
    if bits is None and rate is None:
        planes = [
            _exact(own, place) if own.dtype == np.int64 else _bounded(own, info, max_error, place)
            for place, (own, info) in enumerate(zip(values, header.tensors, strict=True))
        ]
        return write_features(header, write(planes, axes))
    writer = _Plain(header, values, axes) if basis is None else _Based(header, values, axes, basis)
    if rate is not None:
        return writer.at(whole("rate", rate, 0, RATES - 1))
    return _finest(writer, number("bits", bits) * header.values / 8)


def decode(data: Source, *, basis: Basis | None = None) -> Tensor | list[Tensor]:
    """Return the tensors of a file of features.

    Args:
        data: the file: bytes, a path or an open file.
        basis: the one that it was written with, if any.

    Returns:
        A tensor or a list, as was encoded, with its types and shapes.

    Raises:
        BitstreamError: If the file is damaged or holds something else.
        ModelError: If it needs another basis.
    """
    header, part = read_features(read_source(data))
    _check_basis(header, basis)
    if basis is None:
        planes, axes = read(part, header)
        found = [
            dequantised(plane, info.dtype)
            for plane, info in zip(planes, header.tensors, strict=True)
        ]
    else:
        levels, axes, rates = read_by_basis(part, header, len(basis.mean), basis.tables)
        found = [basis.values(own, at) for own, at in zip(levels, rates, strict=True)]
    tensors = [
        returned(info, in_shape(own, info.shape, axis))
        for own, info, axis in zip(found, header.tensors, axes, strict=True)
    ]
    return tensors[0] if header.single else tensors


def verify(data: Source, *, basis: Basis | None = None) -> str | None:
    """Check a file of features: its checksum, and every symbol if all that it needs is here.

    Args:
        data: the file: bytes, a path or an open file.
        basis: the one that it was written with, if any.

    Returns:
        Why symbols were not parsed; None if they were.

    Raises:
        BitstreamError: If the file is damaged or holds something else.
    """
    header, part = read_features(read_source(data))
    if header.codec == _BASED and basis is None:
        return f"they need the basis {header.model_hash.hex()}"
    _check_basis(header, basis)
    if basis is None:
        read(part, header)
    else:
        read_by_basis(part, header, len(basis.mean), basis.tables)
    return None


class _Plain:
    """Writes floats with their statistics.

    Args:
        header: of the file.
        values: of each tensor, [C, n].
        axes: of the channels.
    """

    #: Steps are a tensor's spread times 2 to the power of minus an eighth of these.
    rates = (-80, 200)

    def __init__(
        self, header: FeatureHeader, values: Sequence[Array], axes: Sequence[int | None]
    ) -> None:
        self._header, self._values, self._axes = header, values, axes
        self._spreads = [float(own.std()) if own.size and np.ptp(own) else 1.0 for own in values]

    def _planes(self, rate: int) -> list[Plane]:
        steps = [spread * 2.0 ** (-rate / 8) for spread in self._spreads]
        return [quantised(*pair) for pair in zip(self._values, steps, strict=True)]

    def estimate(self, rate: int) -> float:
        """Return about the bytes of at()."""
        return sum(plane.bits for plane in self._planes(rate)) / 8

    def at(self, rate: int) -> bytes:
        """Return the file at a rate."""
        return write_features(self._header, write(self._planes(rate), self._axes))


class _Based:
    """Writes floats by a basis; takes what _Plain takes, and the basis."""

    rates = (0, RATES - 1)

    def __init__(
        self,
        header: FeatureHeader,
        values: Sequence[Array],
        axes: Sequence[int | None],
        basis: Basis,
    ) -> None:
        self._header, self._values, self._axes, self._basis = header, values, axes, basis

    def _levels(self, rate: int) -> list[Levels]:
        return [self._basis.levels(own, rate) for own in self._values]

    def estimate(self, rate: int) -> float:
        """Return about the bytes of at()."""
        tables = self._basis.tables[rate]
        rows = np.arange(len(tables))
        return sum(costs(own, False)[rows, tables].sum() for own in self._levels(rate)) / 8

    def at(self, rate: int) -> bytes:
        """Return the file at a rate."""
        part = write_by_basis(self._levels(rate), self._axes, rate, self._basis.tables[rate])
        return write_features(self._header, part)


def _finest(writer: _Plain | _Based, limit: float) -> bytes:
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
                f"{limit:.0f} bytes are too few for these features, {len(data)} are needed; ask "
                "for more bits a value"
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
    # A step that fits the bound exactly may miss it by the rounding of the tensor's type.
    for share in (1.0, 1 - 2.0**-20, 1 - 2.0**-8, 0.5):
        step = 2 * wanted * share
        if largest / step >= LARGEST:
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
    # Not in float32, whose rounding could hide an error beyond the bound.
    largest = (
        np.abs(np.subtract(own, read_back, dtype=np.float64)).max()
        for own, read_back in zip(values, wide, strict=True)
        if own.size
    )
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
    basis: Basis | None,
    rate: int | None,
) -> None:
    """Raise ArgumentError unless it is clear how finely floats are quantised."""
    floats = [info.dtype.startswith(("float", "bfloat")) for info in infos]
    targets = sum(each is not None for each in (max_error, bits, rate))
    if targets > 1 or (targets == 0 and any(floats)):
        raise ArgumentError(
            f"{targets} of `max_error`, `bits` and `rate` given, expected one of them"
        )
    if not all(floats) and (bits is not None or rate is not None):
        raise ArgumentError(
            "integers are kept exactly, whatever that costs; give `max_error` for the floats "
            "beside them, or encode them by themselves"
        )
    if (rate is not None) != (basis is not None) and bits is None:
        raise ArgumentError(
            "a basis bounds no error: give `bits` or `rate` with it, and `rate` only with a basis"
        )
    if basis is not None:
        typed("basis", basis, Basis)


def _check_basis(header: FeatureHeader, basis: Basis | None) -> None:
    """Raise ModelError unless a file can be read with a basis."""
    if header.codec not in (_PLAIN, _BASED):
        raise ModelError(f"features of codec {header.codec!r} found; update Quantal")
    wanted = basis.hash if basis is not None and header.codec == _BASED else layout_hash()
    if header.codec == _BASED and basis is None:
        raise ModelError(f"the features need the basis {header.model_hash.hex()}; give it")
    if header.model_hash != wanted:
        raise ModelError(
            f"the features were written with {header.model_hash.hex()}, found {wanted.hex()}; give "
            "the basis that they were written with"
        )
    if header.codec == _PLAIN and basis is not None:
        raise ModelError("the features were written without a basis; give none")


def _fingerprint(network: nn.Module | bytes | None) -> bytes:
    if isinstance(network, nn.Module):
        return bytes(fingerprint(network).tolist())
    found = typed("network", bytes(4) if network is None else network, bytes)
    if len(found) != 4:
        raise ArgumentError(f"a fingerprint of {len(found)} bytes found, expected 4")
    return found
