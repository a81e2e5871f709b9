"""The frozen hyperprior: z gives the scale of every latent exactly, and its mean approximately.

The stream is one stack of symbols: all of z, then y band by band of rows, so that memory stays
bounded for planes of any size. docs/reference/codecs/hyperprior.md specifies it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.base import Array, FrozenModel, Values, table_arrays
from quantal.entropy.frozen.factorized import LIMIT, FrozenFactorized
from quantal.entropy.scales import SCALES
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding, FloatArray, Networks
from quantal.planes import apply_in_windows, bands, ceil_div, pad_edge

__all__ = ["BAND_POSITIONS", "Z_STRIDE", "FrozenHyperprior", "SideModel"]

#: z is 4 times coarser than y on each axis.
Z_STRIDE = 4
#: Latents per channel in a band: 4 megapixels at a stride of 16. Part of the format.
BAND_POSITIONS = 16384
#: Elements of z around a band that the scales of the band depend on.
_SCALE_REACH = 2
#: Reach of the mean network, in elements of z, and of the hyper-analysis, in elements of y.
_MEAN_REACH, _HYPER_HALO = 3, 8

Kind = TypeVar("Kind", bound=np.generic)


class SideModel(FrozenModel):
    """A model whose y is coded given side latents z.

    Networks: `z` maps y [C, h, w], h and w multiples of 4, to z [N, h/4, w/4] before rounding;
    `gain` and `ungain` give multipliers of y before rounding and after parsing, [C, 1, 1].

    Args:
        channels: C.
        side: the model of z.
        y_tables: 64 tables, one for each scale index.
        networks: its floating-point networks.
    """

    def __init__(
        self, channels: int, side: FrozenFactorized, y_tables: TableSet, networks: Networks
    ) -> None:
        super().__init__(channels, y_tables, networks)
        self.side = side
        if len(y_tables) != SCALES:
            raise ValueError(f"there are {len(y_tables)} tables of y, expected {SCALES}")

    @classmethod
    @abstractmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], channels: int, networks: Networks
    ) -> SideModel:
        """Build a model from the result of integers().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such a model.
        """

    def quantised_z(self, y: FloatArray, rate: float) -> IntArray:
        """Return the symbols of the side latents of y [C, h, w]: int32 [N, h/4, w/4]."""
        z = apply_in_windows(
            lambda part: self.networks("z", rate, part),
            pad_edge(y, Z_STRIDE),
            self.core,
            _HYPER_HALO,
            Fraction(1, Z_STRIDE),
        )
        return np.clip(np.rint(z), -LIMIT, LIMIT).astype(np.int32)

    def least_bits(self, rows: int, columns: int, rate: float) -> float:
        """Return the fewest bits that y [C, rows, columns] can cost at a rate."""
        return self.side.least_bits(ceil_div(rows, Z_STRIDE), ceil_div(columns, Z_STRIDE), rate)

    def code_z(self, coding: Coding, rows: int, columns: int, rate: float) -> IntArray:
        """Code the side latents of y [..., C, rows, columns], and return their symbols."""
        return self.side.code(coding, ceil_div(rows, Z_STRIDE), ceil_div(columns, Z_STRIDE), rate)

    def step(self, rate: float) -> FloatArray:
        return self.networks("ungain", rate).reshape(-1, 1, 1)

    def integers(self) -> dict[str, Array]:
        return {
            **self.side.integers(),
            **table_arrays("tables.y", self.y_tables),
            **self.exact_arrays(),
        }

    @abstractmethod
    def exact_arrays(self) -> dict[str, Array]:
        """Return the integers of the scale networks by name."""


class _Values(Values):
    """Means of y from z, band by band."""

    def __init__(self, model: FrozenHyperprior, z: IntArray, y: IntArray, rate: float) -> None:
        self.model, self.y, self.rate = model, y, rate
        self._z_hat = model.side.dequantised(z, rate)
        self._gains: tuple[FloatArray, FloatArray] | None = None

    @property
    def z_hat(self) -> FloatArray:
        return self._z_hat

    def gains(self) -> tuple[FloatArray, FloatArray]:
        """The multipliers before rounding and after parsing [C, 1, 1]."""
        if self._gains is None:
            networks = self.model.networks
            self._gains = networks("gain", self.rate), networks("ungain", self.rate)
        return self._gains

    def mean(self, band: slice) -> FloatArray:
        """Return the means of a band [..., C, rows, w], in units of its symbols."""
        model = self.model

        def windowed(part: FloatArray) -> FloatArray:
            return apply_in_windows(
                lambda window: model.networks("mean", self.rate, window),
                part,
                model.core // 2,
                _MEAN_REACH,
                Z_STRIDE,
            )

        mean = _around(self._z_hat, band, _MEAN_REACH, windowed)[..., : self.y.shape[-1]]
        scaled: FloatArray = mean * self.gains()[0]
        return scaled

    def residual(self, band: slice, y: FloatArray) -> FloatArray:
        """Return the values that are rounded to the symbols of a band."""
        residual: FloatArray = y[..., band, :] * self.gains()[0]
        residual -= self.mean(band)
        return residual

    def y_hat(self) -> FloatArray:
        y_hat = np.empty(self.y.shape, np.float32)
        rows, columns = self.y.shape[-2:]
        for band in bands(rows, columns, BAND_POSITIONS, Z_STRIDE):
            values = self.y[..., band, :].astype(np.float32)
            values += self.mean(band)
            np.multiply(values, self.gains()[1], out=y_hat[..., band, :])
        return y_hat


class FrozenHyperprior(SideModel):
    """Scales and means of y follow from z alone.

    Networks beside those of SideModel: `mean` maps dequantised z [N, h, w] to means of y
    [C, 4h, 4w], in the latents' own units.

    Args:
        channels: C.
        side: the model of z.
        y_tables: 64 tables, one for each scale index.
        scale: z in units of 2^-8 to scale indices.
        networks: its floating-point networks.
    """

    def __init__(
        self,
        channels: int,
        side: FrozenFactorized,
        y_tables: TableSet,
        scale: ExactNet,
        networks: Networks,
    ) -> None:
        super().__init__(channels, side, y_tables, networks)
        self.scale = scale

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], channels: int, networks: Networks
    ) -> FrozenHyperprior:
        """Build a model from the result of integers().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such a model.
        """
        side = FrozenFactorized.from_arrays(arrays)
        scale = ExactNet.from_arrays(arrays, "exact", side.largest_value)
        tables = TableSet.from_arrays(arrays, "tables.y")
        return cls(channels, side, tables, scale, networks)

    @property
    def exact_nets(self) -> tuple[ExactNet, ...]:
        return (self.scale,)

    def exact_arrays(self) -> dict[str, Array]:
        return self.scale.arrays("exact")

    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        return [self.quantised_z(y, rate) if z is None else z, y]

    def walk(
        self, coding: Coding, rows: int, columns: int, rate: float, parts: int | None = None
    ) -> Values:
        z = self.code_z(coding, rows, columns, rate)
        units = self.side.values(z, rate)
        y = coding.begin((self.channels, rows, columns))
        values = _Values(self, z, y, rate)
        for band in bands(rows, columns, BAND_POSITIONS, Z_STRIDE):
            coding.code(
                (..., band, slice(None)),
                self.y_tables,
                index=lambda band=band: self._scale_index(units, rate, band, columns),  # type: ignore[misc]
                residual=lambda latents, band=band: values.residual(band, latents),  # type: ignore[misc]
            )
        return values

    def _scale_index(
        self, units: npt.NDArray[np.int32], rate: float, band: slice, columns: int
    ) -> IndexArray:
        """Return the table indices of a band of y, uint8 [..., C, rows, w]: integers alone."""
        index = _around(units, band, _SCALE_REACH, lambda part: self.scale(part, int(rate)))
        return index[..., :columns].astype(np.uint8)


def _around(
    z: npt.NDArray[Kind],
    band: slice,
    reach: int,
    apply: Callable[[npt.NDArray[Kind]], npt.NDArray[Kind]],
) -> npt.NDArray[Kind]:
    """Apply a 4x upsampling network to the rows of z around a band of rows of y."""
    low = max(band.start // Z_STRIDE - reach, 0)
    high = min(ceil_div(band.stop, Z_STRIDE) + reach, z.shape[-2])
    fine = apply(z[..., low:high, :])
    return fine[..., band.start - low * Z_STRIDE : band.stop - low * Z_STRIDE, :]
