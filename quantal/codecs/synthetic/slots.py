"""What colours came in a context before: tables of slots, found by hashes.

A slot keeps the last two colours of its context and how steady they were, as in soft context
formation (Och, Strutz, Kaup 2021) with counts that are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Ints, compiled_loops
from quantal.codecs.synthetic.places import Colours, hashed

__all__ = ["NONE", "STATES", "Found", "Slots", "keys_of"]

#: No colour: it equals none, not even an absent one.
NONE = -9
#: Of a slot: how often in a row its first colour came, 0..15, times 4, and lately missed, 0..3.
STATES = 64
_STEADY, _CALM = 6, 5
_U = np.uint64


@dataclass(frozen=True)
class Found:
    """Slots of contexts.

    Attributes:
        first: int32 [..., n], the likelier colour, or NONE.
        second: int32 [..., n], another one, or NONE.
        states: int64 [..., n], 0 for an empty slot.
        places: where the slots are.
        checks: what tells contexts of one slot apart.
    """

    first: Colours
    second: Colours
    states: Ints
    places: Ints
    checks: Colours

    def __getitem__(self, chosen: Ints) -> Found:
        """Return a part of the positions."""
        return Found(
            self.first[..., chosen],
            self.second[..., chosen],
            self.states[..., chosen],
            self.places[..., chosen],
            self.checks[..., chosen],
        )


class Slots:
    """A table of 2^bits slots."""

    def __init__(self, bits: int) -> None:
        self._mask = _U((1 << bits) - 1)
        self._slots = np.full((1 << bits, 4), NONE, np.int32)

    def find(self, keys: npt.NDArray[np.uint64]) -> Found:
        """Return the slots of mixed keys, uint64 of any shape."""
        places = (keys & self._mask).view(np.int64)
        checks = (keys >> _U(48)).astype(np.int32)
        slots = self._slots.take(places, axis=0)
        known = slots[..., 3] == checks
        return Found(
            np.where(known, slots[..., 0], NONE),
            np.where(known, slots[..., 1], NONE),
            np.where(known, slots[..., 2], 0).astype(np.int64),
            places,
            checks,
        )

    def learn(self, found: Found, colours: Colours) -> None:
        """Store that colours [n] came; of equal contexts the last counts."""
        if (fast := compiled_loops()) and found.first.ndim == 2:
            own = (found.first, found.second, found.states, found.places, found.checks)
            fast.renew(self._slots, *own, colours, _STEADY, _CALM)
            return
        hit = found.first == colours
        run, missed = found.states >> 2, found.states & 3
        steady = run >= _STEADY
        slots = np.empty((*hit.shape, 4), np.int32)
        slots[..., 0] = np.where(hit | steady, found.first, colours)
        slots[..., 1] = np.where(hit, found.second, np.where(steady, colours, found.first))
        run = np.where(hit, np.minimum(run + 1, 15), np.where(steady, run >> 2, 1))
        calmed = np.where(found.states >> 2 >= _CALM, np.maximum(missed - 1, 0), missed)
        missed = np.where(hit, calmed, np.minimum(missed + 1, 3))
        slots[..., 2] = np.where(found.states == 0, 4, run * 4 + missed)
        slots[..., 3] = found.checks
        self._slots[found.places] = slots


def keys_of(*parts: Ints | int) -> npt.NDArray[np.uint64]:
    """Return mixed keys of whole numbers."""
    key = np.asarray(parts[0], np.int64).astype(_U)
    for part in parts[1:]:
        key = hashed(key) + np.asarray(part, np.int64).astype(_U)
    return hashed(hashed(key))
