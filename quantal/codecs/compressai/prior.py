"""CompressAI's entropy models: the batches of symbols of a picture, and their values.

Everything that decides how bits are read is computed in double precision on the CPU. Rounding
differs between machines there too, but hardly ever matters: a scale would have to lie that close to
the border of two tables.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from quantal.codecs.compressai.tables import Bottleneck, table_sets
from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding, FloatArray
from quantal.errors import ModelError
from quantal.planes import bands

__all__ = ["Factorized", "Hyperprior", "Prior", "Rate", "Values"]

#: z is 4 times coarser than y on each axis.
Z_STRIDE = 4
#: Positions of z in a band: 4 megapixels of the picture.
_BAND = 1024
#: The largest reach of a hyper-synthesis of the zoo, in rows of z.
_REACH = 4
#: Latents at a time for the network that moves symbols towards zero.
_PIECE = 1 << 18

Module = TypeVar("Module", bound=nn.Module)


def exactly(module: Module) -> Module:
    """Return a copy of a network in double precision."""
    return copy.deepcopy(module).double().requires_grad_(False)


@dataclass(frozen=True)
class Values:
    """The latents of a walk's symbols: y_hat and z_hat, float32 [C, h, w]."""

    y_hat: Tensor
    z_hat: Tensor


@dataclass(frozen=True)
class Rate:
    """Everything that depends on the rate, in models of several rates.

    Attributes:
        gain: float64; y is multiplied by it before rounding.
        offset: network from (scale, gain) to how far a symbol is moved towards zero.
        context: float64 [2 M], added to the prediction from neighbours.
    """

    bottleneck: Bottleneck
    gain: Tensor
    offset: nn.Module | None = None
    context: Tensor | None = None


class Prior(ABC):
    """The entropy model of a network.

    Attributes:
        rates: by quality, or under None if there is just one.
    """

    def __init__(self, rates: dict[int | None, Rate]) -> None:
        self._rates = rates

    def rate(self, quality: int) -> Rate:
        return self._rates[None] if None in self._rates else self._rates[quality]

    @property
    def sets(self) -> Iterator[TableSet]:
        """Yield every set of tables."""
        for rate in self._rates.values():
            yield from rate.bottleneck.sets

    @abstractmethod
    def least_bits(self, rows: int, columns: int, quality: int) -> float:
        """Return a lower bound of the bits of y [M, rows, columns], known before reading."""

    @abstractmethod
    def walk(self, coding: Coding, rows: int, columns: int, quality: int) -> Values:
        """Go through the symbols of a picture whose y is [M, rows, columns]."""


class Factorized(Prior):
    """A table for each channel of y (Balle et al. 2018); nothing depends on floating point."""

    def least_bits(self, rows: int, columns: int, quality: int) -> float:
        return rows * columns * self.rate(quality).bottleneck.least_bits

    def walk(self, coding: Coding, rows: int, columns: int, quality: int) -> Values:
        bottleneck = self.rate(quality).bottleneck
        symbols = bottleneck.code(coding, rows, columns)
        return Values(bottleneck.values(symbols).float(), torch.zeros(0, 0, 0))


class Hyperprior(Prior):
    """z gives the scale of every latent, and its mean if the network has means."""

    def __init__(self, network: Any, rates: dict[int | None, Rate]) -> None:
        super().__init__(rates)
        conditional = network.gaussian_conditional
        sets = table_sets(conditional)
        if len(sets) != 1 or len(sets[0]) != len(conditional.scale_table):
            raise ModelError(
                f"the weights have {len(conditional.scale_table)} scales, expected 1..256 "
                "and a table for each"
            )
        self.tables = sets[0]
        self._borders = conditional.scale_table[:-1].double()
        self._smallest = float(conditional.lower_bound_scale.bound)
        self._latents: int = network.M
        self._synthesis = exactly(network.h_s)

    @property
    def sets(self) -> Iterator[TableSet]:
        yield from super().sets
        yield self.tables

    def least_bits(self, rows: int, columns: int, quality: int) -> float:
        positions = (rows // Z_STRIDE) * (columns // Z_STRIDE)
        return positions * self.rate(quality).bottleneck.least_bits

    def walk(self, coding: Coding, rows: int, columns: int, quality: int) -> Values:
        rate = self.rate(quality)
        z = rate.bottleneck.code(coding, rows // Z_STRIDE, columns // Z_STRIDE)
        z_hat = rate.bottleneck.values(z)
        return Values(self._walk_y(coding, z_hat, rate), z_hat.float())

    def _walk_y(self, coding: Coding, z_hat: Tensor, rate: Rate) -> Tensor:
        """Code y, and return y_hat float32 [M, h, w]."""
        rows, columns = (Z_STRIDE * side for side in z_hat.shape[-2:])
        coding.begin((self._latents, rows, columns))
        values = []
        for band, side in self._side_information(z_hat):
            scale, mean = self._scale_and_mean(side)
            found = self._code(coding, (slice(None), band), scale, mean, rate)
            values.append(self._values(found, scale, mean, rate).float())
        return torch.cat(values, dim=1)

    def _side_information(self, z_hat: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield what z predicts for each band of y's rows: (rows, float64 [M or 2 M, rows, w])."""
        height, width = z_hat.shape[-2:]
        for band in bands(height, width, _BAND):
            low, high = max(band.start - _REACH, 0), min(band.stop + _REACH, height)
            side = self._synthesis(z_hat[None, :, low:high])[0]
            inner = slice((band.start - low) * Z_STRIDE, (band.stop - low) * Z_STRIDE)
            yield slice(band.start * Z_STRIDE, band.stop * Z_STRIDE), side[:, inner]

    def _scale_and_mean(self, side: Tensor) -> tuple[Tensor, Tensor]:
        if len(side) == self._latents:
            return side, torch.zeros((), dtype=torch.float64)
        scale, mean = side.chunk(2)
        return scale, mean

    def _code(
        self, coding: Coding, where: tuple[Any, ...], scale: Tensor, mean: Tensor, rate: Rate
    ) -> Tensor:
        """Code a batch of y; its tables are the smallest whose scale is at least the latent's."""

        def index() -> IndexArray:
            scales = (scale * rate.gain).contiguous()
            found: IndexArray = torch.bucketize(scales, self._borders).to(torch.uint8).numpy()
            return found

        def residual(y: FloatArray) -> FloatArray:
            exact: FloatArray = (y[where] - mean.numpy()) * rate.gain.numpy()
            return exact

        symbols: IntArray = coding.code(where, self.tables, index, residual)
        return torch.from_numpy(symbols)

    def _values(self, symbols: Tensor, scale: Tensor, mean: Tensor, rate: Rate) -> Tensor:
        """Return the values of symbols of y, float64."""
        values = symbols.double()
        if rate.offset is not None:
            # A symbol's value is nearer to zero than the middle of its cell, because the density
            # is higher there (Kamisli, Racape and Choi 2024); that of zero is zero.
            scales = (scale * rate.gain).clamp_min(self._smallest).flatten()
            gains = rate.gain.expand(1)
            pieces = [
                rate.offset(torch.stack((piece, gains.expand(len(piece))), dim=1))
                for piece in torch.split(scales, _PIECE)
            ]
            values = values - values.sign() * torch.cat(pieces).view_as(values)
        return values / rate.gain + mean
