"""The model of a picture's colours: which is likely at a position, by all that came before.

Fronts of positions are coded at once. A position in a flat surrounding costs one decision. For
others, contexts of growing neighbourhoods and repeats name colours; decisions ask whether the best
is right, whether any is, and which. What is left is a new colour, which `newcomers` codes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.decisions import Decisions
from quantal.codecs.synthetic.logistic import (
    Bits,
    Counters,
    Ints,
    Mixer,
    compiled_loops,
    squash,
    stretch,
)
from quantal.codecs.synthetic.newcomers import Newcomers
from quantal.codecs.synthetic.places import (
    ABSENT,
    NEIGHBOURS,
    Colours,
    Plane,
    fronts,
    hashed,
)
from quantal.codecs.synthetic.repeats import LENGTHS, Repeat, Repeats
from quantal.codecs.synthetic.slots import NONE, STATES, Found, Slots

__all__ = ["Model", "code_picture"]

_U = np.uint64
#: An odd number for each neighbour.
_MULTIPLIERS = hashed(hashed(np.arange(1, len(NEIGHBOURS) + 1, dtype=_U))) | _U(1)
#: How many of the nearest neighbours a context holds.
ORDERS = (2, 3, 4, 6, 9, 12, 16)
_ROWS = np.array(ORDERS) - 1
_SALTS = (np.arange(len(ORDERS), dtype=_U) * _U(0xA24BAED4963EE407))[:, None]
_COUNT = len(ORDERS)
_SOURCES = np.arange(_COUNT + 1)[:, None]
#: A surrounding of so many equal neighbours is flat.
_FLAT = 12
#: Neighbours that are candidates, and other predictions from them.
_NEAR, _SLOPES = 8, 4
#: At most so many candidates are asked for.
_CANDIDATES = 6
#: Questions: is it the best, is it any candidate, is it the first of them, is it a later one?
_BEST, _ANY, _FIRST, _LATER, _QUESTIONS = 0, 1, 2, 3, 4
_POWERS = (1 << np.arange(_NEAR))[:, None]
#: Where the contexts of patterns, of shapes and of hashes begin, behind those of sources; the end.
_STARTS = np.cumsum(
    [_QUESTIONS * each for each in ((_COUNT + 1) * 4 * STATES, 4 << _NEAR, 4096, 1 << 14)]
)[:, None]


def slopes(around: Colours) -> Colours:
    """Return colours that continue slopes, int32 [4, n], from neighbours [>= 6, n]."""
    found = np.zeros((_SLOPES, around.shape[1]), np.int32)
    known = np.maximum(around[:6], 0)
    for shift in (0, 8, 16):
        w, n, nw, _, ww, nn = (known >> shift) & 255
        for i, value in enumerate((w + n - nw, 2 * w - ww, 2 * n - nn, (w + n + 1) >> 1)):
            found[i] |= np.minimum(np.maximum(value, 0), 255) << shift
    return found


class Surroundings:
    """All that is known about positions before they are coded.

    Attributes:
        around: colours of the neighbours, int32 [J, n].
        keys: mixed keys of the contexts, uint64 [C, n].
        slots: of the contexts.
        first: int32 [C + 1, n], what slots and repeats name; NONE.
        second: int32 [C + 1, n].
        states: of these [C + 1, n].
        shape: which neighbours are alike, six bits [n].
        depth: the longest context with a slot, and 0 for none [n].
    """

    def __init__(
        self, around: Colours, keys: npt.NDArray[np.uint64], slots: Found, repeat: Repeat
    ) -> None:
        self.around, self.keys, self.slots = around, keys, slots
        self.first = np.concatenate([slots.first, repeat.colours[None]])
        self.second = np.concatenate([slots.second, np.full_like(repeat.colours[None], NONE)])
        # States of slots start at 4, so that 0 is free for none.
        self.states = np.concatenate([slots.states, repeat.kinds[None]])
        w, n, nw, ne, ww, nn = around[:6]
        self.shape: Ints = (
            (w == n) * 1
            + (w == nw) * 2
            + (n == nw) * 4
            + (n == ne) * 8
            + (w == ww) * 16
            + (n == nn) * 32
        )
        named = np.where(slots.first != NONE, np.arange(1, _COUNT + 1)[:, None], 0)
        self.depth: Ints = named.max(0)

    def __getitem__(self, at: Ints) -> Surroundings:
        """Return those of some positions."""
        part = object.__new__(Surroundings)
        part.around, part.keys, part.slots = self.around[:, at], self.keys[:, at], self.slots[at]
        part.first, part.second = self.first[:, at], self.second[:, at]
        part.states, part.shape, part.depth = self.states[:, at], self.shape[at], self.depth[at]
        return part


class _Questions:
    """Whether a colour is right: mixed from how right its sources were before."""

    def __init__(self) -> None:
        self._counters = Counters(int(_STARTS[-1, 0]))
        self._mixer = Mixer(_QUESTIONS * (_COUNT + 1) * 4, _COUNT + 5, 3, 16)

    def ask(
        self,
        coding: Decisions,
        question: int,
        colours: Colours,
        known: Surroundings,
        bits: Bits,
    ) -> Bits:
        """Code whether the answers are yes.

        Args:
            coding: what to do with decisions.
            question: which.
            colours: what it is about [n].
            known: of the positions.
            bits: the answers [n]; a reader ignores them.
        """
        inputs = np.empty((_COUNT + 5, len(colours)), np.int64)
        inputs[-1] = 256
        contexts, chosen = self._contexts(question, colours, known)
        self._counters.stretched(contexts, inputs[:-1])
        probabilities = squash(self._mixer.mix(chosen, inputs))
        bits = coding.decide(probabilities, bits)
        self._mixer.learn(chosen, inputs, bits * 65535 - probabilities)
        self._counters.learn(contexts, bits)
        return bits

    def _contexts(self, question: int, colours: Colours, known: Surroundings) -> tuple[Ints, Ints]:
        """Return contexts of the counters [C + 4, n], and sets of the mixer [n]."""
        keys = hashed(known.keys[0] ^ (colours.astype(np.int64).view(_U) << _U(32)))
        contexts = np.empty((_COUNT + 4, len(colours)), np.int64)
        contexts[-1] = (question << 14) + (keys >> _U(50)).view(np.int64)
        if fast := compiled_loops():
            agreeing = np.empty(len(colours), np.int64)
            around = np.ascontiguousarray(known.around[:_NEAR])
            own = (known.first, known.second, known.states, around, known.shape)
            fast.relate(question, colours, *own, STATES, contexts, agreeing)
        else:
            relation = np.where(known.second == colours, 2, 3)
            relation[known.first == colours] = 1
            relation[known.first == NONE] = 0
            sources = ((question * (_COUNT + 1) + _SOURCES) * 4 + relation) * STATES + known.states
            pattern = ((known.around[:_NEAR] == colours) * _POWERS).sum(0)
            repeat = relation[_COUNT]
            contexts[:-3] = sources
            contexts[-3] = (question * 256 + pattern) * 4 + (repeat == 1) + 2 * (repeat == 3)
            contexts[-2] = question * 4096 + (pattern & 63) * 64 + known.shape
            agreeing = np.minimum((relation[:_COUNT] == 1).sum(0), 3)
        contexts[-3:] += _STARTS[:3]
        return contexts, (question * (_COUNT + 1) + known.depth) * 4 + agreeing


class Model:
    """Codes colours of a plane.

    Args:
        height: of the picture.
        width: of the picture.
        count: how many positions are coded; it bounds the memory.
        channels: 3; or 1, a value being the colour's green.
    """

    def __init__(self, height: int, width: int, count: int, channels: int = 3) -> None:
        bits = min(max(int(count).bit_length() + 2, 12), 21)
        self.plane = Plane(height, width)
        self._slots = Slots(bits)
        self._repeats = Repeats(self.plane, max(bits - 2, 10))
        self._questions = _Questions()
        self._ranks = Counters((2 * _COUNT + 1 + _NEAR + _SLOPES) * STATES)
        self._flat_repeats, self._flat_colours = Counters(LENGTHS * 2), Counters(1 << 12)
        self._newcomers = Newcomers(self.plane, max(bits - 1, 12), channels)

    # -- one front -------------------------------------------------------------------------------

    def code(self, coding: Decisions, places: Ints, colours: Colours) -> Colours:
        """Code the colours of a front.

        Args:
            coding: what to do with decisions.
            places: of the front [n].
            colours: int32 [n]; a reader ignores them.

        Returns:
            int32 [n].
        """
        around = self.plane.colours.take(self.plane.around(places))
        repeat = self._repeats.ongoing(places)
        found = np.full(len(places), ABSENT, np.int32)
        flat = (around[1:_FLAT] == around[0]).all(0) & (around[0] >= 0)
        flat &= (repeat.colours == around[0]) | (repeat.kinds == 0)
        same = np.zeros(len(places), np.bool_)
        if flat.any():
            at = np.flatnonzero(flat)
            same[at] = self._code_flat(coding, around[0][at], repeat.kinds[at], colours[at])
            found[same] = around[0][same]
        rest = np.flatnonzero(~same)
        if len(rest):
            own = repeat[rest]
            colours = colours[rest]
            near = around[:, rest]
            keys = np.cumsum(near.astype(np.int64).view(_U) * _MULTIPLIERS[:, None], 0, _U)
            keys = hashed(keys[_ROWS] + _SALTS)
            own = self._repeats.begin(own, keys[-1] >> _U(8), places[rest])
            known = Surroundings(near, keys, self._slots.find(keys), own)
            found[rest] = self._code_rest(coding, places[rest], known, flat[rest], colours)
            self._slots.learn(known.slots, found[rest])
            repeat.update(rest, own)
        self._repeats.learn(places, repeat, found)
        self.plane.colours[places] = found
        return found

    def _code_flat(self, coding: Decisions, flat: Colours, kinds: Ints, colours: Colours) -> Bits:
        """Code whether positions in flat surroundings are of the same colour."""
        hashes = (hashed(flat.astype(np.int64).view(_U)) >> _U(52)).view(np.int64)
        mixed = stretch(self._flat_repeats.probabilities(kinds))
        mixed += stretch(self._flat_colours.probabilities(hashes))
        chances = squash(mixed * 5 // 8)
        bits = coding.decide(chances, colours == flat)
        self._flat_repeats.learn(kinds, bits)
        self._flat_colours.learn(hashes, bits)
        return bits

    def _code_rest(
        self, coding: Decisions, places: Ints, known: Surroundings, missed: Bits, colours: Colours
    ) -> Colours:
        """Code positions that contexts describe.

        Args:
            coding: what to do with decisions.
            places: where they are [n].
            known: of the positions.
            missed: where the colour of a flat surrounding is wrong [n].
            colours: [n]; a reader ignores them.
        """
        count = len(places)
        ranks = self._ranks.probabilities(_SOURCES * STATES + known.states) * 8 + _SOURCES
        ranks[known.first == NONE] = -1
        best = known.first[ranks.argmax(0), np.arange(count)]
        best = np.where((best == NONE) | missed, known.around[0], best)
        found = best.copy()
        right = np.zeros(count, np.bool_)
        asked = np.flatnonzero(~missed)
        if len(asked):
            part = known[asked] if len(asked) < count else known
            right[asked] = self._questions.ask(
                coding,
                _BEST,
                best[asked],
                part,
                colours[asked] == best[asked],
            )
        self._newcomers.forget(places)
        at = np.flatnonzero(~right)
        if len(at):
            found[at] = self._code_others(coding, places[at], known[at], best[at], colours[at])
        named = known.first != NONE
        hit = known.first == found
        self._ranks.learn((_SOURCES * STATES + known.states)[named], hit[named])
        return found

    def _code_others(
        self, coding: Decisions, places: Ints, known: Surroundings, wrong: Colours, colours: Colours
    ) -> Colours:
        """Code positions whose likeliest colour is wrong."""
        count = len(places)
        everywhere = np.arange(count)
        near = np.concatenate([known.around[:_NEAR], slopes(known.around)])
        named = np.concatenate([known.first, known.second[:_COUNT], near])
        states = np.concatenate(
            [
                known.states,
                known.states[:_COUNT],
                np.broadcast_to(known.shape, near.shape),
            ]
        )
        sources = np.arange(len(named))[:, None] * STATES + states
        ranks = self._ranks.probabilities(sources) + 1
        ranks[(named < 0) | (named == wrong)] = 0
        candidates = np.full((_CANDIDATES + 1, count), NONE, np.int32)
        for number in range(_CANDIDATES):
            best = ranks.argmax(0)
            there = ranks[best, everywhere] > 0
            if not there.any():
                break
            candidates[number] = np.where(there, named[best, everywhere], NONE)
            ranks[named == candidates[number]] = 0
        named_it = (candidates == colours).any(0)
        any_ = self._questions.ask(coding, _ANY, candidates[0], known, named_it)
        # Without candidates the answer is no, and a reader must not be told otherwise.
        any_ = any_ & (candidates[0] != NONE)
        found = candidates[0].copy()
        new = np.flatnonzero(~any_)
        if len(new):
            found[new] = self._newcomers.code(coding, places[new], known[new], colours[new])
        open_ = np.flatnonzero(any_)
        for number in range(_CANDIDATES):
            found[open_] = candidates[number, open_]
            open_ = open_[candidates[number + 1, open_] != NONE]  # the last one is sure
            if not len(open_):
                break
            yes = self._questions.ask(
                coding,
                _LATER if number else _FIRST,
                candidates[number, open_],
                known[open_],
                colours[open_] == candidates[number, open_],
            )
            open_ = open_[~yes]
        self._newcomers.learn(known, found)
        taught = slice(_COUNT + 1, None)
        there = named[taught] >= 0
        self._ranks.learn(sources[taught][there], (named[taught] == found)[there])
        return found


def code_picture(coding: Decisions, model: Model, todo: Bits, picture: Colours) -> Colours:
    """Code the marked positions of a picture.

    Args:
        coding: what to do with decisions.
        model: a new one; its plane holds what is known already.
        todo: bool [H, W].
        picture: int32 [H, W]; a reader ignores it.

    Returns:
        int32 [H, W], the model's plane.
    """
    bordered = Plane(model.plane.height, model.plane.width)
    bordered.inside[:] = picture
    for places in fronts(todo, model.plane):
        model.code(coding, places, bordered.colours.take(places))
    return model.plane.inside
