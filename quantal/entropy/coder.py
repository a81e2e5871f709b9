"""The arithmetic coder: symbols and table indices to bytes, and back.

Two classes around constriction's asymmetric numeral system (Duda 2013; Bamler 2022). Elements are
grouped by table, so that each table is one call into compiled code; an int32 that has no slot in
its table is escaped. ANS is a stack; the classes hide it: what is put first is taken first.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import constriction
import numpy as np
import numpy.typing as npt

from quantal.entropy.tables import PRECISION, TOTAL, TableSet
from quantal.errors import ArgumentError, CorruptError, TruncatedError

__all__ = ["ROW_TOTAL", "Decoder", "Encoder", "decode", "encode", "estimate_bits"]

_Ans = constriction.stream.stack.AnsCoder
_model = constriction.stream.model

#: constriction's models of one row of shares for each symbol.
_ROWS = _model.Categorical(lazy=True, perfect=False)

T = TypeVar("T")
IntArray = npt.NDArray[np.int32]
IndexArray = npt.NDArray[np.uint8]

#: The distance of an escaped symbol from its table has 0 to 33 bits; their number is coded first.
_CLASSES = 34
#: Raw bits are coded in runs of at most this many: a uniform model holds at most 2^24 values.
_RAW_BITS = 16
#: The state that the coder starts from, and ends at if everything was taken: 25 bits that every
#: stream must come back to. Coding only ever raises the state, so a smaller one has read too far;
#: from 2^24 on no symbol is free. It costs almost nothing: from 0, the first symbols cost as much.
_START = 0x0151544C
_NOTHING = _START.to_bytes(4, "little")


def _escape_values(slot: npt.NDArray[np.int64], escape: int) -> npt.NDArray[np.int64]:
    """Map slots outside 0..escape-1 to 0, 1, 2, ...: even above the table, odd below it."""
    below = slot < 0
    distance = np.where(below, -slot - 1, slot - escape)
    values: npt.NDArray[np.int64] = 2 * distance + below
    return values


def _classes(values: npt.NDArray[np.int64]) -> IntArray:
    """Return the bits that each value needs: 0 for 0, else floor(log2) + 1; by exact comparison."""
    bounds = np.int64(1) << np.arange(_CLASSES, dtype=np.int64)
    return np.searchsorted(bounds, values, side="right").astype(np.int32)


def _escape_bits(slot: npt.NDArray[np.int64], escape: int) -> float:
    """Return the bits that escaped slots cost beyond their escape symbol."""
    classes = _classes(_escape_values(slot, escape))
    return float(len(classes) * np.log2(_CLASSES) + np.maximum(classes - 1, 0).sum())


def _raw_runs(bits: int) -> list[tuple[int, int]]:
    """Return (shift, width) of the runs in which the low `bits` bits of a value are coded."""
    return [(low, min(_RAW_BITS, bits - low)) for low in range(0, bits, _RAW_BITS)]


class _Models:
    """constriction's models of a table set, made when first needed."""

    def __init__(self, tables: TableSet) -> None:
        self._tables = tables
        self._made: dict[int, object] = {}

    def __getitem__(self, table: int) -> object:
        if table not in self._made:
            # constriction gives each of n slots 1 and shares the other 2^24 - n by the given
            # probabilities. Asked for weight - 1, whose sum is 2^24 - n, it multiplies by exactly
            # 1.0, so its table is ours to the last integer; test_coder.py holds it to that.
            shares = (self._tables.weights(table) - 1).astype(np.float64)
            self._made[table] = _model.Categorical(shares, perfect=False)
        return self._made[table]


def _models(tables: TableSet) -> _Models:
    made: _Models | None = tables.__dict__.get("_models")
    if made is None:
        made = tables.__dict__["_models"] = _Models(tables)
    return made


def _check_index(index: IndexArray, tables: TableSet) -> npt.NDArray[np.int64]:
    """Return how many elements each table has [T]; ArgumentError for an index without a table."""
    if index.dtype != np.uint8 or index.ndim != 1:
        raise ArgumentError(f"table indices must be uint8 [n], not {index.dtype} {index.shape}")
    counts = np.bincount(index, minlength=len(tables))
    if len(counts) > len(tables):
        raise ArgumentError(f"table index {len(counts) - 1} of only {len(tables)} tables")
    return counts


def _coded(index: IndexArray, tables: TableSet) -> tuple[npt.NDArray[np.int64] | None, IndexArray]:
    """Return where the elements are that are coded, and the tables of these.

    Returns:
        Their positions, None for all; and their part of `index`.
    """
    if index.dtype != np.uint8 or index.ndim != 1:
        raise ArgumentError(f"table indices must be uint8 [n], not {index.dtype} {index.shape}")
    largest = int(index.max()) if len(index) else 0
    if largest >= len(tables):
        raise ArgumentError(f"table index {largest} of only {len(tables)} tables")
    if not tables.certain.any():
        return None, index
    places = np.flatnonzero(tables.coded_mask(index))
    return places, index.take(places)


def _groups(counts: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (table, start, end) of every table that has elements to code, in table order."""
    ends = np.cumsum(counts)
    return [(int(t), int(ends[t] - counts[t]), int(ends[t])) for t in np.flatnonzero(counts)]


def _in_table_order(
    places: npt.NDArray[np.int64] | None, coded: IndexArray
) -> npt.NDArray[np.int64]:
    """Return where the elements to code are: in table order, within a table in their own order."""
    # A stable sort of uint8 is a radix sort: this is what makes grouping cheap.
    order = np.argsort(coded, kind="stable")
    return order if places is None else places.take(order)


#: From this many elements on a helper thread saves more time than it takes to start.
_WORTH_A_THREAD = 1 << 17


class _Here(Executor):
    """Run work at once, in this thread."""

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(work(*args, **kwargs))
        return future


def _helper(elements: int) -> Executor:
    """Return the executor that works beside this thread on so many elements."""
    return ThreadPoolExecutor(1) if elements >= _WORTH_A_THREAD else _Here()


def _gather(symbols: IntArray, positions: npt.NDArray[np.int64], helper: Executor) -> IntArray:
    """Return symbols[positions], one half of it by a helper thread: memory latency dominates."""
    result = np.empty(len(positions), np.int32)
    middle = len(positions) // 2
    halves = [(positions[part], result[part]) for part in (slice(middle), slice(middle, None))]
    first = helper.submit(np.take, symbols, halves[0][0], out=halves[0][1], mode="clip")
    np.take(symbols, halves[1][0], out=halves[1][1], mode="clip")
    first.result()
    return result


@dataclass(frozen=True)
class _Batch:
    """What one put() leaves to code: slots in table order, and the escaped values among them."""

    tables: TableSet
    groups: list[tuple[int, int, int]]
    slots: IntArray
    escaped: npt.NDArray[np.int64]

    def push(self, coder: Any) -> None:
        _push_escapes(coder, self.escaped)
        models = _models(self.tables)
        for table, start, end in reversed(self.groups):
            coder.encode_reverse(self.slots[start:end], models[table])


#: The sum of a row's weights: both ends of the range are slots of weight 1 that nothing is coded
#: with. So every symbol lies between two slots, and an encoder keeps three weights of it.
ROW_TOTAL = TOTAL - 2


@dataclass(frozen=True)
class _Rows:
    """What one put_rows() leaves to code: the weights below, of, and above each symbol [n, 3]."""

    around: IntArray

    def push(self, coder: Any) -> None:
        ones = np.ones(len(self.around), np.int32)
        coder.encode_reverse(ones, _ROWS, _shares(self.around))


def _shares(weights: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return rows of weights as what constriction takes; see _Models.

    Sums of whole numbers below 2^24 are exact in float32.
    """
    return (weights - 1).astype(np.float32)


class Encoder:
    """Collect symbols, then write them all.

    >>> import numpy as np
    >>> from quantal.entropy import Decoder, Encoder, TableSet, freeze
    >>> tables = TableSet.from_weights([-1], [freeze(np.array([0.25, 0.5, 0.25]))])
    >>> encoder = Encoder()
    >>> encoder.put(np.array([0, -1, 99], np.int32), np.zeros(3, np.uint8), tables)
    >>> data = encoder.finish()
    >>> decoder = Decoder(data)
    >>> decoder.take(np.zeros(3, np.uint8), tables)
    array([ 0, -1, 99], dtype=int32)
    >>> decoder.finish()
    """

    def __init__(self) -> None:
        self._batches: list[_Batch | _Rows] = []

    def put(self, symbols: IntArray, index: IndexArray, tables: TableSet) -> None:
        """Add symbols.

        Args:
            symbols: int32 [n].
            index: uint8 [n], the table of each symbol.
            tables: what `index` points into.

        Raises:
            ArgumentError: If types or shapes are wrong, or a symbol differs from the one that its
                table is certain of.
        """
        if symbols.dtype != np.int32 or symbols.shape != index.shape:
            raise ArgumentError(
                f"symbols must be int32 {index.shape}, not {symbols.dtype} {symbols.shape}"
            )
        places, coded = _coded(index, tables)
        with _helper(len(coded)) as helper:
            counting = helper.submit(np.bincount, coded)
            positions = _in_table_order(places, coded)
            groups = _groups(counting.result())
            sorted_symbols = _gather(symbols, positions, helper)
        if len(positions) < len(index):
            known = tables.certain[index]
            if (symbols[known] != tables.first[index[known]]).any():
                raise ArgumentError("a symbol differs from the one that its table is certain of")
        escaped = []
        for table, start, end in groups:
            part = sorted_symbols[start:end]
            first, escape = int(tables.first[table]), int(tables.slots[table]) - 1
            if first <= int(part.min()) and int(part.max()) < first + escape:
                part -= first
                continue
            slot = part.astype(np.int64) - first
            outside = (slot < 0) | (slot >= escape)
            escaped.append(_escape_values(slot[outside], escape))
            slot[outside] = escape
            part[:] = slot
        values = np.concatenate(escaped) if escaped else np.zeros(0, np.int64)
        self._batches.append(_Batch(tables, groups, sorted_symbols, values))

    def put_rows(self, symbols: IntArray, weights: npt.NDArray[np.int64]) -> None:
        """Add symbols that have a table of their own each.

        Args:
            symbols: int32 [n], 0..V-1.
            weights: int64 [n, V], at least 1; the sum of each row is `ROW_TOTAL`.

        Raises:
            ArgumentError: If types, shapes, symbols or weights are wrong.
        """
        _check_rows(weights)
        if symbols.dtype != np.int32 or symbols.shape != weights.shape[:1]:
            raise ArgumentError(
                f"symbols must be int32 {weights.shape[:1]}, not {symbols.dtype} {symbols.shape}"
            )
        if not len(symbols):
            return
        if symbols.min() < 0 or symbols.max() >= weights.shape[1]:
            raise ArgumentError(
                f"symbols {symbols.min()}..{symbols.max()} found, expected 0.."
                f"{weights.shape[1] - 1}"
            )
        rows = np.arange(len(symbols))
        own = weights[rows, symbols]
        below = 1 + np.where(np.arange(weights.shape[1]) < symbols[:, None], weights, 0).sum(axis=1)
        around = np.stack([below, own, TOTAL - below - own], axis=1)
        self._batches.append(_Rows(around.astype(np.int32)))

    def finish(self) -> bytes:
        """Return the bytes of everything put, and empty the encoder."""
        coder = _Ans(np.array([_START], np.uint32))
        # A stack returns last what it got first, so everything goes on it backwards.
        for batch in reversed(self._batches):
            batch.push(coder)
        self._batches = []
        data: bytes = coder.get_compressed().astype("<u4").tobytes()
        # The last word is never zero, so its leading zero bytes need not be kept.
        return b"" if data == _NOTHING else data.rstrip(b"\0")


def _push_escapes(coder: Any, values: npt.NDArray[np.int64]) -> None:
    if not len(values):
        return
    classes = _classes(values)
    for bits in np.unique(classes)[::-1]:
        raw = values[classes == bits]
        for shift, width in reversed(_raw_runs(int(bits) - 1)):
            run = (raw >> shift) & ((1 << width) - 1)
            coder.encode_reverse(run.astype(np.int32), _model.Uniform(1 << width))
    coder.encode_reverse(classes, _model.Uniform(_CLASSES))


def _pop_escapes(coder: Any, count: int) -> npt.NDArray[np.int64]:
    values = np.zeros(count, np.int64)
    if not count:
        return values
    classes = coder.decode(_model.Uniform(_CLASSES), count)
    for bits in np.unique(classes):
        chosen = classes == bits
        raw = np.full(int(chosen.sum()), (1 << int(bits)) >> 1, np.int64)
        for shift, width in _raw_runs(int(bits) - 1):
            # A uniform model needs two values, so a run of no bits is no run.
            run = coder.decode(_model.Uniform(1 << width), len(raw))
            raw |= run.astype(np.int64) << shift
        values[chosen] = raw
    return values


class Decoder:
    """Take symbols from bytes in the order in which they were put.

    What take() returns can be trusted only after finish() has passed: an arithmetic coder detects
    an altered stream at its end.

    Args:
        data: the bytes.
        missing: bytes that are not there before `data`; what was put first is still readable.

    Raises:
        CorruptError: If no Encoder writes such bytes.
    """

    def __init__(self, data: bytes, missing: int = 0) -> None:
        """missing: bytes that are not there before `data`: what is put first is still readable.

        Raises CorruptError for bytes that no Encoder writes.
        """
        if data.endswith(b"\0"):
            raise CorruptError("an entropy-coded stream never ends in a zero byte; this one does")
        if data == _NOTHING:
            raise CorruptError("an entropy-coded stream of nothing is empty; this one is not")
        #: Whether the stream is known to be incomplete.
        self.cut = missing > 0
        # Whole words are counted from the stream's own start.
        data = data[-missing % 4 :]
        padded = (data or _NOTHING) + b"\0" * (-len(data) % 4)
        #: With no words left, a smaller state has read too far.
        self._least = _START if missing == 0 else 1 << 32
        self._coder = _Ans(np.frombuffer(padded, dtype="<u4").astype(np.uint32))

    def take(self, index: IndexArray, tables: TableSet, out: IntArray | None = None) -> IntArray:
        """Return the next symbols.

        Args:
            index: uint8 [n], the table of each symbol.
            tables: what `index` points into.
            out: int32 [n], contiguous, filled with zeros: where symbols are written; default: new.

        Returns:
            int32 [n].

        Raises:
            TruncatedError: If the stream holds fewer.
        """
        places, coded = _coded(index, tables)
        counts = np.bincount(coded, minlength=len(tables))
        # A helper thread finds where the symbols belong while this one decodes them.
        with _helper(len(coded)) as helper:
            finding = helper.submit(_in_table_order, places, coded)
            symbols = self._decode(counts, tables)
            positions = finding.result()
        if out is None:
            out = np.zeros(len(index), np.int32)
        if tables.gives_more_than_zeros and len(coded) < len(index):
            np.take(tables.first, index, out=out, mode="clip")
        out[positions] = symbols
        self._check_end()
        return out

    def take_rows(self, weights: npt.NDArray[np.int64]) -> IntArray:
        """Return the next symbols, which have a table of their own each.

        Args:
            weights: int64 [n, V]; see Encoder.put_rows().

        Returns:
            int32 [n].

        Raises:
            TruncatedError: If the stream holds fewer.
            CorruptError: If a symbol is none that an Encoder writes.
            ArgumentError: If the weights are wrong.
        """
        _check_rows(weights)
        if not len(weights):
            return np.zeros(0, np.int32)
        shares = np.zeros((len(weights), weights.shape[1] + 2), np.float32)
        np.subtract(weights, 1, out=shares[:, 1:-1], casting="unsafe")
        symbols: IntArray = self._coder.decode(_ROWS, shares) - 1
        self._check_end()
        if symbols.min() < 0 or symbols.max() >= weights.shape[1]:
            raise CorruptError("an entropy-coded symbol is none that is written: it was altered")
        return symbols

    def _decode(self, counts: npt.NDArray[np.int64], tables: TableSet) -> IntArray:
        """Return the symbols of all tables, one after the other.

        Args:
            counts: how many of each table are coded [T].
            tables: the tables.
        """
        present = np.flatnonzero(counts)
        if not len(present):
            return np.zeros(0, np.int32)
        models, counts = _models(tables), counts[present]
        decode = self._coder.decode
        parts = [
            decode(models[table], count)
            for table, count in zip(present.tolist(), counts.tolist(), strict=True)
        ]
        slots: IntArray = np.concatenate(parts)
        outside = np.flatnonzero(slots == tables.escapes[present].repeat(counts))
        slots += tables.first[present].repeat(counts)
        if len(outside):
            self._unescape(slots, outside, present.repeat(counts)[outside], tables)
        return slots

    def _check_end(self) -> None:
        words, state = self._coder.pos()
        if words == 0 and state < self._least:
            raise TruncatedError("an entropy-coded stream ends before its symbols do: it was cut")

    def _unescape(
        self,
        slots: IntArray,
        places: npt.NDArray[np.int64],
        table: npt.NDArray[np.int64],
        tables: TableSet,
    ) -> None:
        """Replace escapes by their symbols.

        Args:
            slots: of all symbols.
            places: of the escapes.
            table: of each escape.
            tables: the tables.
        """
        values = _pop_escapes(self._coder, len(places))
        first = tables.first[table].astype(np.int64)
        distance = values >> 1
        above = first + tables.slots[table] - 1 + distance
        symbols = np.where(values & 1, first - 1 - distance, above)
        limits = np.iinfo(np.int32)
        if symbols.min() < limits.min or symbols.max() > limits.max:
            raise CorruptError("an escaped symbol does not fit 32 bits: the stream is damaged")
        slots[places] = symbols

    def finish(self) -> None:
        """Check that exactly everything was taken, and nothing was altered.

        Raises:
            CorruptError: If not.
        """
        if self._coder.pos() != (0, _START):
            raise CorruptError(
                "an entropy-coded stream does not end where its symbols end: it was cut, altered, "
                "or written with another model"
            )


def _check_rows(weights: npt.NDArray[np.int64]) -> None:
    if weights.dtype != np.int64 or weights.ndim != 2 or not weights.shape[1]:
        raise ArgumentError(f"weights must be int64 [n, V], not {weights.dtype} {weights.shape}")
    if len(weights) and (weights.min() < 1 or (weights.sum(axis=1) != ROW_TOTAL).any()):
        raise ArgumentError(f"weights must be at least 1, and the sum of a row {ROW_TOTAL}")


def encode(symbols: IntArray, index: IndexArray, tables: TableSet) -> bytes:
    """Return the bytes of symbols int32 [n], each under the table that index uint8 [n] names."""
    encoder = Encoder()
    encoder.put(symbols, index, tables)
    return encoder.finish()


def decode(data: bytes, index: IndexArray, tables: TableSet) -> IntArray:
    """Return the symbols int32 [n] of encode().

    Raises:
        BitstreamError: If the stream does not hold exactly these symbols.
    """
    decoder = Decoder(data)
    symbols = decoder.take(index, tables)
    decoder.finish()
    return symbols


def estimate_bits(symbols: IntArray, index: IndexArray, tables: TableSet) -> float:
    """Return the bits that symbols int32 [n] will cost, to within a few bytes; codes nothing."""
    total = 0.0
    for table in map(int, np.flatnonzero(_check_index(index, tables))):
        if tables.certain[table]:
            continue
        slot = symbols[index == table].astype(np.int64) - tables.first[table]
        escape = int(tables.slots[table]) - 1
        outside = (slot < 0) | (slot >= escape)
        cost = PRECISION - np.log2(tables.weights(table))
        total += float(cost[np.where(outside, escape, slot)].sum())
        total += _escape_bits(slot[outside], escape)
    return total
