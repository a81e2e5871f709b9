"""Integer networks: equal on every machine, so they may decide how bits are read.

Weights, activations and sums are integers, held in floating point and multiplied as ordinary
matrices. A bound on every partial sum is proven when the network is built. Below 2^53 float64 holds
all of them exactly, so order of summation, threads, memory layout, instruction set and library do
not matter (after Balle et al., "Integer networks for data compression with latent-variable models",
2019). Float32, which is twice as fast, holds them below 2^24: a layer runs in it where the largest
inputs of the moment prove that no partial sum gets there (exact_single.py).

Only numpy is needed here. Where torch runs the networks beside them, it runs these too (`run_by`):
two libraries' threads would compete for the same cores, and it has float32 where that is proven
enough (models/exact_runtime.py). fixed_point.py has the trainable layers that export to these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.exact_single import SINGLE, Parts, single_is_exact
from quantal.entropy.rates import RATE_INDICES
from quantal.errors import ModelError
from quantal.threads import one_blas_thread

__all__ = ["ExactLayer", "ExactNet"]

_FIELDS = ("shift", "low", "high", "groups", "shuffle")
#: Whole numbers below this are exact in float64.
_LIMIT = 2**53
#: What is worked on at a time, so that it stays in the cache: columns of a matrix product, elements
#: of a depthwise convolution.
_COLUMNS, _ELEMENTS = 512, 1 << 14

Array = npt.NDArray[Any]
#: Whole numbers in float32 or float64.
Values = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int32]
#: Maps whole numbers [..., I, h, w] and a rate index to int32 [..., O, H, W].
Runner = Callable[[Array, int], Integers]


@dataclass(frozen=True)
class ExactLayer:
    """One integer convolution, then a shift by a number of bits, then a clamp.

    out = clamp((conv(x) + bias + half) >> shift, low, high), then pixel_shuffle(out, shuffle) if
    shuffle is more than 1; half is 2^(shift - 1), or 0 for a shift of 0.

    Attributes:
        weight: int [O, I / groups, k, k], k odd.
        bias: int64 [R, O], a row for every rate index, or one row for all.
        shift: bits that sums are shifted down by.
        low: smallest output.
        high: largest output.
        groups: 1, or I for a depthwise convolution.
        shuffle: factor of the pixel shuffle.
    """

    weight: Array
    bias: Array
    shift: int
    low: int
    high: int
    groups: int = 1
    shuffle: int = 1

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return len(self.weight) // self.shuffle**2

    @property
    def largest_output(self) -> int:
        """The largest magnitude of an output element."""
        return max(-self.low, self.high)

    def check(self, inputs: int) -> None:
        """Check that this is a layer of integers that takes so many channels.

        Raises:
            ModelError: If not.
        """
        weight, bias = self.weight, self.bias
        integers = weight.dtype.kind == bias.dtype.kind == "i"
        if not integers or weight.ndim != 4 or bias.ndim != 2 or self.groups < 1:
            raise ModelError("an integer layer's tensors are not integers in 4 and 2 axes")
        if self.inputs != inputs or bias.shape[1] != len(weight) or len(weight) % self.groups:
            raise ModelError(f"an integer layer does not take the {inputs} channels before it")
        if self.groups > 1 and not self.groups == inputs == len(weight):
            raise ModelError("an integer layer with groups has to be depthwise")
        if weight.shape[2] != weight.shape[3] or weight.shape[2] % 2 == 0:
            raise ModelError("an integer layer's kernel has to be square and of an odd size")
        if self.shuffle < 1 or len(weight) % self.shuffle**2:
            raise ModelError(f"an integer layer can't shuffle by {self.shuffle}")
        if bias.shape[0] not in (1, RATE_INDICES):
            raise ModelError(f"an integer layer has {bias.shape[0]} biases, not 1 or one a rate")
        if weight.size and not -(2**31) <= int(weight.min()) <= int(weight.max()) < 2**31:
            raise ModelError("an integer layer's weights need more than 32 bits")
        if not (self.low <= 0 <= self.high and 0 <= self.shift < 48):
            raise ModelError("an integer layer's clamp or shift is out of range")

    def bound(self, largest: int) -> int:
        """Return the largest magnitude that a partial sum can take for inputs up to `largest`."""
        # In Python's integers: what proves that nothing overflows must not overflow itself.
        rows = np.abs(self.weight.astype(np.int64)).reshape(len(self.weight), -1)
        weights = rows.sum(1).tolist()
        biases = [max(map(abs, rows)) for rows in self.bias.T.tolist()]
        sums = [w * largest + b for w, b in zip(weights, biases, strict=True)]
        return max(sums) + (1 << self.shift)

    @cached_property
    def _scaled_weight(self) -> Values:
        """The weight in units of the output, float64: [taps, O, I], or [taps, C] if depthwise.

        A power of two moves no digit of a sum, so sums stay exact.
        """
        outputs, inputs = self.weight.shape[:2]
        taps = self.weight.astype(np.float64).transpose(2, 3, 0, 1).reshape(-1, outputs, inputs)
        taps *= 2.0**-self.shift
        return np.ascontiguousarray(taps[:, :, 0] if self.groups > 1 else taps)

    @cached_property
    def _scaled_bias(self) -> Values:
        """The bias and a half, in units of the output, float64 [R, O, 1]."""
        bias: Values = (self.bias + (1 << self.shift >> 1)) * 2.0**-self.shift
        return bias[:, :, None]

    @cached_property
    def _single(self) -> Values:
        """The weight in units of the output, float32."""
        return self._scaled_weight.astype(np.float32)

    @cached_property
    def _parts(self) -> Parts:
        """What decides which sums float32 holds; of a depthwise layer, of its taps."""
        weight = self.weight.reshape(len(self.weight), -1)
        largest_bias = int(np.abs(self.bias).max(initial=0)) + (1 << self.shift)
        return Parts(weight, largest_bias)

    def apply(self, x: Values, rate_index: int) -> Values:
        """Map integers [I, h, w] to integers [O, h * shuffle, w * shuffle], both in floats.

        Args:
            x: the input.
            rate_index: 0..63, chooses the row of the bias.
        """
        bias = self._scaled_bias[min(rate_index, len(self.bias) - 1)]
        made = self._depthwise(x, bias) if self.groups > 1 else self._dense(x, bias)
        return _shuffled(made, self.shuffle) if self.shuffle > 1 else made

    def _finish(self, sums: Values, bias: Values) -> None:
        """Round and clamp sums [C, n] in place."""
        sums += bias
        np.floor(sums, out=sums)
        np.clip(sums, self.low, self.high, out=sums)

    def _result(self, *shape: int) -> Values:
        """Return an array for what a clamp leaves."""
        return np.empty(shape, np.float32 if self.largest_output < SINGLE else np.float64)

    def _dense(self, x: Values, bias: Values) -> Values:
        """Apply an ordinary convolution: one matrix product per tap, some columns at a time."""
        kernel, (_, height, width) = self.weight.shape[-1], x.shape
        result = self._result(len(self.weight), height * width)
        flat = x.reshape(len(x), -1)
        single = kernel == 1 and x.dtype == np.float32 and single_is_exact()
        parts = self._parts.of(flat) if single else None
        if parts is None:
            x = x.astype(np.float64, copy=False)
            planes = [x]
            if kernel > 1:
                wide = _framed(x, kernel // 2)
                planes = [_shifted(wide, tap, kernel, height, width) for tap in range(kernel**2)]
            pairs = [
                (weight, np.ascontiguousarray(plane).reshape(len(x), -1))
                for weight, plane in zip(self._scaled_weight, planes, strict=True)
            ]
        else:
            pairs = [(self._single[0, :, part], flat[part]) for part in parts]
            if len(parts) == 1:
                bias = bias.astype(np.float32)
        for start in range(0, height * width, _COLUMNS):
            part = slice(start, start + _COLUMNS)
            sums, *rest = (weight @ plane[:, part] for weight, plane in pairs)
            if rest:
                # Each sum is exact; all of them together may need more digits.
                sums = sums.astype(np.float64, copy=False)
                for each in rest:
                    sums += each
            self._finish(sums, bias)
            result[:, part] = sums
        return result.reshape(-1, height, width)

    def _depthwise(self, x: Values, bias: Values) -> Values:
        """Apply a depthwise convolution: shifted planes, added up, some channels at a time."""
        kernel, (channels, height, width) = self.weight.shape[-1], x.shape
        # Products and sums of arrays: no library of matrix products takes part.
        single = x.dtype == np.float32 and self._parts.holds_taps(x.reshape(channels, -1))
        kind = np.float32 if single else np.float64
        weights, bias = self._scaled_weight.astype(kind), bias.astype(kind)
        result = self._result(*x.shape)
        count = max(_ELEMENTS // (height * width), 1)
        sums, product = np.empty((2, min(count, channels), height, width), kind)
        for start in range(0, channels, count):
            part = slice(start, min(start + count, channels))
            wide = _framed(x[part].astype(kind, copy=False), kernel // 2)
            own, each = sums[: len(wide)], product[: len(wide)]
            for tap, weight in enumerate(weights[:, part, None, None]):
                shifted = _shifted(wide, tap, kernel, height, width)
                np.multiply(shifted, weight, out=each if tap else own)
                if tap:
                    own += each
            self._finish(own.reshape(len(own), -1), bias[part])
            result[part] = own
        return result


def _framed(x: Values, margin: int) -> Values:
    """Return planes with a border of zeros."""
    channels, height, width = x.shape
    wide = np.zeros((channels, height + 2 * margin, width + 2 * margin), x.dtype)
    wide[:, margin : margin + height, margin : margin + width] = x
    return wide


def _shifted(wide: Values, tap: int, kernel: int, height: int, width: int) -> Values:
    """Return what one tap of a kernel covers of a framed plane [C, h, w]."""
    down, across = divmod(tap, kernel)
    return wide[:, down : down + height, across : across + width]


def _shuffled(x: Values, factor: int) -> Values:
    """Pixel-shuffle [C * f^2, h, w] to [C, h * f, w * f]."""
    channels, height, width = len(x) // factor**2, *x.shape[1:]
    parts = x.reshape(channels, factor, factor, height, width).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(parts).reshape(channels, height * factor, width * factor)


class ExactNet:
    """A chain of integer layers, proven exact when it is built.

    Args:
        layers: in order.
        largest_input: the largest magnitude of an input element; callers must keep to it.

    Attributes:
        worst_sum: the largest magnitude that any sum can take.

    Raises:
        ModelError: If the layers don't fit together, or float64 can't hold the sums.
    """

    def __init__(self, layers: Sequence[ExactLayer], largest_input: int) -> None:
        if not layers:
            raise ModelError("an integer network needs at least one layer; the weights are damaged")
        self.layers = tuple(layers)
        self.largest_input = largest_input
        worst = largest = largest_input
        inputs = self.inputs
        for layer in self.layers:
            layer.check(inputs)
            worst = max(worst, layer.bound(largest))
            largest, inputs = layer.largest_output, layer.outputs
        if worst >= _LIMIT:
            raise ModelError(
                f"an integer network's sums reach {worst}, and float64 is exact only below 2^53; "
                "export it with fewer fractional bits"
            )
        self.worst_sum = worst
        self._runner: Runner = self.by_numpy

    def run_by(self, runner: Runner) -> None:
        """Let something else run the layers; it has to give the same integers.

        Args:
            runner: does what by_numpy() does.
        """
        self._runner = runner

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return self.layers[-1].outputs

    @property
    def largest_output(self) -> int:
        """The largest magnitude of an output element."""
        return self.layers[-1].largest_output

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return all integers by name, as a weights file holds them."""
        found: dict[str, Array] = {}
        for place, layer in enumerate(self.layers):
            found[f"{prefix}.{place}.weight"] = layer.weight
            found[f"{prefix}.{place}.bias"] = layer.bias
            fields = [getattr(layer, name) for name in _FIELDS]
            found[f"{prefix}.{place}.fields"] = np.array(fields, np.int32)
        return found

    @classmethod
    def from_arrays(cls, found: Mapping[str, Array], prefix: str, largest_input: int) -> ExactNet:
        """Build a network from the result of arrays().

        Args:
            found: arrays by name.
            prefix: of the names.
            largest_input: see the class.

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of a network.
        """
        layers: list[ExactLayer] = []
        while f"{prefix}.{len(layers)}.weight" in found:
            name = f"{prefix}.{len(layers)}"
            values = dict(zip(_FIELDS, found[f"{name}.fields"].tolist(), strict=True))
            layers.append(ExactLayer(found[f"{name}.weight"], found[f"{name}.bias"], **values))
        return cls(layers, largest_input)

    def __call__(self, x: Array, rate_index: int) -> Integers:
        """Map whole numbers [..., I, h, w] to int32 [..., O, H, W].

        Args:
            x: the input, int32, or float32 that holds whole numbers.
            rate_index: 0..63.
        """
        return self._runner(x, rate_index)

    def by_numpy(self, x: Array, rate_index: int) -> Integers:
        """Do the same with numpy, whatever run_by() was given."""
        *lead, channels, height, width = x.shape
        planes = x.reshape(-1, channels, height, width)
        with one_blas_thread():
            found = [self._plane(each, rate_index) for each in planes]
        return np.stack(found).reshape(*lead, *found[0].shape)

    def _plane(self, x: Array, rate_index: int) -> Integers:
        single = self.largest_input < SINGLE
        values: Values = np.ascontiguousarray(x, np.float32 if single else np.float64)
        for layer in self.layers:
            values = layer.apply(values, rate_index)
        return values.astype(np.int32)
