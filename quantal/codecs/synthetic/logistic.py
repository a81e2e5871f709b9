"""Probabilities of binary decisions in whole numbers: counters, and mixtures of them.

A decision's probability is mixed in the logistic domain (Mahoney 2005, "Adaptive weighing of
context models for lossless data compression"). All decisions of a front are mixed with the weights
from before the front; then counters and weights learn from all of them at once. Nothing here is a
rounded float: sums of products run in float64 where all of them stay below 2^53.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

__all__ = [
    "CERTAIN",
    "LARGEST",
    "STRETCH",
    "Counters",
    "Mixer",
    "compiled_loops",
    "squash",
    "stretch",
]

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]

#: Stretched probabilities count 1/256 of a nat: ln(p / (1 - p)) = value / 256, at most LARGEST.
_UNIT = 256
LARGEST = 12 * _UNIT
#: Probabilities are whole numbers of 1/65536, counters' of 1/4096.
CERTAIN = 1 << 16
_COUNTED = 1 << 12
_WEIGHT = 1 << 16
_LARGEST_WEIGHT = 1 << 21


def _squash_table() -> Ints:
    """Return the probabilities of -LARGEST..LARGEST, by powers of e^(1/256) in 2^-62ths."""
    one = 1 << 62
    step, term, number = 0, one, 1
    while term:  # the series of e^(1/256)
        step += term
        term //= _UNIT * number
        number += 1
    power, rising = one, []
    for _ in range(LARGEST + 1):
        rising.append(min((power << 16) // (power + one), CERTAIN - 1))
        power = power * step >> 62
    falling = [max(CERTAIN - p, 1) for p in rising[:0:-1]]
    return np.array(falling + rising, np.int64)


_SQUASH = _squash_table()
STRETCH = (
    np.searchsorted(_SQUASH[1:], np.arange(_COUNTED) * 16 + 8, side="right") - LARGEST
).astype(np.int64)


@lru_cache(maxsize=1)
def compiled_loops() -> ModuleType | None:
    """Return the module of compiled loops, or None where Numba is not installed."""
    try:
        from quantal.codecs.synthetic import loops as found
    except ImportError:
        return None
    return found


def squash(values: Ints) -> Ints:
    """Map stretched values -LARGEST..LARGEST to probabilities 1..65535 of 1/65536."""
    return _SQUASH.take(values + LARGEST)


def stretch(probabilities: Ints) -> Ints:
    """Map probabilities 0..4095 of 1/4096 to stretched values."""
    return STRETCH.take(probabilities)


class Counters:
    """Counts of zeros and ones, for each of so many contexts.

    Args:
        contexts: how many.
        most: a context's counts are halved when there are more decisions than this.

    Attributes:
        counts: int32, of zeros and of ones in turn.
    """

    def __init__(self, contexts: int, most: int = 510) -> None:
        # Twice the decisions, and one before the first (Krichevsky and Trofimov 1981).
        self.counts = np.ones(2 * contexts, np.int32)
        self._most = 2 * most

    def probabilities(self, contexts: Ints) -> Ints:
        """Return those of a one, 0..4095, for contexts of any shape."""
        if fast := compiled_loops():
            out = np.empty(contexts.shape, np.int64)
            fast.probabilities(self.counts, contexts.ravel(), out.reshape(-1))
            return out
        ones = self.counts.take(2 * contexts + 1)
        both = self.counts.take(2 * contexts) + ones
        found: Ints = (ones * _COUNTED // both).astype(np.int64)
        return found

    def stretched(self, contexts: Ints, out: Ints) -> None:
        """Write the stretched probabilities of a one to out, contiguous, of the same shape."""
        if fast := compiled_loops():
            fast.stretched(self.counts, contexts.ravel(), STRETCH, out.reshape(-1))
        else:
            out[...] = stretch(self.probabilities(contexts))

    def learn(self, contexts: Ints, bits: Bits) -> None:
        """Count decisions: contexts [..., n], bits [n] or of the same shape."""
        if fast := compiled_loops():
            fast.count(self.counts, contexts.ravel(), bits.ravel(), self._most)
            return
        np.add.at(self.counts, (2 * contexts + bits).reshape(-1), 2)
        contexts = contexts.reshape(-1)
        full = self.counts.take(2 * contexts) + self.counts.take(2 * contexts + 1) > self._most
        if full.any():
            found = np.unique(contexts[full])
            for places in (2 * found, 2 * found + 1):
                self.counts[places] = (self.counts[places] >> 1) | 1


class Mixer:
    """Weighs stretched probabilities, with weights that learn.

    Args:
        sets: of weights, one of which each decision chooses.
        inputs: how many probabilities there are.
        rate: how fast weights learn.
        together: decisions of a front that count as many; more than this share what they teach.
    """

    def __init__(self, sets: int, inputs: int, rate: int, together: int) -> None:
        self._weights = np.full((sets, inputs), _WEIGHT * 3 // 10, np.int64)
        self._rows = np.zeros(sets, np.int64)
        self._steps, self._counts = np.zeros_like(self._weights), np.zeros(sets, np.int64)
        self._rate, self._together = rate, together

    def mix(self, chosen: Ints, inputs: Ints) -> Ints:
        """Return stretched probabilities [n] of inputs [I, n], by sets [n]."""
        if fast := compiled_loops():
            out = np.empty(len(chosen), np.int64)
            fast.mix(self._weights, chosen, inputs, LARGEST, out)
            return out
        weights = self._weights.take(chosen, axis=0)
        mixed = np.einsum("ni,in->n", weights, inputs) >> 16
        return np.minimum(np.maximum(mixed, -LARGEST), LARGEST)

    def learn(self, chosen: Ints, inputs: Ints, errors: Ints) -> None:
        """Move the weights: errors [n], by which probabilities fell short of the decisions."""
        if fast := compiled_loops():
            pace = (self._rate, self._together, _LARGEST_WEIGHT)
            fast.teach(self._weights, self._steps, self._counts, chosen, inputs, errors, *pace)
            return
        counts = np.bincount(chosen, minlength=len(self._weights))
        sets = np.flatnonzero(counts)
        self._rows[sets] = np.arange(len(sets))
        spread = np.zeros((len(sets), len(chosen)))
        spread[self._rows.take(chosen), np.arange(len(chosen))] = errors
        # |error| < 2^16, |input| < 2^12: exact for any front.
        steps = (spread @ inputs.T.astype(np.float64)).astype(np.int64)
        share = np.maximum(counts[sets], self._together)[:, None]
        moved = self._weights[sets] + (steps * (self._rate * self._together) // share >> 16)
        self._weights[sets] = np.minimum(np.maximum(moved, -_LARGEST_WEIGHT), _LARGEST_WEIGHT)
