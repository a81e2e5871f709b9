"""The base of all frozen entropy models: a walk, and what is built from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IntArray
from quantal.entropy.exact import ExactNet
from quantal.entropy.prices import price_list, round_by_price
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import (
    Coding,
    FloatArray,
    Known,
    Networks,
    Pricing,
    Reading,
    ReadingMany,
    Rounding,
    Writing,
    round_nearest,
)
from quantal.errors import BitstreamError, TruncatedError

__all__ = ["Decoded", "DecodedMany", "FrozenModel", "Values", "table_arrays"]

Array = npt.NDArray[Any]


class Values(ABC):
    """What the symbols of a walk stand for.

    Values are computed on demand, so that no floating-point network runs before the last bit is
    read.
    """

    @property
    @abstractmethod
    def z_hat(self) -> FloatArray:
        """Dequantised side latents, float32 [..., N, h', w']; N is 0 for models without any."""

    @abstractmethod
    def y_hat(self) -> FloatArray:
        """Return the latents, float32 [..., C, h, w], with the leading axes of the walk."""


class Decoded:
    """The latents that a stream holds.

    Args:
        symbols: int32 arrays in coding order.
        values: computes latents from them on demand.

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


class DecodedMany:
    """The latents that several streams of equal geometry hold.

    Args:
        symbols: int32 arrays [B, ...] in coding order.
        values: computes latents from them on demand.
        places: the place among the streams of each of the B that were read.
        errors: what is wrong with the others, by place.

    Attributes:
        symbols: int32 arrays [B, ...] in coding order, equal on all machines.
        places: see above.
        errors: see above.
    """

    def __init__(
        self,
        symbols: Sequence[IntArray],
        values: Values | None,
        places: Sequence[int],
        errors: Mapping[int, BitstreamError],
    ) -> None:
        self.symbols, self._values = list(symbols), values
        self.places, self.errors = tuple(places), dict(errors)

    def latents(self) -> tuple[FloatArray, FloatArray]:
        """Return y_hat [B, C, h, w] and z_hat [B, N, h', w'], float32; runs their networks."""
        if self._values is None:
            raise ValueError("no stream was read")
        return self._values.y_hat(), self._values.z_hat


class FrozenModel(ABC):
    """An entropy model that codes latents y [C, h, w] at any position on the rate axis.

    Args:
        channels: C.
        y_tables: the tables of y.
        networks: its floating-point networks.

    Attributes:
        progressive: whether streams are stored so that their prefixes decode to the first symbols.
        core: positions of y, along each axis, that networks process at a time.
    """

    progressive: ClassVar[bool] = False
    core = 96

    def __init__(self, channels: int, y_tables: TableSet, networks: Networks) -> None:
        self.channels, self.y_tables, self.networks = channels, y_tables, networks

    @property
    def parts(self) -> int:
        """Number of parts that a prefix of a stream can end after; 1 if streams have no parts."""
        return 1

    @property
    def exact_nets(self) -> tuple[ExactNet, ...]:
        """All integer networks."""
        return ()

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
            parts: stop after this many parts; default: all.

        Returns:
            What the symbols stand for.
        """

    @abstractmethod
    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        """Return the input of each part of a walk, for Writing and Pricing.

        Args:
            y: float32 [C, h, w].
            rate: position on the rate axis.
            z: symbols of the side latents, if they are not to follow from y.
        """

    @abstractmethod
    def integers(self) -> dict[str, Array]:
        """Return everything that decides how bits are read, as arrays by name."""

    def split(self, symbols: Sequence[IntArray]) -> list[IntArray]:
        """Return the symbols of a walk, a tensor per part, as tensors in coding order."""
        return list(symbols)

    def join(self, symbols: Sequence[IntArray]) -> list[IntArray]:
        """Reverse split()."""
        return list(symbols)

    def encode(
        self,
        y: FloatArray,
        rate: float,
        *,
        z: IntArray | None = None,
        rounding: Rounding = round_nearest,
    ) -> bytes:
        """Write latents to a stream.

        Args:
            y: float32 [C, h, w].
            rate: position on the rate axis, 0..63, in quarters.
            z: symbols of the side latents, if they are not to follow from y.
            rounding: maps residuals to symbols.

        Returns:
            The stream.
        """
        writing = Writing(self.latents(y, rate, z), rounding)
        _, rows, columns = y.shape
        self.walk(writing, rows, columns, rate)
        return writing.finish(self.progressive)

    def estimate_bits(self, y: FloatArray, rate: float) -> float:
        """Return the bits that encode() would spend, by the tables, to within a few bytes."""
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
            what: what the stream codes, for error messages.

        Raises:
            BitstreamError: If the stream does not hold such latents.
        """
        reading = Reading(data, self.progressive, what=what)
        values = self._read(reading, rows, columns, rate)
        reading.finish()
        return Decoded(self.split(reading.symbols), values)

    def on_grid(self, symbols: Sequence[Array], rows: int, columns: int) -> Array | None:
        """Return the symbols of y where its elements are; None if no part is as large as y.

        Args:
            symbols: as in Decoded; integers of any type.
            rows: of y.
            columns: of y.

        Returns:
            Integers [..., C, rows, columns] of the type of the symbols.
        """
        fitting = [part for part in symbols if part.ndim > 2 and part.shape[-2:] == (rows, columns)]
        return max(fitting, key=lambda part: int(part.shape[-3]), default=None)

    def step(self, rate: float) -> FloatArray | None:
        """Return what a symbol of y is worth at a rate, float32 [C, 1, 1]; None if it varies."""
        return None

    def least_bits(self, rows: int, columns: int, rate: float) -> float:
        """Return the fewest bits that latents of a size can cost at a rate."""
        return 0.0

    def decode_many(
        self,
        streams: Sequence[bytes],
        rows: int,
        columns: int,
        rate: float,
        what: str = "this tensor",
    ) -> DecodedMany:
        """Read several streams of latents [C, rows, columns] in one walk.

        Networks run once for all streams. Memory is that of all their latents.

        Args:
            streams: the streams.
            rows: of y.
            columns: of y.
            rate: position on the rate axis at which all were written.
            what: what each stream codes, for error messages.
        """
        errors: dict[int, BitstreamError] = {}
        # Before the walk, which allocates as much for each: no stream lends its bytes to another.
        bits = self.least_bits(rows, columns, rate)
        for place, data in enumerate(streams):
            try:
                Reading(data, self.progressive, what=what).require(bits)
            except BitstreamError as error:
                errors[place] = error
        places = [place for place in range(len(streams)) if place not in errors]
        if not places:
            return DecodedMany([], None, [], errors)
        given = [streams[place] for place in places]
        reading = ReadingMany(given, self.progressive, what, self.parts)
        values = self.walk(reading, rows, columns, rate)
        reading.finish()
        if not reading.errors:
            return DecodedMany(self.split(reading.symbols), values, places, errors)
        errors |= {places[own]: error for own, error in reading.errors.items()}
        good = [own for own in range(len(places)) if own not in reading.errors]
        if not good:
            return DecodedMany([], None, [], errors)
        kept = [part[good] for part in reading.symbols]
        values = self.walk(Known(kept, lead=(len(good),)), rows, columns, rate)
        return DecodedMany(self.split(kept), values, [places[own] for own in good], errors)

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
            rate: position on the rate axis at which it was written.
            parts: how many, at least 1.
            what: what the stream codes, for error messages.

        Raises:
            TruncatedError: If fewer parts are there.
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
        """Return the latents that symbols stand for.

        Args:
            symbols: as in Decoded; of several planes, with a leading axis.
            rows: of y.
            columns: of y.
            rate: position on the rate axis.
        """
        known = Known(self.join(symbols), lead=symbols[0].shape[:-3])
        return Decoded(symbols, self.walk(known, rows, columns, rate))

    def recode(self, symbols: Sequence[IntArray], rows: int, columns: int, rate: float) -> bytes:
        """Return the stream of symbols, the one that they were read from; integers alone.

        Args:
            symbols: as in Decoded.
            rows: of y.
            columns: of y.
            rate: position on the rate axis.
        """
        writing = Writing(self.join(symbols))
        self.walk(writing, rows, columns, rate)
        return writing.finish(self.progressive)

    def rounding_by_price(self, worth: float) -> Rounding:
        """Return a rounding that weighs bits against errors; see prices.round_by_price().

        Args:
            worth: bits that a squared error of one is worth.
        """
        return round_by_price(price_list(self.y_tables), self.lean(), worth)

    def lean(self) -> FloatArray:
        """Return by how much symbols are reconstructed nearer to zero, for each table [T]."""
        return np.zeros(len(self.y_tables), np.float32)


def table_arrays(prefix: str, tables: TableSet) -> dict[str, Array]:
    """Return the integers of a set of tables by name."""
    return {
        f"{prefix}.{name}": np.ascontiguousarray(getattr(tables, name))
        for name in ("first", "offsets", "cumulative")
    }
