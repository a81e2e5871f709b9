"""One walk through the symbols of a latent tensor; a Coding decides what happens to them.

An entropy model describes once which symbols there are, in which order, and which probability table
codes each: that is its walk. Writing, reading, pricing and dequantising are the same walk with
another Coding, so they can't drift apart. A walk computes with numpy; it calls floating-point
networks by name through the interface Networks, and their results never decide how bits are read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import Decoder, Encoder, IndexArray, IntArray, estimate_bits
from quantal.entropy.tables import TableSet
from quantal.errors import BitstreamError, CorruptError, ModelError, TruncatedError

__all__ = [
    "Coding",
    "FloatArray",
    "Known",
    "Networks",
    "Pricing",
    "Reading",
    "ReadingMany",
    "Rounding",
    "Writing",
    "finite",
    "round_nearest",
    "too_small",
]

#: Floating-point values, float32 unless a walk says otherwise.
FloatArray = npt.NDArray[Any]
#: Maps residuals and table indices of one shape to symbols, int32; may overwrite the residuals.
Rounding = Callable[[FloatArray, IndexArray, TableSet], IntArray]
#: Called with the table indices and the symbols of each batch, both flat.
Observer = Callable[[IndexArray, IntArray], None]

#: Symbols are clamped to this magnitude: far beyond any table, and within an int32.
_LARGEST = float(1 << 30)


def too_small(size: int, least: int, what: str, cut: bool = False) -> BitstreamError:
    """Return the error for an image part that can't hold what its header says.

    Args:
        size: bytes of the image part.
        least: bytes that it needs.
        what: what the header says that it holds.
        cut: whether it is known not to be whole.
    """
    lack = f"{what} needs at least {least} bytes of image part, this one has {size}"
    if cut:
        return TruncatedError(f"{lack}: it was cut")
    return CorruptError(f"{lack}: its header is wrong")


class Networks(Protocol):
    """The floating-point networks of an entropy model, in any runtime."""

    def __call__(self, name: str, rate: float, *inputs: FloatArray) -> FloatArray:
        """Run a network.

        Args:
            name: which network.
            rate: position on the rate axis, 0..63.
            inputs: float32 [C, h, w] each, or [B, C, h, w] for several planes.

        Returns:
            float32 [C', h', w'], or [B, C', h', w']; [C', 1, 1] if there are no inputs.
        """
        ...


def finite(residual: FloatArray) -> FloatArray:
    """Return values that are to be rounded; raises ModelError if one is not finite."""
    if not np.isfinite(residual).all():
        raise ModelError("the weights give values that are not finite; they are damaged")
    return residual


def round_nearest(residual: FloatArray, index: IndexArray, tables: TableSet) -> IntArray:
    """Round residuals to the nearest symbols; where a table is certain, take its symbol.

    Args:
        residual: float [...], overwritten.
        index: uint8 [...], the table of each element.
        tables: what `index` points into.

    Returns:
        int32 [...].

    Raises:
        ModelError: If a residual is not finite.
    """
    np.rint(finite(residual), out=residual)
    symbols = np.clip(residual, -_LARGEST, _LARGEST, out=residual).astype(np.int32)
    if tables.certain.any():
        np.copyto(symbols, tables.first.take(index), where=tables.certain.take(index))
    return symbols


class Coding(ABC):
    """What happens to the symbols of a walk.

    A walk may go through several planes of equal size at once: arrays then have a leading axis, and
    a walk indexes from the last axes backwards.

    Args:
        observer: called with every batch.

    Attributes:
        lead: the leading axes of all arrays of the walk: () for one plane, (B,) for several.
        symbols: the symbols of every part so far, int32, in coding order.
        index: the table index of every symbol, uint8, for parts that keep it.
    """

    lead: tuple[int, ...] = ()

    def __init__(self, observer: Observer | None = None) -> None:
        self.symbols: list[IntArray] = []
        self.index: list[IndexArray | None] = []
        self._observer = observer

    def begin(self, shape: tuple[int, ...], *, indexed: bool = False, fill: int = 0) -> IntArray:
        """Begin the next part, a tensor of symbols.

        Args:
            shape: of the tensor, without leading axes.
            indexed: whether to keep the table index of every symbol in `index` as well.
            fill: the value where nothing is coded.

        Returns:
            The tensor, which code() fills in.
        """
        shape = (*self.lead, *shape)
        symbols = np.full(shape, fill, np.int32) if fill else np.zeros(shape, np.int32)
        self.symbols.append(symbols)
        self.index.append(np.zeros(shape, np.uint8) if indexed else None)
        return self.symbols[-1]

    def require(self, bits: float) -> None:  # noqa: B027, only reading has anything to check
        """State the fewest bits that the next symbols cost, before memory is allocated for them.

        Args:
            bits: the bound.

        Raises:
            BitstreamError: If a stream that is read can't hold them.
        """

    def limit(self, low: int, high: int, what: str) -> None:
        """State the range of the symbols of the current part, all of which are coded.

        Args:
            low: the smallest symbol.
            high: the largest symbol.
            what: such a symbol, for an error.

        Raises:
            CorruptError: If one is beyond.
        """
        if _beyond(self.symbols[-1], low, high).any():
            raise _beyond_error(low, high, what)

    def complete_part(self) -> None:  # noqa: B027
        """State that a part of the stream is complete; a prefix may end here."""

    def code(
        self,
        where: Any,
        tables: TableSet,
        index: Callable[[], IndexArray],
        residual: Callable[[FloatArray], FloatArray] | None = None,
    ) -> IntArray:
        """Code symbols of the current part that don't depend on one another.

        Args:
            where: indexes the part's tensor; everything below has the indexed shape.
            tables: the probability tables.
            index: returns the table of each symbol, uint8; called once.
            residual: maps all latents of the part to the floats that are rounded to these symbols;
                None if the part's latents are symbols already.

        Returns:
            The symbols, int32.
        """
        symbols = self._symbols(where, tables, index, residual)
        part = self.symbols[-1]
        if symbols.base is not part:  # a view of it is there already
            part[where] = symbols
        return symbols

    @abstractmethod
    def _symbols(
        self,
        where: Any,
        tables: TableSet,
        index: Callable[[], IndexArray],
        residual: Callable[[FloatArray], FloatArray] | None,
    ) -> IntArray:
        """Return the symbols of the next batch, in the shape of its index."""

    def _indexed(self, where: Any, index: Callable[[], IndexArray]) -> IndexArray:
        """Return the table index of a batch, and keep it if the part wants it."""
        found = index()
        kept = self.index[-1]
        if kept is not None:
            kept[where] = found
        return found

    def _observe(self, index: IndexArray, symbols: IntArray) -> None:
        if self._observer is not None:
            self._observer(index, symbols)


class _FromLatents(Coding):
    """A Coding that rounds latents to symbols; integers are symbols already."""

    def __init__(
        self,
        latents: Sequence[npt.NDArray[Any]],
        rounding: Rounding = round_nearest,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(observer)
        self._latents, self._rounding = latents, rounding

    def _symbols(
        self,
        where: Any,
        tables: TableSet,
        index: Callable[[], IndexArray],
        residual: Callable[[FloatArray], FloatArray] | None,
    ) -> IntArray:
        latents = self._latents[len(self.symbols) - 1]
        found = self._indexed(where, index)
        if residual is None or latents.dtype == np.int32:
            symbols: IntArray = latents[where]
        else:
            symbols = self._rounding(residual(latents), found, tables)
        flat, flat_index = _flat(symbols), _flat(found)
        self._observe(flat_index, flat)
        self._take(flat, flat_index, tables)
        return symbols

    @abstractmethod
    def _take(self, symbols: IntArray, index: IndexArray, tables: TableSet) -> None:
        """Process the next symbols, int32 [n]."""


class Writing(_FromLatents):
    """Write the symbols of latents to a stream.

    Args:
        latents: of each part; int32 arrays are symbols already.
        rounding: maps residuals to symbols.
        observer: called with every batch.
    """

    def __init__(
        self,
        latents: Sequence[npt.NDArray[Any]],
        rounding: Rounding = round_nearest,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(latents, rounding, observer)
        self._encoder = Encoder()

    def _take(self, symbols: IntArray, index: IndexArray, tables: TableSet) -> None:
        self._encoder.put(symbols, index, tables)

    def finish(self, progressive: bool = False) -> bytes:
        """Return the stream.

        The coder is a stack: what is read first is at its end. A progressive stream is stored last
        byte first, so that it begins with what is read first, and a prefix of it decodes to the
        first symbols.

        Args:
            progressive: whether to store it so.
        """
        data = self._encoder.finish()
        return data[::-1] if progressive else data


class Pricing(_FromLatents):
    """Add up the bits that writing latents would cost, by the tables.

    Takes the arguments of Writing.

    Attributes:
        bits: the sum so far.
    """

    bits = 0.0

    def _take(self, symbols: IntArray, index: IndexArray, tables: TableSet) -> None:
        self.bits += estimate_bits(symbols, index, tables)


class Reading(Coding):
    """Read symbols from a stream.

    Args:
        data: the stream, or the first bytes of a progressive one.
        progressive: whether it is stored last byte first; see Writing.finish().
        missing: bytes that a progressive stream lacks at its end.
        what: what the stream codes, for error messages.
        observer: called with every batch.
    """

    def __init__(
        self,
        data: bytes,
        progressive: bool = False,
        missing: int = 0,
        what: str = "this tensor",
        observer: Observer | None = None,
    ) -> None:
        super().__init__(observer)
        self._size, self._cut, self._what = len(data), missing > 0, what
        self._decoder = Decoder(data[::-1] if progressive else data, missing)
        self._complete = 0

    def require(self, bits: float) -> None:
        """Raise BitstreamError unless the stream can hold so many bits.

        The coder's state holds a few bits more than the bytes do.
        """
        if self._size + 8 < bits / 8:
            raise too_small(self._size, int(bits / 8), self._what, self._cut)

    def _symbols(
        self,
        where: Any,
        tables: TableSet,
        index: Callable[[], IndexArray],
        residual: Callable[[FloatArray], FloatArray] | None,
    ) -> IntArray:
        found = self._indexed(where, index)
        flat_index = _flat(found)
        flat = self._decoder.take(flat_index, tables)
        self._observe(flat_index, flat)
        return flat.reshape(found.shape)

    def complete_part(self) -> None:
        self._complete += 1

    def cut_error(self, parts: int) -> TruncatedError:
        """Return the error for a stream of so many parts that ends before its symbols do."""
        return _cut_error(self._complete, parts)

    def finish(self) -> None:
        """Raise CorruptError unless exactly everything was read."""
        self._decoder.finish()


class ReadingMany(Coding):
    """Read the symbols of planes of equal size, each from a stream of its own.

    A damaged stream does not stop the others: its error is kept, and its symbols become zeros.

    Args:
        streams: the streams.
        progressive: whether they are stored last byte first; see Writing.finish().
        what: what each codes, for error messages.
        parts: of a stream, that a prefix can end after.

    Attributes:
        errors: what is wrong with a stream, by its place.
    """

    def __init__(
        self,
        streams: Sequence[bytes],
        progressive: bool = False,
        what: str = "this tensor",
        parts: int = 1,
    ) -> None:
        super().__init__()
        self._parts, self._complete = parts, 0
        self.lead = (len(streams),)
        self.errors: dict[int, BitstreamError] = {}
        self._sizes, self._what = [len(data) for data in streams], what
        self._decoders: dict[int, Decoder] = {}
        self._zeros = True
        for place, data in enumerate(streams):
            try:
                self._decoders[place] = Decoder(data[::-1] if progressive else data)
            except BitstreamError as error:
                self.errors[place] = error

    def begin(self, shape: tuple[int, ...], *, indexed: bool = False, fill: int = 0) -> IntArray:
        self._zeros = fill == 0
        return super().begin(shape, indexed=indexed, fill=fill)

    def complete_part(self) -> None:
        self._complete += 1

    def _fail(self, place: int, error: BitstreamError) -> None:
        if isinstance(error, TruncatedError) and self._parts > 1:
            error = _cut_error(self._complete, self._parts)
        self.errors[place] = error
        del self._decoders[place]
        for part in self.symbols:
            part[place] = 0

    def require(self, bits: float) -> None:
        """Raise BitstreamError unless each stream can hold so many bits: see Reading.require().

        Those that can't have to be left out before, because all share the walk's memory.
        """
        least = min(self._sizes, default=0)
        if self._sizes and least + 8 < bits / 8:
            raise too_small(least, int(bits / 8), self._what)

    def limit(self, low: int, high: int, what: str) -> None:
        symbols = self.symbols[-1]
        wrong = _beyond(symbols.reshape(len(symbols), -1), low, high).any(1)
        for place in np.flatnonzero(wrong).tolist():
            self._fail(place, _beyond_error(low, high, what))

    def _symbols(
        self,
        where: Any,
        tables: TableSet,
        index: Callable[[], IndexArray],
        residual: Callable[[FloatArray], FloatArray] | None,
    ) -> IntArray:
        found = self._indexed(where, index)
        whole = self.symbols[-1][where]
        # Straight into the part where that lies together: much of reading is moving memory.
        direct = self._zeros and whole.base is self.symbols[-1]
        if not (direct and whole[0].flags.c_contiguous):
            whole = np.zeros(found.shape, np.int32)
        for place, decoder in list(self._decoders.items()):
            try:
                decoder.take(_flat(found[place]), tables, whole[place].reshape(-1))
            except BitstreamError as error:
                self._fail(place, error)
                whole[place] = 0
        return whole

    def finish(self) -> None:
        """Keep a CorruptError for each stream of which not exactly everything was read."""
        for place, decoder in list(self._decoders.items()):
            try:
                decoder.finish()
            except BitstreamError as error:
                self._fail(place, error)


class Known(Coding):
    """Go over symbols that are known already.

    Args:
        symbols: int32, a tensor for each part.
        observer: called with every batch.
        lead: the leading axes of the tensors.
    """

    def __init__(
        self,
        symbols: Sequence[IntArray],
        observer: Observer | None = None,
        lead: tuple[int, ...] = (),
    ) -> None:
        super().__init__(observer)
        self._known, self.lead = symbols, lead

    def _symbols(
        self,
        where: Any,
        tables: TableSet,
        index: Callable[[], IndexArray],
        residual: Callable[[FloatArray], FloatArray] | None,
    ) -> IntArray:
        symbols: IntArray = self._known[len(self.symbols) - 1][where]
        if self.index[-1] is not None or self._observer is not None:
            self._observe(_flat(self._indexed(where, index)), _flat(symbols))
        return symbols


def _cut_error(whole: int, parts: int) -> TruncatedError:
    """Return the error for a stream that was cut behind so many whole parts."""
    advice = f", or draw the {whole} parts that are there" if whole else ""
    return TruncatedError(
        f"the stream was cut inside part {whole + 1} of its {parts}; fetch it again{advice}",
        code="prefix" if whole else "",
        parts=whole,
    )


def _beyond(symbols: IntArray, low: int, high: int) -> npt.NDArray[np.bool_]:
    return (symbols < low) | (symbols > high)


def _beyond_error(low: int, high: int, what: str) -> CorruptError:
    return CorruptError(f"{what} is not within {low}..{high}: the image part is damaged")


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values).reshape(-1)
