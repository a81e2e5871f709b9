"""What an encoder may change: colours for others that cost fewer bits than they are worth.

Distortion is the sum of squared differences of all channels. A decoder knows nothing of this.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Bits
from quantal.codecs.synthetic.places import Colours

__all__ = ["distance", "merged"]

Floats = npt.NDArray[np.float64]

#: Bits that a colour costs where it surprises; and once, but for rare ones not more for each pixel.
import os
_SURPRISE, _EDGE = float(os.environ.get('SU','6')), float(os.environ.get('ED','1.5'))
_ONCE, _RARE = 20.0, 4.0
#: Colours that others are merged with, at most: it bounds the time.
_MOST_CENTRES = 1500


def distance(a: Colours, b: Colours) -> Floats:
    """Return the sums of squared differences of colours, of any shapes that go together."""
    total = np.zeros(np.broadcast(a, b).shape)
    for shift in (0, 8, 16):
        difference = ((a >> shift) & 255) - ((b >> shift) & 255)
        total += difference.astype(np.float64) ** 2
    return total


def merged(colours: Colours, marked: Bits, price: float) -> Colours:
    """Return a picture's colours with some replaced by the means of groups of near ones.

    A colour joins a more frequent one if the distortion of all its pixels is worth less than what
    it costs: where it is none of its neighbours' colours, and once.

    Args:
        colours: int32 [H, W].
        marked: the pixels that count, bool [H, W].
        price: of a bit, as distortion.
    """
    values, inverse, counts = np.unique(colours[marked], return_inverse=True, return_counts=True)
    spent = np.bincount(inverse, _costs(colours)[marked], len(values))
    reach = price * (spent + np.minimum(_ONCE, _RARE * counts)) / counts
    centre = np.arange(len(values))
    left = np.argsort(-counts, kind="stable")
    for _ in range(_MOST_CENTRES):
        if len(left) < 2:
            break
        first, left = left[0], left[1:]
        near = distance(values[left], values[first]) <= reach[left]
        centre[left[near]] = first
        left = left[~near]
    chosen = np.zeros_like(values)
    for shift in (0, 8, 16):
        channel = ((values >> shift) & 255).astype(np.float64)
        sums = np.bincount(centre, channel * counts, len(values))
        means = sums / np.maximum(np.bincount(centre, counts, len(values)), 1)
        chosen |= np.rint(means).astype(np.int32) << shift
    result = colours.copy()
    result[marked] = chosen[centre][inverse].astype(np.int32)
    return result


def _costs(colours: Colours) -> Floats:
    """Return what each pixel costs, in bits and roughly, by its neighbours."""
    wide = np.pad(colours, ((1, 0), (1, 1)), mode="edge")
    left, above = colours == wide[1:, :-2], colours == wide[:-1, 1:-1]
    known = left | above | (colours == wide[:-1, :-2]) | (colours == wide[:-1, 2:])
    return np.where(known, _EDGE * ~(left & above), _SURPRISE)
