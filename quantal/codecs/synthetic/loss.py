"""What an encoder may change: colours for others that cost fewer bits than they are worth.

Distortion is the sum of squared differences of all channels. A decoder knows nothing of this.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Ints
from quantal.codecs.synthetic.places import Colours

__all__ = ["Loss", "distance", "merged"]

Floats = npt.NDArray[np.float64]

#: Bits that a colour less saves wherever it stood, and once.
_SAVED, _SAVED_ONCE = 3.0, 20.0
#: Colours that others are merged with, at most: it bounds the time.
_MOST_CENTRES = 1500


def distance(a: Colours, b: Colours) -> Floats:
    """Return the sums of squared differences of colours, of any shapes that go together."""
    total = np.zeros(np.broadcast(a, b).shape)
    for shift in (0, 8, 16):
        difference = ((a >> shift) & 255) - ((b >> shift) & 255)
        total += difference.astype(np.float64) ** 2
    return total


def merged(colours: Colours, price: float) -> Colours:
    """Return a picture's colours with rare ones replaced by frequent ones that are near.

    Args:
        colours: int32 of any shape.
        price: of a bit, as distortion.
    """
    values, inverse, counts = np.unique(colours, return_inverse=True, return_counts=True)
    reach = price * (_SAVED + _SAVED_ONCE / counts)
    result = values.copy()
    left = np.argsort(-counts, kind="stable")
    for _ in range(_MOST_CENTRES):
        if len(left) < 2:
            break
        centre, left = values[left[0]], left[1:]
        near = distance(values[left], centre) <= reach[left]
        result[left[near]] = centre
        left = left[~near]
    return result[inverse].reshape(colours.shape).astype(np.int32)


class Loss:
    """Prices of a picture that is being coded.

    Args:
        originals: flat colours of the picture, as in a Plane.
        price: of a bit, as distortion.

    Attributes:
        miss: bits that a wrong best colour costs beyond its decision, on average.
        new: bits that a new colour costs, on average.
    """

    def __init__(self, originals: Colours, price: float) -> None:
        self._originals, self.price = originals, price
        self.miss, self.new = 7.0, 14.0

    def snap(
        self, places: Ints, colours: Colours, likely: Colours, probabilities: Ints
    ) -> Colours:
        """Return colours [n], replaced by likely ones where that pays.

        Args:
            places: where they are [n].
            colours: that would be coded.
            likely: the best guesses.
            probabilities: that these are right, of 1/65536.
        """
        original = self._originals.take(places)
        gain = np.log2(probabilities / (65536 - probabilities)) + self.miss
        pays = distance(original, likely) - distance(original, colours) <= self.price * gain
        return np.where(pays, likely, colours)

    def choose(self, places: Ints, colours: Colours, candidates: Colours, none: int) -> Colours:
        """Return the best of candidates [K, n], or colours [n] where a new one is better."""
        original = self._originals.take(places)
        turns = np.arange(len(candidates))[:, None]
        costs = distance(candidates, original) + self.price * (1.5 + 1.2 * turns)
        costs[candidates == none] = np.inf
        best = costs.argmin(0)
        everywhere = np.arange(len(places))
        is_named = (candidates == colours).any(0)
        new = distance(colours, original) + self.price * self.new
        pays = is_named | (costs[best, everywhere] <= new)
        return np.where(pays, candidates[best, everywhere], colours)
