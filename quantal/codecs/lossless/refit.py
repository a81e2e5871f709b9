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
    Workspace,
    scale_index,
)
from quantal.codecs.lossless.residuals import even
from quantal.entropy.coder import Decoder, Encoder
from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError

__all__ = [
    "CHANGE_TABLES",
    "WORTHWHILE",
    "Changes",
    "Equations",
    "Sample",
    "class_bounds",
    "fit",
    "put_changes",
    "take_changes",
    "unchanged",
]

#: Least samples of a step that changes are sent for.
WORTHWHILE = 8192
#: Weights change by multiples of 2^-4, ..., 2^-MEAN_BITS.
_FINEST, _COARSEST = 0, MEAN_BITS - 4
#: Gains are multiples of this many steps of Hidden.fine, and at most this many either way.
_GAIN, _MOST_GAIN = 2, 15
#: Tables by which changes are coded; their means grow by the square root of 2, from 1/4 on.
CHANGE_TABLES = 16
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
#: One of so many samples is priced.
_PRICED = 8
#: Samples of a step from which on several classes are tried.
_MANY = 1 << 15


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


#: Tables of what is sent beside the changes themselves.
_CHOICE, _BOUND, _OF_GAIN, _UNIT, _SPREAD = range(5)
_PLAIN = TableSet.from_weights(
    [0, 0, -_MOST_GAIN, 0, 0],
    [
        even(count)
        for count in (len(_CHOICES), SCALES, 2 * _MOST_GAIN + 1, _COARSEST + 1, CHANGE_TABLES)
    ],
)


def _parts(network: StepNetwork) -> tuple[slice, slice]:
    """Return the weights of inputs and those of hidden values, which have units of their own."""
    return slice(network.inputs), slice(network.inputs, None)


def put_changes(
    changes: Changes | None, network: StepNetwork, tables: TableSet, encoder: Encoder
) -> None:
    """Write the changes of a step; None for none.

    Args:
        changes: what is written.
        network: of the step.
        tables: CHANGE_TABLES tables, of small changes to large ones.
        encoder: takes them.
    """

    def put(values: Any, table: int) -> None:
        found = np.array(values, np.int32).reshape(-1)
        encoder.put(found, np.full(len(found), table, np.uint8), _PLAIN)

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
            encoder.put(steps, np.full(len(steps), spread, np.uint8), tables)


def take_changes(network: StepNetwork, tables: TableSet, decoder: Decoder) -> Changes | None:
    """Read the result of put_changes(); for the arguments see there.

    Raises:
        BitstreamError: If there is none.
    """

    def take(count: int, table: int) -> npt.NDArray[np.int32]:
        found = decoder.take(np.full(count, table, np.uint8), _PLAIN)
        first = int(_PLAIN.first[table])
        last = first + int(_PLAIN.slots[table]) - 2
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
            steps = decoder.take(np.full(len(own), spread, np.uint8), tables)
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
    return int(np.clip(round(2 * (np.log2(max(mean, 2.0**-2)) + 2)), 0, CHANGE_TABLES - 1))


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
        room: inputs and hidden values, as in StepNetwork.room() [K + h2 + 2, n].
        fine: int32 [n], as in Hidden.
        base: of the predictions [n].
        true: the samples themselves [n].
        first: the samples of the first channel at the same places [n], if it is another.
    """

    room: Values
    fine: npt.NDArray[np.int32]
    base: Values
    true: npt.NDArray[Any]
    first: Values | None

    def every(self, number: int) -> Sample:
        """Return a copy of every so many of the samples."""
        first = None if self.first is None else self.first[::number].copy()
        return Sample(
            self.room[:, ::number].copy(),
            self.fine[::number].copy(),
            self.base[::number].copy(),
            self.true[::number].astype(np.int32),
            first,
        )


def class_bounds(fine: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """Return the scales that divide samples into three classes, by Hidden.fine of some [n]."""
    return np.quantile(scale_index(fine), (0.34, 0.67)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Equations:
    """Normal equations of weighted least squares, for each class of samples.

    Attributes:
        bounds: of the classes, as in Changes.
        squares: float64 [classes, F, F]; of F = K + h2 + 2 rows of StepNetwork.room().
        right: float64 [classes, F].
        count: samples that they are of.
        priced: some of these samples.
    """

    bounds: npt.NDArray[np.uint8]
    squares: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    count: int
    priced: list[Sample]

    @classmethod
    def of(
        cls,
        sample: Sample,
        network: StepNetwork,
        extra: int,
        bounds: npt.NDArray[np.uint8],
        space: Workspace,
    ) -> Equations:
        """Return the equations of some samples."""
        wrong = sample.true - sample.base - _plain(network, extra) @ sample.room
        scale = np.exp2(np.float32(extra) + sample.fine / np.float32(FINE_SCALES))
        deviation = np.sqrt(np.square(_DEVIATION * scale) + np.float32(0.1))
        trust = np.minimum(_TRUSTED * deviation / np.maximum(np.abs(wrong), 1e-3), 1)
        weight = (np.sqrt(trust) / deviation).astype(np.float32)
        label = np.searchsorted(bounds, scale_index(sample.fine), side="right").astype(np.uint8)
        order = np.argsort(label, kind="stable")
        ends = np.cumsum(np.bincount(label, minlength=len(bounds) + 1))
        count = len(order)
        features = space.array("weighted", len(sample.room), count)
        np.take(sample.room, order, axis=1, out=features, mode="clip")
        features *= weight[order]
        wanted = (wrong * weight)[order].astype(np.float32)
        parts = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        return cls(
            bounds,
            np.stack([features[:, each] @ features[:, each].T for each in parts]).astype(float),
            np.stack([features[:, each] @ wanted[each] for each in parts]).astype(float),
            count,
            [sample.every(_PRICED)],
        )

    @classmethod
    def joined(cls, parts: list[Equations]) -> Equations:
        """Return the equations of all samples of several parts."""
        return cls(
            parts[0].bounds,
            np.sum([each.squares for each in parts], axis=0),
            np.sum([each.right for each in parts], axis=0),
            sum(each.count for each in parts),
            [sample for each in parts for sample in each.priced],
        )


def _sizes(network: StepNetwork, extra: int) -> npt.NDArray[np.float64]:
    """Return what a unit of each row of StepNetwork.room() is worth, in samples [F]."""
    found = np.full(network.features, 2.0 ** (extra - HIDDEN_BITS))
    found[: network.inputs] = 1
    # Ones are there twice; those between inputs and hidden values serve no mean.
    found[network.inputs], found[-1] = 0, 2.0**extra
    return found


def _units(network: StepNetwork) -> npt.NDArray[np.float64]:
    """Return the units of changes, by row of StepNetwork.room() [F]."""
    found = np.full(network.features, 2.0 ** -(MEAN_BITS + INDIRECT_BITS))
    found[: network.inputs + 1] = 2.0**-MEAN_BITS
    return found


def _plain(network: StepNetwork, extra: int) -> Values:
    """Return the weights of a mean, in samples, by row of StepNetwork.room(), float32 [F]."""
    own = np.concatenate([network.direct, [0], network.indirect])
    found: Values = (own * _units(network) * _sizes(network, extra)).astype(np.float32)
    return found


#: Returns the bits of samples, by themselves, their means in 2^-MEAN_BITS less their base, and
#: their scales.
Cost = Callable[[Sample, npt.NDArray[Any], npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


def fit(
    equations: Equations, network: StepNetwork, extra: int, count: int, cost: Cost
) -> Changes | None:
    """Return the changes that save most, or None if none save anything.

    Args:
        equations: of some samples of the step.
        network: of the step.
        extra: bits of samples beyond 8.
        count: how many samples the step has in all.
        cost: prices samples.
    """
    problem = _Problem(equations, network, extra, count, cost)
    choices = _CHOICES if count >= _MANY else _CHOICES[:2]
    return min((problem.solve(each) for each in choices), key=lambda found: found[0])[1]


class _Problem:
    """The choice of changes; for the arguments see fit()."""

    def __init__(
        self, equations: Equations, network: StepNetwork, extra: int, count: int, cost: Cost
    ) -> None:
        self._equations, self._network, self._cost = equations, network, cost
        self._share = count / equations.count
        self._sizes, self._units = _sizes(network, extra), _units(network)
        self._there = np.flatnonzero(self._sizes)
        plain = _plain(network, extra)
        self._extra = extra
        self._plain = [plain @ each.room for each in equations.priced]
        self._label = [
            np.searchsorted(equations.bounds, scale_index(each.fine), side="right")
            for each in equations.priced
        ]
        priced = sum(len(each.fine) for each in equations.priced)
        self._worth = count / max(priced, 1)

    def solve(self, classes: int) -> tuple[float, Changes | None]:
        """Return the bits of the step with so many classes, and the changes."""
        squares, right = self._equations.squares, self._equations.right
        if classes == 1:
            squares, right = squares.sum(0, keepdims=True), right.sum(0, keepdims=True)
        weights = np.zeros((max(classes, 1), len(self._there)), np.int32)
        price = 0.0
        for each in range(classes):
            weights[each] = self._rounded(squares[each], right[each])
            price += _cost_of(weights[each], self._network)
        change = np.zeros((len(weights), len(self._sizes)), np.float32)
        change[:, self._there] = (weights * (self._units * self._sizes)[self._there]).astype(
            np.float32
        )
        labels = self._label if classes > 1 else [np.zeros_like(each) for each in self._label]
        means = [
            plain + (change @ each.room)[label, np.arange(len(label))]
            for plain, each, label in zip(self._plain, self._equations.priced, labels, strict=True)
        ]
        gains = np.zeros(len(weights), np.int32)
        if classes:
            gains = self._gains(means, labels, len(weights))
        bits = 0.0
        for sample, mean, label in zip(self._equations.priced, means, labels, strict=True):
            whole = np.rint(mean.astype(np.float64) * 2.0**MEAN_BITS)
            bits += float(self._cost(sample, whole, scale_index(sample.fine, gains[label])).sum())
        total = bits * self._worth + price
        if not classes:
            return total, None
        bounds = self._equations.bounds if classes > 1 else self._equations.bounds[:0]
        return total, Changes(bounds, weights, gains)

    def _gains(
        self, means: list[Values], labels: list[npt.NDArray[np.intp]], classes: int
    ) -> npt.NDArray[np.int32]:
        """Return the gain of each class: how much smaller its errors are than scales say."""
        label = np.concatenate(labels)
        unusual = np.concatenate(
            [
                np.abs(each.true - each.base - mean)
                / np.exp2(self._extra + each.fine / FINE_SCALES)
                for each, mean in zip(self._equations.priced, means, strict=True)
            ]
        )
        number = np.bincount(label, minlength=classes)
        sums = np.bincount(label, np.minimum(unusual, 8), minlength=classes)
        ratio = np.where(number > 0, sums / np.maximum(number, 1), _USUAL)
        found = np.rint(FINE_SCALES * np.log2(np.maximum(ratio, 1e-3) / _USUAL) / _GAIN)
        return np.clip(found, -_MOST_GAIN, _MOST_GAIN).astype(np.int32) * _GAIN

    def _rounded(
        self, squares: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int32]:
        """Return the change that solves equations, in units as coarse as the samples deserve."""
        sizes, units = self._sizes[self._there], self._units[self._there]
        scaled = squares[np.ix_(self._there, self._there)] * np.outer(sizes, sizes)
        change = _solved(scaled, right[self._there] * sizes)
        found = np.zeros(len(change), np.int32)
        for part in _parts(self._network):
            # Bits that an error of a weight costs, against the bits that a finer unit does.
            sharpness = float(np.median(np.diagonal(scaled)[part])) * self._share
            best = np.sqrt(12 / max(sharpness, 1e-9)) / units[part][0]
            unit = int(np.clip(np.floor(np.log2(max(best, 1))), _FINEST, _COARSEST))
            whole = np.rint(change[part] / units[part] / 2.0**unit)
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
