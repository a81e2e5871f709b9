"""The integer network of a step: inputs to a mean and a scale of each sample.

Two hidden layers and a linear way around them. All weights and values are whole numbers, and all
sums are proven exact (quantal.entropy.exact), so that every machine predicts the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.lattice import Values
from quantal.entropy.exact_single import single_is_exact
from quantal.errors import ModelError

__all__ = [
    "FINE_SCALES",
    "FIRST_SHIFT",
    "HIDDEN_BITS",
    "HIGHEST",
    "INDIRECT_BITS",
    "MEAN_BITS",
    "SCALES",
    "SECOND_SHIFT",
    "SPREAD_ENTRIES",
    "SPREAD_HALF",
    "SPREAD_SHIFTS",
    "Hidden",
    "StepNetwork",
    "Weights",
    "Workspace",
    "scale_index",
]

Array = npt.NDArray[Any]

#: Fractional bits of hidden values, and the largest of these.
HIDDEN_BITS = 4
HIGHEST = 2047
#: Fractional bits of means, and of the weights that lead to them from the inputs.
MEAN_BITS = 10
#: Fractional bits that weights from hidden values to a mean have beyond these.
INDIRECT_BITS = 2
#: Scales are quarters of an octave, from 2^-4.5 on.
SCALES = 44
#: Steps of an octave in which networks state a scale, and the first scale in them.
FINE_SCALES = 16
_LOWEST = -72
#: Entries of the table of logarithms, and which of them stands for zero.
SPREAD_ENTRIES, SPREAD_HALF = 1 << 14, 1 << 10
_UNBOUNDED = 1 << 30
#: Bits by which the sums of the layers are shifted down.
FIRST_SHIFT, SECOND_SHIFT = 6, 8
SPREAD_SHIFTS = (4, 12)
#: Whole numbers below these are exact in float32 and in float64.
_SINGLE, _DOUBLE = 1 << 24, 1 << 53


class Dense:
    """A layer of integers that maps columns to columns; see quantal.entropy.exact.

    out = clamp((weight @ x + bias + half) >> shift, low, high). The last row of x is all ones, by
    which the bias is added.

    Args:
        weight: int [O, I].
        bias: int64 [O].
        shift: bits that each sum is shifted down by, for each output or for all.
        largest: the largest magnitude of each input [I].
        low: the smallest output.
        high: the largest output.

    Raises:
        ModelError: If float64 can't hold the sums.
    """

    def __init__(
        self, weight: Array, bias: Array, shift: Any, largest: Array, low: int, high: int
    ) -> None:
        shifts = np.broadcast_to(np.asarray(shift, np.int64), bias.shape)
        half = np.where(shifts > 0, np.int64(1) << np.maximum(shifts - 1, 0), 0)
        whole = np.concatenate([weight.astype(np.int64), (bias + half)[:, None]], axis=1)
        # In Python's integers: what proves that nothing overflows must not overflow itself.
        inputs = [*map(int, largest), 1]
        worst = max(
            sum(abs(w) * x for w, x in zip(row, inputs, strict=True)) for row in whole.tolist()
        )
        if worst >= _DOUBLE:
            raise ModelError(f"sums of a layer reach {worst}, and float64 is exact only below 2^53")
        self.kind = np.float32 if worst < _SINGLE and single_is_exact() else np.float64
        # A power of two moves no digit, so sums stay exact.
        self._weight = np.ldexp(whole.astype(np.float64), -shifts[:, None]).astype(self.kind)
        self._low, self._high = low, high

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """Map whole numbers [I + 1, n], whose last row is ones, to whole numbers [O, n].

        Args:
            x: the input, float32 or float64.
            out: where the result goes; default: a new array.
        """
        sums = x.astype(self.kind, copy=False)
        fits = out is not None and out.dtype == self.kind
        found: Array = np.matmul(self._weight, sums, out=out if fits else None)
        np.floor(found, out=found)
        if self._high < _UNBOUNDED:
            np.clip(found, self._low, self._high, out=found)
        if out is not None and not fits:
            out[:] = found
            return out
        return found


@dataclass(frozen=True)
class Hidden:
    """What the hidden layers make of the inputs of n samples.

    Attributes:
        values: of the second layer, whole numbers of 2^-HIDDEN_BITS, float32 [h2 + 1, n]; the last
            row is ones.
        fine: the logarithm of the scale, in 1/FINE_SCALES of an octave, int32 [n].
    """

    values: Values
    fine: npt.NDArray[np.int32]


def scale_index(fine: npt.NDArray[np.int32], gain: Any = 0) -> npt.NDArray[np.uint8]:
    """Return the scale of samples, uint8 in 0..SCALES-1.

    Args:
        fine: logarithms, as in Hidden.
        gain: is added to them, int or int32 [n].
    """
    quarter = FINE_SCALES // 4
    shifted = (fine + gain - _LOWEST + quarter // 2) // quarter
    return np.clip(shifted, 0, SCALES - 1).astype(np.uint8)


@dataclass(frozen=True)
class Weights:
    """Weights of a layer, int32 [O, I], and its bias, int64 [O]."""

    weight: Array
    bias: Array

    def check(self, shape: tuple[int, int]) -> None:
        """Raise ModelError unless these are integers of a shape."""
        if self.weight.dtype != np.int32 or self.bias.dtype != np.int64:
            raise ModelError("weights of a step are not int32, or its biases not int64")
        if self.weight.shape != shape or self.bias.shape != shape[:1]:
            raise ModelError(f"weights of a step are {self.weight.shape}, expected {shape}")
        if int(np.abs(self.bias).max(initial=0)) >= _DOUBLE >> 16:
            raise ModelError("a bias of a step needs more bits than sums have")


class Workspace:
    """Memory that is used again for every chunk: touching fresh memory takes longer than using it.

    A thread has one of its own.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Values] = {}

    def array(self, name: str, rows: int, columns: int) -> Values:
        """Return an array [rows, columns]; what it holds is old."""
        size = rows * columns
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size, np.float32)
        return self._arrays[name][:size].reshape(rows, columns)

    def ones(self, name: str, rows: int, columns: int) -> Values:
        """Return an array [rows + 1, columns] whose last row is ones; what else it holds is old."""
        found = self.array(name, rows + 1, columns)
        found[-1] = 1
        return found


class StepNetwork:
    """The network of one step.

    Args:
        first: weight int32 [h1, K] and bias int64 [h1], shifted down by FIRST_SHIFT.
        second: weight int32 [h2, h1] and bias int64 [h2], shifted down by SECOND_SHIFT.
        spread: weight int32 [2, h2] and bias int64 [2], shifted down by SPREAD_SHIFTS: the spread
            in 1/32, and an addend to its logarithm, in 1/FINE_SCALES of an octave.
        direct: weights of the mean, int32 [K], in 2^-MEAN_BITS.
        indirect: weights of the mean, int32 [h2 + 1], in 2^-(MEAN_BITS + INDIRECT_BITS); the last
            is added.
        logarithms: int16, in 1/FINE_SCALES of an octave, by spread.
        ranges: how many times the range of samples each input's magnitude reaches at most [K].

    Raises:
        ModelError: If the parts don't fit together.
    """

    def __init__(
        self,
        first: Weights,
        second: Weights,
        spread: Weights,
        direct: Array,
        indirect: Array,
        logarithms: Array,
        ranges: Array,
    ) -> None:
        inputs, hidden = len(direct), len(indirect) - 1
        shapes = ((len(first.bias), inputs), (hidden, len(first.bias)), (2, hidden))
        for layer, shape in zip((first, second, spread), shapes, strict=True):
            layer.check(shape)
        if direct.ndim != 1 or ranges.shape != direct.shape or indirect.ndim != 1 or hidden < 1:
            raise ModelError("the weights of a mean don't fit its network")
        if direct.dtype != np.int32 or indirect.dtype != np.int32:
            raise ModelError("the weights of a mean are not int32")
        if logarithms.shape != (SPREAD_ENTRIES,):
            raise ModelError("a scale needs a table of logarithms")
        self.first, self.second, self.spread = first, second, spread
        self.direct, self.indirect = direct, indirect
        self.inputs, self.hidden_values = inputs, hidden
        self._ranges = ranges
        self._logarithms = logarithms.astype(np.int32)
        self._layers: dict[int, tuple[Dense, Dense, Dense]] = {}

    def _largest(self, extra: int) -> Array:
        """Return the largest magnitude of each input [K]."""
        return self._ranges * np.int64((256 << extra) - 1)

    def _dense(self, extra: int) -> tuple[Dense, Dense, Dense]:
        """Return the layers for samples of 8 + `extra` bits."""
        if extra not in self._layers:
            middle = np.full(len(self.first.bias), HIGHEST)
            last = np.full(self.hidden_values, HIGHEST)
            self._layers[extra] = (
                Dense(
                    self.first.weight,
                    self.first.bias << extra,
                    FIRST_SHIFT + extra,
                    self._largest(extra),
                    0,
                    HIGHEST,
                ),
                Dense(self.second.weight, self.second.bias, SECOND_SHIFT, middle, 0, HIGHEST),
                Dense(
                    self.spread.weight,
                    self.spread.bias,
                    SPREAD_SHIFTS,
                    last,
                    -_UNBOUNDED,
                    _UNBOUNDED,
                ),
            )
        return self._layers[extra]

    @property
    def features(self) -> int:
        """Rows of what room() returns."""
        return self.inputs + self.hidden_values + 2

    def room(self, count: int, space: Workspace) -> Values:
        """Return where the inputs of `count` samples go, and what hidden() makes of them.

        Rows are the K inputs, ones, the h2 hidden values, and ones again.
        """
        found = space.array("features", self.features, count)
        found[self.inputs] = found[-1] = 1
        return found

    def hidden(self, room: Values, extra: int, space: Workspace) -> Hidden:
        """Run the hidden layers.

        Args:
            room: from room(), with inputs filled in, whole numbers.
            extra: bits of samples beyond 8.
            space: memory for the first layer.
        """
        first, second, spread = self._dense(extra)
        middle = space.ones("first", len(self.first.bias), room.shape[1])
        first(room[: self.inputs + 1], out=middle[:-1])
        values = room[self.inputs + 1 :]
        second(middle, out=values[:-1])
        raw = spread(values)
        entry = np.clip(raw[0] + SPREAD_HALF, 0, SPREAD_ENTRIES - 1).astype(np.int32)
        fine = self._logarithms.take(entry)
        fine += raw[1].astype(np.int32)
        return Hidden(values, fine)

    def mean_layers(self, changes: npt.NDArray[np.int32], extra: int) -> tuple[Dense, Dense]:
        """Return the layers of means: of the inputs, and of the hidden values.

        Args:
            changes: to the weights, for each class a row [classes, K + h2 + 1]; of one class, zeros
                leave the network as it was trained.
            extra: bits of samples beyond 8.
        """
        own = changes.astype(np.int64)
        direct = own[:, : self.inputs] + self.direct
        indirect = (own[:, self.inputs :] + self.indirect) << extra
        last = np.full(self.hidden_values, HIGHEST)
        nothing = np.zeros(len(own), np.int64)
        return (
            Dense(direct, nothing, 0, self._largest(extra), -_UNBOUNDED, _UNBOUNDED),
            Dense(
                indirect[:, :-1],
                # Hidden values have fractional bits, which the added weight lacks.
                indirect[:, -1] << HIDDEN_BITS,
                HIDDEN_BITS + INDIRECT_BITS,
                last,
                -_UNBOUNDED,
                _UNBOUNDED,
            ),
        )

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return all integers by name but for the table, as a weights file holds them."""
        found: dict[str, Array] = {
            f"{prefix}.direct": self.direct,
            f"{prefix}.indirect": self.indirect,
        }
        for name in ("first", "second", "spread"):
            layer: Weights = getattr(self, name)
            found[f"{prefix}.{name}.weight"] = layer.weight
            found[f"{prefix}.{name}.bias"] = layer.bias
        return found

    @classmethod
    def from_arrays(
        cls, found: Mapping[str, Array], prefix: str, logarithms: Array, ranges: Array
    ) -> StepNetwork:
        """Build a network from the result of arrays().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of a network.
        """
        first, second, spread = (
            Weights(found[f"{prefix}.{name}.weight"], found[f"{prefix}.{name}.bias"])
            for name in ("first", "second", "spread")
        )
        direct, indirect = found[f"{prefix}.direct"], found[f"{prefix}.indirect"]
        return cls(first, second, spread, direct, indirect, logarithms, ranges)
