"""What every frozen entropy model is: one walk, and the ways that lead through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IntArray
from quantal.entropy.prices import price_list, round_by_price
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import (
    Coding,
    FloatArray,
    Known,
    Networks,
    Pricing,
    Reading,
    Rounding,
    Writing,
    round_nearest,
)
from quantal.errors import TruncatedError

__all__ = ["Decoded", "FrozenModel", "Values", "table_arrays"]

Array = npt.NDArray[Any]


class Values(ABC):
    """What the symbols of a walk stand for; computed only when asked for.

    So no floating-point network runs before the last bit has been read.
    """

    @property
    @abstractmethod
    def z_hat(self) -> FloatArray:
        """Dequantised side latents, float32 [N, h', w']; without channels if there are none."""

    @abstractmethod
    def y_hat(self) -> FloatArray:
        """Return the latents, float32 [C, h, w]."""


class Decoded:
    """The latents that a stream holds.

    Attributes:
        symbols: int32 arrays in coding order, equal on all machines.
    """

    def __init__(self, symbols: Sequence[IntArray], values: Values) -> None:
        self.symbols, self._values = list(symbols), values

    @property
    def z_hat(self) -> FloatArray:
        """Dequantised side latents, float32 [N, h', w']."""
        return self._values.z_hat

    def y_hat(self) -> FloatArray:
        """Return the latents, float32 [C, h, w]; runs floating-point networks."""
        return self._values.y_hat()


class FrozenModel(ABC):
    """An entropy model that codes latents y [C, h, w] at any position on the rate axis.

    Args:
        channels: C.
        y_tables: the tables of y.
        networks: its floating-point networks.
    """

    #: Whether a stream is stored so that its prefixes decode to the first symbols.
    progressive: ClassVar[bool] = False
    #: Positions of y, along each axis, that networks run on at a time.
    core = 96

    def __init__(self, channels: int, y_tables: TableSet, networks: Networks) -> None:
        self.channels, self.y_tables, self.networks = channels, y_tables, networks

    @property
    def parts(self) -> int:
        """How many parts a prefix of a stream can have; 1: streams have no parts."""
        return 1

    @abstractmethod
    def walk(
        self, coding: Coding, rows: int, columns: int, rate: float, parts: int | None = None
    ) -> Values:
        """Go through all symbols of latents [C, rows, columns] in coding order.

        Args:
            coding: what to do with them.
            rows: of y.
            columns: of y.
            rate: position on the rate axis, 0..63, in quarters.
            parts: go through so many parts alone.
        """

    @abstractmethod
    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        """Return what each part of a walk is written from.

        Args:
            y: float32 [C, h, w].
            rate: position on the rate axis.
            z: symbols of the side latents, if they don't follow from y.
        """

    @abstractmethod
    def integers(self) -> dict[str, Array]:
        """Return everything that decides how bits are read, by name."""

    def split(self, symbols: Sequence[IntArray]) -> list[IntArray]:
        """Return the symbols of a walk as a list of tensors in coding order."""
        return list(symbols)

    def join(self, symbols: Sequence[IntArray]) -> list[IntArray]:
        """Return what split() was given."""
        return list(symbols)

    def encode(
        self,
        y: FloatArray,
        rate: float,
        *,
        z: IntArray | None = None,
        rounding: Rounding = round_nearest,
    ) -> bytes:
        """Write latents float32 [C, h, w] to a stream; for `z` see latents()."""
        writing = Writing(self.latents(y, rate, z), rounding)
        _, rows, columns = y.shape
        self.walk(writing, rows, columns, rate)
        return writing.finish(self.progressive)

    def estimate_bits(self, y: FloatArray, rate: float) -> float:
        """Return the bits that encode() would spend, by the tables; right to a few bytes."""
        pricing = Pricing(self.latents(y, rate))
        _, rows, columns = y.shape
        self.walk(pricing, rows, columns, rate)
        return pricing.bits

    def decode(
        self, data: bytes, rows: int, columns: int, rate: float, what: str = "this tensor"
    ) -> Decoded:
        """Read the symbols of latents [C, rows, columns] from a stream.

        Args:
            data: the stream.
            rows: of y.
            columns: of y.
            rate: position on the rate axis at which it was written.
            what: what the stream is about, for error messages.

        Raises:
            BitstreamError: If the stream is not one of such latents.
        """
        reading = Reading(data, self.progressive, what=what)
        values = self._read(reading, rows, columns, rate)
        reading.finish()
        return Decoded(self.split(reading.symbols), values)

    def decode_prefix(
        self,
        data: bytes,
        missing: int,
        rows: int,
        columns: int,
        rate: float,
        parts: int,
        what: str = "this tensor",
    ) -> Decoded:
        """Read the first parts of a progressive stream; symbols of the other parts are zero.

        Args:
            data: the stream, or its first bytes.
            missing: bytes that it lacks at its end.
            rows: of y.
            columns: of y.
            rate: position on the rate axis.
            parts: how many, at least 1.
            what: what the stream is about, for error messages.

        Raises:
            TruncatedError: If so many parts are not there.
        """
        reading = Reading(data, self.progressive, missing, what=what)
        values = self._read(reading, rows, columns, rate, parts)
        return Decoded(self.split(reading.symbols), values)

    def _read(
        self, reading: Reading, rows: int, columns: int, rate: float, parts: int | None = None
    ) -> Values:
        try:
            return self.walk(reading, rows, columns, rate, parts)
        except TruncatedError as error:
            if self.parts == 1:
                raise
            raise reading.cut_error(self.parts) from error

    def dequantise(
        self, symbols: Sequence[IntArray], rows: int, columns: int, rate: float
    ) -> Decoded:
        """Return the latents that symbols, as decode() gives them, stand for."""
        known = Known(self.join(symbols))
        return Decoded(symbols, self.walk(known, rows, columns, rate))

    def rounding_by_price(self, worth: float) -> Rounding:
        """Return a rounding that weighs bits against errors; see prices.round_by_price()."""
        return round_by_price(price_list(self.y_tables), self.lean(), worth)

    def lean(self) -> FloatArray:
        """Return how much nearer to zero than itself a symbol is reconstructed, for each table."""
        return np.zeros(len(self.y_tables), np.float32)


def table_arrays(prefix: str, tables: TableSet) -> dict[str, Array]:
    """Return the integers of a set of tables by name."""
    return {
        f"{prefix}.{name}": np.ascontiguousarray(getattr(tables, name))
        for name in ("first", "offsets", "cumulative")
    }
