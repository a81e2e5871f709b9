"""Differences to a prediction, as binary decisions: zero, sign, exponent, mantissa.

Many contexts have counters for each decision, found by hashes; a mixer weighs them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.decisions import Decisions
from quantal.codecs.synthetic.logistic import (
    STRETCH,
    Bits,
    Counters,
    Ints,
    Mixer,
    compiled_loops,
    squash,
    stretch,
)

__all__ = ["CLASSES", "Residuals"]

_U = np.uint64
#: Counters that have seen fewer zeros and fewer ones than this go by what such ones came to.
_FEW = 8
_MOST = 254
#: A mixer has a set of weights for each kind of decision and each class.
_KINDS, CLASSES = 64, 16
_SIGN, _EXPONENT, _MANTISSA = 1, 2, 18
_FIRST, _SECOND = _U(0xD6E8FEB86659FD93), _U(0x9E3779B97F4A7C15)


class Residuals:
    """Codes whole numbers -128..127.

    Args:
        contexts: how many each number has.
        bits: 2^bits counters are kept.
    """

    def __init__(self, contexts: int, bits: int) -> None:
        self._shift = _U(64 - bits)
        self._counts = np.zeros(2 << bits, np.uint16)
        self._new = Counters(contexts * _FEW * _FEW)
        self._sources = np.arange(contexts)[:, None]
        self._mixers = [Mixer(_KINDS * CLASSES, contexts + 1, 14, 6) for _ in range(2)]

    def _decide(
        self,
        coding: Decisions,
        contexts: npt.NDArray[np.uint64],
        at: Ints,
        nodes: Ints,
        kinds: Ints,
        classes: tuple[Ints, Ints],
        bits: Bits,
    ) -> Bits:
        """Code one decision of some numbers.

        Args:
            coding: what to do with it.
            contexts: mixed keys of all numbers [J, N].
            at: which numbers [n].
            nodes: which decision it is [n].
            kinds: of decisions, below _KINDS [n].
            classes: of all numbers, below CLASSES, one for each mixer [N].
            bits: the decisions [n].
        """
        inputs = np.empty((len(contexts) + 1, len(at)), np.int64)
        inputs[-1] = 256
        counters = self._expect(contexts, at, nodes, inputs)
        sets = [kinds * CLASSES + part[at] for part in classes]
        mixed = [m.mix(s, inputs) for m, s in zip(self._mixers, sets, strict=True)]
        bits = coding.decide(squash((mixed[0] + mixed[1]) >> 1), bits)
        target = bits * 65535
        for mixer, chosen, found in zip(self._mixers, sets, mixed, strict=True):
            mixer.learn(chosen, inputs, target - squash(found))
        self._learn(*counters, bits)
        return bits

    def _expect(
        self, contexts: npt.NDArray[np.uint64], at: Ints, nodes: Ints, inputs: Ints
    ) -> tuple[Ints, Ints]:
        """Write what counters expect of decisions to inputs, stretched.

        Returns:
            Where the counters are [J, n], and what those of few decisions are; else -1 [J, n].
        """
        if fast := compiled_loops():
            zeros = np.empty((len(contexts), len(at)), np.int64)
            states = np.empty_like(zeros)
            tables = (self._counts, self._new.counts, STRETCH)
            fast.expect(*tables, contexts, at, nodes, self._shift, _FEW, zeros, states, inputs)
            return zeros, states
        keys = contexts[:, at] + nodes.astype(_U) * _FIRST
        keys ^= keys >> _U(31)
        keys *= _SECOND
        zeros = ((keys >> self._shift) << _U(1)).view(np.int64)
        n0 = self._counts.take(zeros).astype(np.int64)
        n1 = self._counts.take(zeros + 1).astype(np.int64)
        few = (n0 < _FEW) & (n1 < _FEW)
        states = np.where(few, (self._sources * _FEW + n0) * _FEW + n1, -1)
        counted = (n1 * 8192 + 4096) // (2 * (n0 + n1) + 2)
        known = self._new.probabilities(np.maximum(states, 0))
        inputs[:-1] = stretch(np.where(few, known, counted))
        return zeros, states

    def _learn(self, zeros: Ints, states: Ints, bits: Bits) -> None:
        """Count decisions [n] with the counters of _expect()."""
        few = states >= 0
        self._new.learn(states[few], np.broadcast_to(bits, few.shape)[few])
        if fast := compiled_loops():
            fast.learn(self._counts, zeros, bits, _MOST)
            return
        full = self._counts.take(zeros) + self._counts.take(zeros + 1) >= _MOST
        # One more of what came; what did not come fades (Mahoney's nonstationary states).
        other = (zeros + ~bits).reshape(-1)
        np.add.at(self._counts, (zeros + bits).reshape(-1), np.uint16(1))
        faded = self._counts.take(other)
        self._counts[other] = np.where(faded > 4, (faded + np.uint16(4)) >> np.uint16(1), faded)
        if full.any():
            found = np.unique(zeros[full])
            for places in (found, found + 1):
                self._counts[places] >>= np.uint16(1)

    def code(
        self,
        coding: Decisions,
        contexts: npt.NDArray[np.uint64],
        classes: tuple[Ints, Ints],
        values: Ints,
    ) -> Ints:
        """Code numbers.

        Args:
            coding: what to do with them.
            contexts: mixed keys [J, n].
            classes: two of each number, below CLASSES [n].
            values: the numbers [n]; a reader ignores them.

        Returns:
            The numbers [n].
        """

        def decide(at: Ints, node: Ints, kind: Ints, bits: Bits) -> Bits:
            return self._decide(coding, contexts, at, node, kind, classes, bits)

        count = len(values)
        everywhere, none = np.arange(count), np.zeros(count, np.int64)
        is_zero = decide(everywhere, none, none, values == 0)
        found = none.copy()
        at = np.flatnonzero(~is_zero)
        if not len(at):
            return found
        values, none = values[at], none[at]
        negative = decide(at, none + _SIGN, none + _SIGN, values < 0).astype(np.int64)
        size = np.abs(values)
        exponent, open_ = none.copy(), np.arange(len(at))
        for step in range(7):
            node = _EXPONENT + negative[open_] * 8 + step
            more = decide(at[open_], node, node, size[open_] >> (step + 1) > 0)
            open_ = open_[more]
            if not len(open_):
                break
            exponent[open_] += 1
        mantissa = none + 1
        for step in range(6, -1, -1):
            open_ = np.flatnonzero(exponent > step)
            if not len(open_):
                continue
            own = exponent[open_]
            node = 64 + (negative[open_] * 8 + own) * 256 + mantissa[open_]
            kind = np.minimum(_MANTISSA + np.minimum(own - 1 - step, 3) * 8 + own, _KINDS - 1)
            bits = decide(at[open_], node, kind, (size[open_] >> step) & 1 == 1)
            mantissa[open_] = 2 * mantissa[open_] + bits
        found[at] = np.where(negative, -mantissa, mantissa)
        return found
