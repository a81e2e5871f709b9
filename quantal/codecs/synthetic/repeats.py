"""Long repeats: where the neighbourhood of a position was seen before, and what came there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Ints
from quantal.codecs.synthetic.places import Colours, Plane
from quantal.codecs.synthetic.slots import NONE

__all__ = ["LENGTHS", "Repeat", "Repeats"]

_U = np.uint64
#: A repeat is as long as the colours in a row that it foretold, up to this.
_LONGEST = 30
#: Kinds of repeats: none, and one for each length from 0.
LENGTHS = _LONGEST + 2


@dataclass(frozen=True)
class Repeat:
    """What repeats foretell.

    Attributes:
        colours: int32 [n], NONE where there is no repeat.
        places: of these colours [n].
        lengths: 0.._LONGEST [n].
        kinds: below LENGTHS [n], 0 for none.
    """

    colours: Colours
    places: Ints
    lengths: Ints
    kinds: Ints

    def __getitem__(self, at: Ints) -> Repeat:
        """Return those of some positions."""
        return Repeat(self.colours[at], self.places[at], self.lengths[at], self.kinds[at])

    def update(self, at: Ints, other: Repeat) -> None:
        """Replace those of some positions."""
        self.colours[at], self.places[at] = other.colours, other.places
        self.lengths[at], self.kinds[at] = other.lengths, other.kinds


class Repeats:
    """Follows repeats through a plane.

    A repeat goes on from the left or from above, whichever was right for longer; else one begins
    at the last place with the same neighbourhood.
    """

    def __init__(self, plane: Plane, bits: int) -> None:
        self._plane = plane
        self._mask = _U((1 << bits) - 1)
        self._last = np.zeros(1 << bits, np.int32)
        self._from = np.zeros(len(plane.colours), np.int32)
        self._length = np.zeros(len(plane.colours), np.uint8)

    def ongoing(self, places: Ints) -> Repeat:
        """Return the repeats that go on at places [n]."""
        stride = self._plane.stride
        left, above = places - 1, places - stride
        by_left, by_above = self._length.take(left), self._length.take(above)
        further = by_left >= by_above
        source = np.where(further, self._from.take(left) + 1, self._from.take(above) + stride)
        lengths = np.maximum(by_left, by_above).astype(np.int64)
        return self._repeat(np.where(lengths > 0, source, 0).astype(np.int64), lengths)

    def _repeat(self, source: Ints, lengths: Ints) -> Repeat:
        # Place 0 is in the border, so it is absent, as everything that is not known yet.
        colours = self._plane.colours.take(source)
        known = colours >= 0
        kinds = np.where(known, np.minimum(lengths, _LONGEST) + 1, 0)
        return Repeat(np.where(known, colours, NONE).astype(np.int32), source, lengths, kinds)

    def begin(self, repeat: Repeat, keys: npt.NDArray[np.uint64], places: Ints) -> Repeat:
        """Return repeats with new ones where none goes on.

        Args:
            repeat: those that go on.
            keys: mixed keys of the neighbourhoods [n].
            places: where they are; the next repeats may begin here.
        """
        slots = (keys & self._mask).view(np.int64)
        source = np.where(repeat.kinds > 0, repeat.places, self._last.take(slots))
        self._last[slots] = places
        return self._repeat(source, np.where(repeat.kinds > 0, repeat.lengths, 0))

    def learn(self, places: Ints, repeat: Repeat, colours: Colours) -> None:
        """Store how repeats did at places [n], where colours came."""
        right = repeat.colours == colours
        self._length[places] = np.where(right, np.minimum(repeat.lengths + 1, _LONGEST), 0)
        self._from[places] = repeat.places
