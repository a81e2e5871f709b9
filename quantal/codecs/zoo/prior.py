"""The zoo's entropy models: which batches of symbols a picture has, and what they stand for.

One `walk` serves writing and reading, so that both see the same. Whatever decides how bits are read
is computed in double precision and on the CPU: rounding differs between machines there too, but is
all but never seen, for a scale would have to lie that near the border of two tables.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from quantal.codecs.zoo.coding import Batch, Coding
from quantal.codecs.zoo.tables import Bottleneck, table_sets
from quantal.entropy.tables import TableSet
from quantal.errors import ModelError

__all__ = ["Factorized", "Hyperprior", "Prior", "Rate", "Walk"]

#: z is 4 times coarser than y on each axis.
Z_STRIDE = 4
#: Positions of z in a band: 4 megapixels of the picture.
_BAND = 1024
#: No hyper-synthesis of the zoo reaches further than so many rows of z.
_REACH = 4
#: Latents at a time for the network that draws symbols towards zero.
_PIECE = 1 << 18

Module = TypeVar("Module", bound=nn.Module)


def exactly(module: Module) -> Module:
    """A copy of a network in double precision."""
    return copy.deepcopy(module).double().requires_grad_(False)


@dataclass(frozen=True)
class Walk:
    """What a walk found: symbols of every part, int32; y_hat, z_hat: float32 [C, h, w]."""

    symbols: list[Tensor]
    y_hat: Tensor
    z_hat: Tensor


@dataclass(frozen=True)
class Rate:
    """What depends on the rate, in models that have several.

    gain: float64, y is multiplied by it before it is rounded. offset: network from (scale, gain) to
    how far a symbol is drawn towards zero. context: float64 [2 M], added to what neighbours say.
    """

    bottleneck: Bottleneck
    gain: Tensor
    offset: nn.Module | None = None
    context: Tensor | None = None


class Prior(ABC):
    """The entropy model of a network; rates: by quality, or under None if there is just one."""

    def __init__(self, rates: dict[int | None, Rate]) -> None:
        self._rates = rates

    def rate(self, quality: int) -> Rate:
        return self._rates[None] if None in self._rates else self._rates[quality]

    @property
    def sets(self) -> Iterator[TableSet]:
        """Every set of tables."""
        for rate in self._rates.values():
            yield from rate.bottleneck.sets

    @abstractmethod
    def least_bits(self, rows: int, columns: int, quality: int) -> float:
        """Bits that no y [M, rows, columns] can be coded in fewer of, as far as is known before."""

    @abstractmethod
    def walk(self, coding: Coding, rows: int, columns: int, quality: int) -> Walk:
        """Go through the symbols of a picture whose y is [M, rows, columns]."""


class Factorized(Prior):
    """A table for each channel of y (Balle et al. 2018): no floating point decides anything."""

    def least_bits(self, rows: int, columns: int, quality: int) -> float:
        return rows * columns * self.rate(quality).bottleneck.least_bits

    def walk(self, coding: Coding, rows: int, columns: int, quality: int) -> Walk:
        bottleneck = self.rate(quality).bottleneck
        symbols = bottleneck.code(coding, rows, columns)
        return Walk([symbols], bottleneck.values(symbols).float(), torch.zeros(0, 0, 0))


class Hyperprior(Prior):
    """z tells the scale of every latent, and its mean if the network has means."""

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

    def walk(self, coding: Coding, rows: int, columns: int, quality: int) -> Walk:
        rate = self.rate(quality)
        z = rate.bottleneck.code(coding, rows // Z_STRIDE, columns // Z_STRIDE)
        z_hat = rate.bottleneck.values(z)
        y, y_hat = self._walk_y(coding, z_hat, rate)
        return Walk([z, y], y_hat, z_hat.float())

    def _walk_y(self, coding: Coding, z_hat: Tensor, rate: Rate) -> tuple[Tensor, Tensor]:
        """Symbols int32 and y_hat float32 [M, h, w]."""
        symbols, values = [], []
        for rows, told in self._told(z_hat):
            scale, mean = self._scale_and_mean(told)
            batch = self._batch((slice(None), rows), scale, mean, rate)
            found = coding.code(batch)
            symbols.append(found)
            values.append(self._values(found, scale, mean, rate).float())
        return torch.cat(symbols, dim=1), torch.cat(values, dim=1)

    def _told(self, z_hat: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """What z says of each band of y's rows: (rows, float64 [M or 2 M, rows, w])."""
        height, width = z_hat.shape[-2:]
        step = max(_BAND // width, 1)
        for start in range(0, height, step):
            end = min(start + step, height)
            low, high = max(start - _REACH, 0), min(end + _REACH, height)
            told = self._synthesis(z_hat[None, :, low:high])[0]
            inner = slice((start - low) * Z_STRIDE, (end - low) * Z_STRIDE)
            yield slice(start * Z_STRIDE, end * Z_STRIDE), told[:, inner]

    def _scale_and_mean(self, told: Tensor) -> tuple[Tensor, Tensor]:
        if len(told) == self._latents:
            return told, torch.zeros((), dtype=torch.float64)
        scale, mean = told.chunk(2)
        return scale, mean

    def _batch(self, where: tuple[Any, ...], scale: Tensor, mean: Tensor, rate: Rate) -> Batch:
        """The next batch of y: its table is the smallest whose scale is at least the latent's."""
        scales = (scale * rate.gain).contiguous()
        index = torch.bucketize(scales, self._borders).to(torch.uint8)
        return Batch(1, where, index, self.tables, mean, rate.gain)

    def _values(self, symbols: Tensor, scale: Tensor, mean: Tensor, rate: Rate) -> Tensor:
        """What symbols of y stand for, float64."""
        values = symbols.double()
        if rate.offset is not None:
            # A symbol stands for a place nearer to zero than the middle of its cell, as the law
            # is denser there (Kamisli, Racape and Choi 2024); zero stands for itself.
            scales = (scale * rate.gain).clamp_min(self._smallest).flatten()
            gains = rate.gain.expand(1)
            pieces = [
                rate.offset(torch.stack((piece, gains.expand(len(piece))), dim=1))
                for piece in torch.split(scales, _PIECE)
            ]
            values = values - values.sign() * torch.cat(pieces).view_as(values)
        return values / rate.gain + mean
