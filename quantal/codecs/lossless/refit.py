"""Means fitted to a picture: the encoder adapts the last weights of a step, and sends the changes.

A network knows pictures in general; how channels and neighbours depend on each other in this one is
what least squares tell (as in lossless coders that send their predictors, such as Matsuda et al.,
"Lossless coding using variable block-size adaptive prediction optimized for each image", 2005).
Samples are divided into classes by scale, each with changes of its own. Floating point decides here
what is sent, and never how it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.lattice import Values
from quantal.codecs.lossless.predictor import (
    FINE_SCALES,
    HIDDEN_BITS,
    INDIRECT_BITS,
    MEAN_BITS,
    SCALES,
    StepNetwork,
    scale_index,
)
from quantal.entropy.coder import Decoder, Encoder
from quantal.entropy.tables import TableSet, freeze
from quantal.errors import CorruptError

__all__ = ["WORTHWHILE", "Changes", "Sample", "fit", "put_changes", "take_changes", "unchanged"]

#: Least samples of a step that changes are sent for.
WORTHWHILE = 8192
#: Weights change by multiples of 2^-4, ..., 2^-MEAN_BITS.
_FINEST, _COARSEST = 0, MEAN_BITS - 4
#: Gains are multiples of this many steps of Hidden.fine, and at most this many either way.
_GAIN, _MOST_GAIN = 2, 15
#: Tables of Laplace's distribution, of means 2^-2, 2^-1.5, ..., by which changes are coded.
_SPREADS, _REACH = 16, 127
#: The largest change of a weight.
_LARGEST = 1 << 16
#: Numbers of classes that an encoder tries; none leaves the network as it is.
_CHOICES = (0, 1, 3)
#: The standard deviation that changes have for the encoder before it sees a picture.
_EXPECTED = 0.1
#: Squared errors below this many squared scales count in full, others less (Huber, 1964).
_TRUSTED = 2.5
#: Standard deviations in units of a table's scale, that of the logistic distribution.
_DEVIATION = 1.8
#: The usual magnitude of an error in units of a table's scale.
_USUAL = 1.386
#: About how many samples are priced.
_PRICED = 2048
#: Samples of a step from which on several classes are tried.
_MANY = 1 << 15

Cost = Callable[
    [npt.NDArray[np.intp], npt.NDArray[Any], npt.NDArray[np.uint8]], npt.NDArray[np.float32]
]


def _laplacian(mean: float) -> npt.NDArray[np.int32]:
    magnitudes = np.abs(np.arange(-_REACH, _REACH + 1))
    return freeze(np.exp(-magnitudes / mean), 2.0**-12)


# -- what is sent --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Changes:
    """What a step does otherwise in this picture.

    Attributes:
        bounds: the scales from which on each class but the first counts, uint8 [classes - 1].
        weights: int32 [classes, K + h2 + 1], to be added to a network's.
        gains: int32 [classes], to be added to logarithms of scales.
    """

    bounds: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.int32]
    gains: npt.NDArray[np.int32]

    def classes_of(self, fine: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8] | None:
        """Return the class of each sample, uint8 [n]; None if all have the same."""
        if not len(self.bounds):
            return None
        by_scale = np.searchsorted(self.bounds, np.arange(SCALES), side="right").astype(np.uint8)
        return by_scale.take(scale_index(fine))


def unchanged(network: StepNetwork) -> Changes:
    """Return changes that change nothing."""
    count = network.inputs + len(network.indirect)
    return Changes(np.zeros(0, np.uint8), np.zeros((1, count), np.int32), np.zeros(1, np.int32))


class _Side:
    """The tables of what is sent beside residuals."""

    def __init__(self) -> None:
        spreads = [_laplacian(2.0 ** (each / 2 - 2)) for each in range(_SPREADS)]
        self.weights = TableSet.from_weights([-_REACH] * _SPREADS, spreads)
        counts = (len(_CHOICES), SCALES, 2 * _MOST_GAIN + 1, _COARSEST + 1, _SPREADS)
        even = [freeze(np.full(count, 1.0), 2.0**-24) for count in counts]
        self.plain = TableSet.from_weights([0, 0, -_MOST_GAIN, 0, 0], even)


#: Tables of _Side.plain.
_CHOICE, _BOUND, _OF_GAIN, _UNIT, _SPREAD = range(5)


@cache
def _side() -> _Side:
    return _Side()


def _parts(network: StepNetwork) -> tuple[slice, slice]:
    """Return the weights of inputs and those of hidden values, which have units of their own."""
    return slice(network.inputs), slice(network.inputs, None)


def put_changes(changes: Changes | None, network: StepNetwork, encoder: Encoder) -> None:
    """Write the changes of a step; None for none."""
    side = _side()

    def put(values: Any, table: int) -> None:
        found = np.array(values, np.int32).reshape(-1)
        encoder.put(found, np.full(len(found), table, np.uint8), side.plain)

    put(0 if changes is None else _CHOICES.index(len(changes.weights)), _CHOICE)
    if changes is None:
        return
    put(changes.bounds, _BOUND)
    put(changes.gains // _GAIN, _OF_GAIN)
    for weights in changes.weights:
        for part in _parts(network):
            own = weights[part]
            unit = _unit_of(own)
            steps = own >> unit
            spread = _spread_of(steps)
            put([unit], _UNIT)
            put([spread], _SPREAD)
            encoder.put(steps, np.full(len(steps), spread, np.uint8), side.weights)


def take_changes(network: StepNetwork, decoder: Decoder) -> Changes | None:
    """Read the result of put_changes().

    Raises:
        BitstreamError: If there is none.
    """
    side = _side()

    def take(count: int, table: int) -> npt.NDArray[np.int32]:
        found = decoder.take(np.full(count, table, np.uint8), side.plain)
        first = int(side.plain.first[table])
        last = first + int(side.plain.slots[table]) - 2
        if count and not first <= int(found.min()) <= int(found.max()) <= last:
            raise CorruptError(
                f"a description of means has a value outside {first}..{last}: the image part is "
                "damaged"
            )
        return found

    classes = _CHOICES[int(take(1, _CHOICE)[0])]
    if not classes:
        return None
    bounds = take(classes - 1, _BOUND)
    if (np.diff(bounds) < 0).any():
        raise CorruptError("classes of scales are out of order: the image part is damaged")
    gains = take(classes, _OF_GAIN) * _GAIN
    weights = np.zeros((classes, network.inputs + len(network.indirect)), np.int32)
    for row in weights:
        for part in _parts(network):
            unit, spread = int(take(1, _UNIT)[0]), int(take(1, _SPREAD)[0])
            own = row[part]
            steps = decoder.take(np.full(len(own), spread, np.uint8), side.weights)
            if int(np.abs(steps.astype(np.int64)).max(initial=0)) > _LARGEST >> unit:
                raise CorruptError(
                    f"a weight changes by more than {_LARGEST}: the image part is damaged"
                )
            own[:] = steps << unit
    return Changes(bounds.astype(np.uint8), weights, gains)


def _unit_of(weights: npt.NDArray[np.int32]) -> int:
    """Return the largest power of two that all weights are multiples of, up to _COARSEST."""
    joined = int(np.bitwise_or.reduce(weights)) | 1 << _COARSEST
    return (joined & -joined).bit_length() - 1


def _spread_of(steps: npt.NDArray[np.int32]) -> int:
    """Return the table that codes steps in the fewest bits."""
    mean = float(np.abs(steps).mean()) if steps.size else 0.0
    return int(np.clip(round(2 * (np.log2(max(mean, 2.0**-2)) + 2)), 0, _SPREADS - 1))


def _cost_of(weights: npt.NDArray[np.int32], network: StepNetwork) -> float:
    """Return about how many bits the changes of one class take."""
    total = 16.0
    for part in _parts(network):
        steps = weights[part] >> _unit_of(weights[part])
        mean = max(float(np.abs(steps).mean()), 0.1)
        total += len(steps) * np.log2(2 * np.e * mean + 1)
    return total


# -- what the encoder decides --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sample:
    """Samples of a step that changes are fitted to.

    Attributes:
        inputs: float32 [K, n].
        hidden: float32 [h2, n], as in Hidden.
        fine: int32 [n], as in Hidden.
        target: samples less their base, float32 [n].
    """

    inputs: Values
    hidden: Values
    fine: npt.NDArray[np.int32]
    target: Values


def fit(sample: Sample, network: StepNetwork, extra: int, count: int, cost: Cost) -> Changes | None:
    """Return the changes that save most, or None if none save anything.

    Args:
        sample: of the step.
        network: of the step.
        extra: bits of samples beyond 8.
        count: how many samples the step has in all.
        cost: returns the bits of some of the sample, by their places in it, their means in
            2^-MEAN_BITS, and their scales.
    """
    problem = _Problem(sample, network, extra, count)
    choices = _CHOICES if count >= _MANY else _CHOICES[:2]
    return min((problem.solve(each, cost) for each in choices), key=lambda found: found[0])[1]


class _Problem:
    """Weighted least squares for the changes of a step; for the arguments see fit()."""

    def __init__(self, sample: Sample, network: StepNetwork, extra: int, count: int) -> None:
        self._network = network
        self._share = count / len(sample.target)
        scales = scale_index(sample.fine)
        self._bounds = np.quantile(scales[::7], (0.34, 0.67)).astype(np.uint8)
        label = np.searchsorted(self._bounds, scales, side="right").astype(np.uint8)
        #: Places in the sample, class by class, and where each class ends.
        self.order = np.argsort(label, kind="stable")
        self._ends = np.cumsum(np.bincount(label, minlength=len(self._bounds) + 1))
        self._fine = sample.fine[self.order]
        count_features = len(network.direct) + len(network.indirect)
        self._features = np.empty((count_features, len(sample.target)), np.float32)
        inputs = network.inputs
        np.take(sample.inputs, self.order, axis=1, out=self._features[:inputs], mode="clip")
        np.take(sample.hidden, self.order, axis=1, out=self._features[inputs:-1], mode="clip")
        self._features[inputs:-1] *= np.float32(2.0 ** (extra - HIDDEN_BITS))
        self._features[-1] = 2.0**extra
        units = np.full(len(self._features), 2.0**-MEAN_BITS, np.float32)
        units[inputs:] /= 1 << INDIRECT_BITS
        self._units = units
        own = np.concatenate([network.direct, network.indirect]).astype(np.float32) * units
        self._plain: Values = own @ self._features
        self._wrong = sample.target[self.order] - self._plain
        self._scale = np.exp2(np.float32(extra) + self._fine / np.float32(FINE_SCALES))
        deviation = np.sqrt(np.square(_DEVIATION * self._scale) + np.float32(0.1))
        trust = np.minimum(_TRUSTED * deviation / np.maximum(np.abs(self._wrong), 1e-3), 1)
        weight = np.sqrt(trust) / deviation
        #: By class: the normal equations.
        self._squares, self._right = [], []
        for each in range(len(self._ends)):
            part = self._class(each)
            features = self._features[:, part] * weight[part]
            self._squares.append((features @ features.T).astype(np.float64))
            self._right.append((features @ (self._wrong * weight)[part]).astype(np.float64))

    def _class(self, number: int, every: int = 1) -> slice:
        """Return the places of a class, or of every so many of it."""
        return slice(int(self._ends[number - 1]) if number else 0, int(self._ends[number]), every)

    def solve(self, classes: int, cost: Cost) -> tuple[float, Changes | None]:
        """Return the bits of the step with so many classes, and the changes."""
        every = max(len(self._fine) // _PRICED, 1)
        if not classes:
            part = slice(None, None, every)
            return self._priced(part, self._plain[part], 0, cost), None
        weights = np.zeros((classes, len(self._features)), np.int32)
        gains = np.zeros(classes, np.int32)
        total = 0.0
        for each in range(classes):
            if classes == 1:
                squares, right = sum(self._squares), sum(self._right)
                part = slice(None, None, every)
            else:
                squares, right = self._squares[each], self._right[each]
                part = self._class(each, every)
            weights[each] = self._rounded(squares, _solved(squares, right))
            total += _cost_of(weights[each], self._network)
            mean = (weights[each] * self._units) @ self._features[:, part]
            gains[each] = self._gain(part, mean)
            total += self._priced(part, self._plain[part] + mean, int(gains[each]), cost)
        bounds = self._bounds if classes > 1 else self._bounds[:0]
        return total, Changes(bounds, weights, gains)

    def _priced(self, part: slice, mean: Values, gain: int, cost: Cost) -> float:
        """Return the bits of all samples that a part of the sample stands for."""
        if not len(mean):
            return 0.0
        scale = scale_index(self._fine[part], gain)
        bits = cost(self.order[part], np.rint(mean * 2.0**MEAN_BITS), scale)
        return float(bits.sum()) * self._share * (part.step or 1)

    def _gain(self, part: slice, change: Values) -> int:
        """Return the gain of a class: how much smaller its errors are than scales say."""
        unusual = np.abs(self._wrong[part] - change) / self._scale[part]
        if not len(unusual):
            return 0
        ratio = float(np.minimum(unusual, 8).mean())
        found = FINE_SCALES * np.log2(max(ratio, 1e-3) / _USUAL)
        return int(np.clip(round(found / _GAIN), -_MOST_GAIN, _MOST_GAIN)) * _GAIN

    def _rounded(
        self, squares: npt.NDArray[np.float64], change: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int32]:
        """Return a change in whole units, as coarse as its number of samples deserves."""
        found = np.zeros(len(change), np.int32)
        for part in _parts(self._network):
            # Bits that an error of a weight costs, against the bits that a finer unit does.
            sharpness = float(np.median(np.diagonal(squares)[part])) * self._share
            best = np.sqrt(12 / max(sharpness, 1e-9)) / self._units[part][0]
            unit = int(np.clip(np.floor(np.log2(max(best, 1))), _FINEST, _COARSEST))
            whole = np.rint(change[part] / self._units[part] / 2.0**unit)
            most = min(_LARGEST >> unit, 1 << 14)
            found[part] = np.clip(whole, -most, most).astype(np.int32) << unit
        return found


def _solved(
    squares: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the solution of normal equations, drawn to zero where they say little."""
    damped = squares.copy()
    places = np.arange(len(right))
    damped[places, places] += squares[places, places] * 1e-4 + _EXPECTED**-2
    return np.linalg.solve(damped, right)
