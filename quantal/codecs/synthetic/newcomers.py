"""New colours: green as a difference to a prediction, then red and blue, together where possible.

With green known, most colours of a screen are: what came with this green before, near the same
neighbours, or a grey among greys. The rest are differences too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.decisions import Decisions
from quantal.codecs.synthetic.logistic import Bits, Counters, Ints, Mixer, squash, stretch
from quantal.codecs.synthetic.places import Colours, Plane
from quantal.codecs.synthetic.residuals import CLASSES, Residuals
from quantal.codecs.synthetic.slots import NONE, STATES, Found, Slots, keys_of

if TYPE_CHECKING:
    from quantal.codecs.synthetic.picture import Surroundings

__all__ = ["Newcomers"]

_U = np.uint64
#: Shifts of green, red and blue in a colour, in the order in which they are coded.
_SHIFTS = (8, 16, 0)
_STEPS = np.array([0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 40, 60, 90, 140])
_SIZES = np.array([0, 1, 2, 3, 5, 8, 12, 18, 28, 44, 70, 110])
#: Contexts with which green, red and blue are coded.
_CONTEXTS = (13, 10, 10)
_MIDDLE, _LOW = 3, 1
_PARTNERS = np.arange(3)[:, None]


def _classes(sums: Ints) -> Ints:
    return np.minimum(np.searchsorted(_STEPS, sums, side="left"), CLASSES - 1)


def _coarse(differences: Ints) -> Ints:
    """Map differences to 0..31."""
    size = np.searchsorted(_SIZES, np.abs(differences), side="left")
    return np.where(differences < 0, size + 16, size)


def _between(w: Ints, n: Ints, nw: Ints) -> Ints:
    """Return w + n - nw, within w and n (Martucci 1990)."""
    low, high = np.minimum(w, n), np.maximum(w, n)
    return np.minimum(np.maximum(w + n - nw, low), high)


class Newcomers:
    """Codes colours that no context named.

    Args:
        plane: where they are.
        bits: of the tables.
        channels: 3; or 1, for green alone.
    """

    def __init__(self, plane: Plane, bits: int, channels: int) -> None:
        self._plane, self._channels = plane, channels
        self._errors = np.zeros((channels, len(plane.colours)), np.int16)
        self._residuals = [Residuals(n, min(bits, 20)) for n in _CONTEXTS[:channels]]
        self._partners = Slots(min(bits, 16))
        self._ranks = Counters(8 * STATES)
        self._sources, self._summary = Counters(2 * 3 * 4 * STATES), Counters(2 * 4096)
        self._mixer = Mixer(16, 5, 3, 16)

    def forget(self, places: Ints) -> None:
        """Note that predictions don't matter at places [n], whose colours are no newcomers."""
        self._errors[:, places] = 0

    def learn(self, known: Surroundings, colours: Colours) -> None:
        """Learn which colours came with which green."""
        if self._channels == 3:
            self._partners.learn(self._find(known, (colours >> 8) & 255), colours)

    def code(
        self, coding: Decisions, places: Ints, known: Surroundings, colours: Colours
    ) -> Colours:
        """Code colours.

        Args:
            coding: what to do with decisions.
            places: where they are [n].
            known: of the positions.
            colours: int32 [n]; a reader ignores them.

        Returns:
            int32 [n].
        """
        green = self._code_green(coding, places, known, colours)
        found = (green << 8).astype(np.int32)
        if self._channels == 1:
            return found
        found, seen = self._code_partner(coding, known, green, colours)
        at = np.flatnonzero(~seen)
        if len(at):
            found[at] = self._code_rest(coding, places[at], known[at], green[at], colours[at])
        return found

    # -- green -----------------------------------------------------------------------------------

    def _code_green(
        self, coding: Decisions, places: Ints, known: Surroundings, colours: Colours
    ) -> Ints:
        around = np.maximum(known.around[:8], 0).astype(np.int64)
        w, n, nw, ne, ww, nn, nne, _ = (around >> 8) & 255
        prediction = _between(w, n, nw)
        activity = _classes(abs(w - nw) + abs(n - nw) + abs(n - ne))
        error = self._error_class(places, 0)
        repeat, middle = self._named(known, 8)
        keys = self._keys(
            prediction,
            around[0] * 65536 + around[1] * (1 << 40),
            known.keys[2].view(np.int64) >> 8,
            around[0] * 256 + prediction,
            around[1] * 256 + prediction,
            prediction * CLASSES + activity,
            (_coarse(w - nw) * 32 + _coarse(n - nw)) * 32 + _coarse(ne - n),
            (_coarse(w + ne - n - prediction) * 32 + _coarse(2 * w - ww - prediction)) * 32
            + _coarse(2 * n - nn - prediction),
            error * CLASSES + activity,
            0 * w,
            np.where(
                repeat >= 0,
                (repeat - prediction + 256) * 8 + np.minimum(known.states[-1], 7),
                -1,
            ),
            (middle - prediction + 256) * CLASSES + activity,
            _coarse(n + ne - nne - prediction) * 32 + _coarse(w + n - nw - prediction),
        )
        value = self._code_difference(
            coding, 0, places, keys, (error, activity), prediction, (colours >> 8) & 255
        )
        return value

    def _error_class(self, places: Ints, channel: int) -> Ints:
        """Return classes of what predictions missed by around places [n]."""
        errors = self._errors[channel].take(self._plane.around(places, 4))
        return _classes(np.abs(errors.astype(np.int64)).sum(0))

    def _named(self, known: Surroundings, shift: int) -> tuple[Ints, Ints]:
        """Return a channel of what repeats and a middle context name; -1, 0 for nothing."""
        repeat = known.first[-1].astype(np.int64)
        middle = np.where(known.first[_MIDDLE] >= 0, known.first[_MIDDLE], known.first[_LOW])
        return (
            np.where(repeat >= 0, (repeat >> shift) & 255, -1),
            (np.maximum(middle, 0).astype(np.int64) >> shift) & 255,
        )

    def _keys(self, *contexts: Ints) -> npt.NDArray[np.uint64]:
        salts = np.arange(1, len(contexts) + 1, dtype=_U) * _U(0xA24BAED4963EE407)
        keys = (np.stack(contexts).view(_U) + salts[:, None]) * _U(0x9E3779B97F4A7C15)
        keys ^= keys >> _U(29)
        keys *= _U(0xBF58476D1CE4E5B9)
        return keys

    def _code_difference(
        self,
        coding: Decisions,
        channel: int,
        places: Ints,
        keys: npt.NDArray[np.uint64],
        classes: tuple[Ints, Ints],
        prediction: Ints,
        value: Ints,
    ) -> Ints:
        """Code a channel's values 0..255, as differences modulo 256."""
        wanted = ((value.astype(np.int64) - prediction + 128) & 255) - 128
        found = self._residuals[channel].code(coding, keys, classes, wanted)
        value = (prediction + found) & 255
        self._errors[channel, places] = ((value - prediction + 128) & 255) - 128
        return value

    # -- red and blue together -------------------------------------------------------------------

    def _find(self, known: Surroundings, green: Colours | Ints) -> Found:
        """Return slots of what came with a green, near the same W, the same N, anywhere [3, n]."""
        w, n = np.maximum(known.around[:2], 0).astype(np.int64)
        green = green.astype(np.int64)
        kinds = np.arange(3)[:, None] << 60
        return self._partners.find(
            keys_of(np.stack([green << 26 | w, green << 26 | n, green]) + kinds)
        )

    def _code_partner(
        self, coding: Decisions, known: Surroundings, green: Ints, colours: Colours
    ) -> tuple[Colours, Bits]:
        """Code whether a colour is one that is known to come with its green.

        Returns:
            The colours, and where they are right.
        """
        count = len(green)
        slots = self._find(known, green)
        first, second = (
            np.where((part >> 8) & 255 == green, part, NONE) for part in (slots.first, slots.second)
        )
        around = np.maximum(known.around[:2], 0).astype(np.int64)
        shift = green - ((around >> 8) & 255)
        red, blue = (around >> 16) + shift, (around & 255) + shift
        inside = (red >= 0) & (red < 256) & (blue >= 0) & (blue < 256)
        moved = np.where(inside, red << 16 | green << 8 | blue, NONE).astype(np.int32)
        named = np.concatenate([first, second, moved])
        alike = (moved[0] == moved[1]).astype(np.int64)
        sources = np.concatenate(
            [
                _PARTNERS * STATES + slots.states,
                (_PARTNERS + 3) * STATES + slots.states,
                np.stack([alike, alike]) + np.array([[6], [7]]) * STATES,
            ]
        )
        ranks = self._ranks.probabilities(sources) + 1
        ranks[named < 0] = 0
        found, seen = np.zeros(count, np.int32), np.zeros(count, np.bool_)
        open_ = np.arange(count)
        for turn in range(2):
            best = ranks[:, open_].argmax(0)
            there = ranks[best, open_] > 0
            open_, best = open_[there], best[there]
            if not len(open_):
                break
            colour = named[best, open_]
            relation = np.where(second[:, open_] == colour, 2, 3)
            relation[first[:, open_] == colour] = 1
            relation[first[:, open_] == NONE] = 0
            states = slots.states[:, open_]
            contexts = ((turn * 3 + _PARTNERS) * 4 + relation) * STATES + states
            kind = (moved[0, open_] == colour) + 2 * (moved[1, open_] == colour)
            summary = ((turn * 8 + best) * 4 + kind) * 128 + states.max(0)
            inputs = np.empty((5, len(open_)), np.int64)
            inputs[:3] = stretch(self._sources.probabilities(contexts))
            inputs[3] = stretch(self._summary.probabilities(summary))
            inputs[4] = 256
            chosen = turn * 8 + best
            chances = squash(self._mixer.mix(chosen, inputs))
            yes = coding.decide(chances, colours[open_] == colour)
            self._mixer.learn(chosen, inputs, yes * 65535 - chances)
            self._sources.learn(contexts, yes)
            self._summary.learn(summary, yes)
            found[open_], seen[open_] = colour, yes
            ranks[:, open_] = np.where(named[:, open_] == colour, 0, ranks[:, open_])
            open_ = open_[~yes]
        self._learn_ranks(named, sources, found, seen)
        return found, seen

    def _learn_ranks(self, named: Colours, sources: Ints, found: Colours, seen: Bits) -> None:
        there = named >= 0
        self._ranks.learn(sources[there], ((named == found) & seen)[there])

    # -- red and blue alone ----------------------------------------------------------------------

    def _code_rest(
        self, coding: Decisions, places: Ints, known: Surroundings, green: Ints, colours: Colours
    ) -> Colours:
        around = np.maximum(known.around[:3], 0).astype(np.int64)
        values = [green]
        errors = [self._errors[0, places].astype(np.int64)]
        planes = [(around >> shift) & 255 for shift in _SHIFTS]
        g = planes[0]
        for channel in (1, 2):
            shift = _SHIFTS[channel]
            w, n, nw = planes[channel]
            by = [
                _between(*(planes[channel] - other + value))
                for other, value in zip(planes, values, strict=False)
            ]
            prediction = np.minimum(np.maximum(sum(by) // len(by), 0), 255)
            activity = _classes(abs(w - nw) + abs(n - nw))
            error = self._error_class(places, channel)
            repeat, middle = self._named(known, shift)
            own, own_middle = self._named(known, 8)
            before = green * 256 + (values[1] if channel == 2 else 0)
            second = errors[1] if channel == 2 else 0 * green
            keys = self._keys(
                before * 256 + prediction,
                (before << 32) + around[0] * 256 + prediction,
                (before << 32) + around[1] * 256 + prediction,
                (errors[0] * 256 + second) * CLASSES + activity,
                (error * 32 + _coarse(errors[0])) * 32 + _coarse(second),
                error * CLASSES + activity,
                (repeat - prediction + 257) * 1024 + own - green,
                (middle - prediction + 256) * 1024 + own_middle - green,
                (green * 512 + w - g[0]) * 512 + n - g[1],
                _coarse(w - nw + g[2] - g[0]) * 32 + _coarse(n - nw + g[2] - g[1]),
            )
            classes = (error, np.minimum(abs(errors[0]), CLASSES - 1))
            value = self._code_difference(
                coding, channel, places, keys, classes, prediction, (colours >> shift) & 255
            )
            values.append(value)
            errors.append(self._errors[channel, places].astype(np.int64))
        found: Colours = (values[1] << 16 | green << 8 | values[2]).astype(np.int32)
        return found
