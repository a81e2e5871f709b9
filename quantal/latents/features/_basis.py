"""A basis: what is known of features before one is coded."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from quantal.arguments import path as checked_path
from quantal.arguments import typed, whole
from quantal.codecs.weights import digest, read_weights, sound_weights, write_weights
from quantal.container import FeatureHeader
from quantal.entropy.coder import Decoder, Encoder
from quantal.errors import ArgumentError, CorruptError, ModelError
from quantal.latents.features._planes import LARGEST, rounded
from quantal.latents.features._spectrum import BANDS, bands_of, map_shape, transform
from quantal.latents.features._stream import (
    axis_of,
    cut,
    put_levels,
    require,
    sizes,
    taken_levels,
)
from quantal.latents.features._tables import FAMILY, LEAST_BITS, chosen, family
from quantal.latents.features._values import (
    Array,
    Tensors,
    sampled,
    single_precision,
)

__all__ = ["RATES", "Basis"]

#: Rates of a basis.
RATES = 64
#: The axis of the channels, and the rate.
_RECORD = struct.Struct("<BB")
#: A rate's step by the one before.
_PACE = 2.0**-0.25
#: The largest component's standard deviations in the step of rate 0.
_COARSEST = 4.0
#: Standard deviations of the channel that varies most.
_SMALLEST, _LARGEST = 1e-24, 1e24
#: Values of a component that tables are chosen on, at most.
_COUNTED = 1 << 16


@dataclass(frozen=True, eq=False)
class Basis:
    """Mean, principal components and probability tables of the features of one layer.

    Make one by fit() or read(). Features that are coded with it have no statistics in their files,
    and fewer bits: components are uncorrelated, their maps become spatial frequencies (a DCT), and
    what is small is left out.

    Attributes:
        mean: mean of each channel, float32 [C].
        rows: orthonormal components, float32 [K, C], the largest variance first; K is 1..C.
        unit: the step at rate 0; it shrinks by 2^(1/4) with each rate.
        tables: the probability tables of each rate, band of frequencies and component, uint8
            [64, 7, K].

    Raises:
        ModelError: If they don't form a basis.
    """

    layout: ClassVar[str] = "feature basis layout 1"
    codec: ClassVar[str] = "feature-basis"
    rates: ClassVar[tuple[int, int]] = (0, RATES - 1)

    mean: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    unit: float
    tables: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        mean, rows, unit, tables = self.mean, self.rows, self.unit, self.tables
        if mean.dtype != np.float32 or rows.dtype != np.float32:
            raise ModelError(f"a basis of {mean.dtype} and {rows.dtype} found, expected float32")
        if mean.ndim != 1 or rows.ndim != 2 or not 1 <= len(rows) <= rows.shape[1] == len(mean):
            raise ModelError(
                f"a basis with a mean {mean.shape} and components {rows.shape} found, expected [C] "
                "and [K, C] with K in 1..C"
            )
        if not (np.isfinite(mean).all() and np.isfinite(rows).all()):
            raise ModelError("a basis with numbers that are NaN or infinite found")
        expected = RATES, BANDS, len(rows)
        if tables.dtype != np.uint8 or tables.shape != expected:
            raise ModelError(
                f"tables {tables.dtype} {tables.shape} found, expected uint8 {expected}"
            )
        if tables.max() >= len(FAMILY):
            raise ModelError(f"table {tables.max()} found, expected 0..{len(FAMILY) - 1}")
        # So that the finest step is a normal float32, and the largest level is finite.
        if not 2.0**-100 <= unit <= 2.0**90:
            raise ModelError(f"a step of {unit} found, expected 2^-100..2^90")

    @cached_property
    def hash(self) -> bytes:
        """The first 4 bytes of a SHA-256 over all of the basis.

        Bits are read with the tables alone, but another mean or other components would turn them
        into wrong features.
        """
        return digest(self.layout, {**self._floats(), **self._integers()})

    def step(self, rate: int) -> float:
        """Return the step at a rate 0..63."""
        return float(self.unit * _PACE**rate)

    def _floats(self) -> dict[str, Array]:
        unit = np.array([self.unit], np.float32)
        return {"net.mean": self.mean, "net.rows": self.rows, "net.unit": unit}

    def _integers(self) -> dict[str, Array]:
        return {"exact.tables": self.tables}

    @classmethod
    def fit(
        cls,
        samples: Tensors | Iterable[Tensors],
        components: int | None = None,
        *,
        channels: int | None = None,
    ) -> Basis:
        """Return the basis of the features of pictures.

        Args:
            samples: features as encode() takes them, floats that float32 holds, all with the same
                number of channels; a tensor by itself is one sample.
            components: K, at most C; default: C.
            channels: the axis of the channels; see encode().

        Raises:
            ArgumentError: If there are too few samples, or they don't fit together.
        """
        found = sampled(samples, channels)
        planes = [values for _, values, _ in found]
        shapes = [map_shape(info, axis) for info, _, axis in found]
        whole_plane = np.concatenate(planes, 1).astype(np.float64)
        count, positions = whole_plane.shape
        if not count or positions < 2 or not np.ptp(whole_plane, 1).any():
            raise ArgumentError(
                f"{positions} positions in all samples, all alike or too few; give more features"
            )
        kept = count if components is None else whole("components", components, 1, count)
        mean = whole_plane.mean(1)
        whole_plane -= mean[:, None]
        deviation = np.sqrt(np.square(whole_plane).mean(1).max())
        if not _SMALLEST <= deviation <= _LARGEST:
            raise ArgumentError(
                f"samples have a standard deviation of {deviation:.6g}, expected "
                f"{_SMALLEST:.0e}..{_LARGEST:.0e}; scale them"
            )
        variances, vectors = np.linalg.eigh(whole_plane @ whole_plane.T / positions)
        rows = vectors.T[::-1][:kept].astype(np.float32)
        unit = float(np.float32(_COARSEST * np.sqrt(variances[-1])))
        blank = cls(mean.astype(np.float32), rows, unit, np.zeros((RATES, BANDS, kept), np.uint8))
        spectra = [blank._spectrum(*pair) for pair in zip(planes, shapes, strict=True)]
        bands = np.concatenate([_bands(shape) for shape in shapes])
        return replace(blank, tables=_tables(np.concatenate(spectra, 1), bands, blank))

    def write(self, path: str | os.PathLike[str], card: str = "") -> None:
        """Write a file that read() reads.

        Args:
            path: path to the file.
            card: what it was fitted to, in words.
        """
        texts = {"card": json.dumps({"text": typed("card", card, str)})}
        write_weights(
            Path(checked_path("basis", path)), self.layout, self._floats(), self._integers(), texts
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Basis:
        """Read a file that write() wrote.

        Raises:
            ModelError: If it is missing, damaged or of another kind.
        """
        file = read_weights(Path(checked_path("basis", path)), [cls.layout])
        with sound_weights(file):
            mean, rows, unit = (file.arrays[f"net.{n}"] for n in ("mean", "rows", "unit"))
            if unit.dtype != np.float32 or unit.shape != (1,):
                raise ValueError(f"a step {unit.dtype} {unit.shape} found, expected float32 (1,)")
            found = cls(mean, rows, float(unit[0]), file.arrays["exact.tables"])
        file.check(found._integers())
        return found

    def _spectrum(self, values: Array, shape: tuple[int, int, int]) -> Array:
        """Return the frequencies of the components of features [C, n], float32 [K, n]."""
        coded = self.rows @ (values - self.mean[:, None])
        return transform(coded.reshape(len(coded), *shape)).reshape(coded.shape)

    def _levels(
        self, values: Array, shape: tuple[int, int, int], rate: int
    ) -> npt.NDArray[np.int32]:
        """Return features [C, n] in levels of a rate, int32 [K, n].

        Args:
            values: the features.
            shape: of a channel; see map_shape().
            rate: how finely they are quantised.

        Raises:
            ArgumentError: If they have another number of channels, or values that are too large.
        """
        if len(values) != len(self.mean):
            raise ArgumentError(
                f"features of {len(values)} channels found, the basis is for {len(self.mean)}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            coded = self._spectrum(single_precision(values), shape)
            levels = rounded(coded / np.float32(self.step(rate)))
        if np.isnan(levels).any():
            raise ArgumentError("features are too large for float32; scale them")
        levels = np.clip(levels, -LARGEST, LARGEST)
        found: npt.NDArray[np.int32] = levels.astype(np.int32)
        return found

    def _index(self, shape: tuple[int, int, int], rate: int) -> npt.NDArray[np.uint8]:
        """Return the table of each level, uint8 [K, n]."""
        return np.ascontiguousarray(self.tables[rate][_bands(shape)].T)

    def write_part(
        self,
        values: Sequence[Array],
        axes: Sequence[int | None],
        header: FeatureHeader,
        rate: int,
    ) -> bytes:
        """Return the part of a file; see Known."""
        encoder, records = Encoder(), bytearray()
        for own, axis, info in zip(values, axes, header.tensors, strict=True):
            records += _RECORD.pack(0 if axis is None else axis + 1, rate)
            shape = map_shape(info, axis)
            levels = self._levels(own, shape, rate)
            put_levels(encoder, levels, self._index(shape, rate), family(False))
        return bytes(records) + encoder.finish()

    def read_part(self, part: bytes, header: FeatureHeader) -> tuple[list[Array], list[int | None]]:
        """Return features and the axes of their channels; see Known."""
        kept, count = self.rows.shape
        records, stream = cut(part, header, _RECORD)
        require(stream, header.values // count * kept, LEAST_BITS)
        decoder = Decoder(stream)
        planes, axes = [], []
        for info, (number, rate) in zip(header.tensors, records, strict=True):
            axis = axis_of(number, info)
            channels, length = sizes(info, axis)
            if (info.values and channels != count) or rate >= RATES:
                raise CorruptError(
                    f"{channels} channels at rate {rate} found, expected {count} and a rate below "
                    f"{RATES}"
                )
            shape = map_shape(info, axis)
            levels = np.zeros((kept, 0), np.int32)
            if length:
                levels = taken_levels(decoder, self._index(shape, rate), family(False))
            planes.append((levels, shape, np.float32(self.step(rate))))
            axes.append(axis)
        # Nothing is drawn of a stream that is damaged: features may be far larger than levels.
        decoder.finish()
        return [self._drawn(*plane) for plane in planes], axes

    def _drawn(
        self, levels: npt.NDArray[np.int32], shape: tuple[int, int, int], step: np.float32
    ) -> Array:
        """Return the features [C, n] of levels [K, n]."""
        spectrum = levels.astype(np.float32) * step
        if levels.size:
            maps = spectrum.reshape(len(levels), *shape)
            spectrum = transform(maps, inverse=True).reshape(levels.shape)
        found: Array = self.rows.T @ spectrum
        found += self.mean[:, None]
        return found


def _bands(shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Return the band of each value of a channel, uint8 [n]."""
    count, rows, columns = shape
    if not count * rows * columns:
        return np.zeros(0, np.uint8)
    return np.tile(bands_of(rows, columns).reshape(-1), count)


def _tables(spectra: Array, bands: npt.NDArray[np.uint8], basis: Basis) -> npt.NDArray[np.uint8]:
    """Return the table that fits each component best, in each band and at each rate [64, 7, K].

    Args:
        spectra: of samples, [K, n].
        bands: of its columns [n].
        basis: states the steps.
    """
    found = np.empty((RATES, BANDS, len(spectra)), np.uint8)
    for band in range(BANDS):
        own = spectra[:, bands == band]
        if not own.shape[1]:  # a band that no sample has: by all
            own = spectra
        own = own[:, :: -(-own.shape[1] // _COUNTED)]
        for rate in range(RATES):
            levels = np.clip(rounded(own / np.float32(basis.step(rate))), -LARGEST, LARGEST)
            found[rate, band] = chosen(levels.astype(np.int32), False)[0]
    return found
