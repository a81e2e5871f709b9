"""What an encoder may change: colours for others that cost fewer bits than they are worth.

Distortion is the sum of squared differences of all channels. A decoder knows nothing of this.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Bits, Ints
from quantal.codecs.synthetic.places import Colours

__all__ = ["distance", "guessed_bits", "merged"]

Floats = npt.NDArray[np.float64]

#: Bits of a pixel that has none of its neighbours' colours, and of one at an edge, about.
_SURPRISE, _EDGE = 6.0, 1.5
#: Bits that a colour costs once; but for rare ones not more for each pixel.
_ONCE, _RARE = 20.0, 4.0
#: Colours that others are merged with, at most: it bounds the time.
_MOST_CENTRES = 1500
#: Colours that are compared with all centres at once: it bounds the memory.
_TOGETHER = 1024


def distance(a: Colours, b: Colours) -> Floats:
    """Return the sums of squared differences of colours, of any shapes that go together."""
    total = np.zeros(np.broadcast(a, b).shape)
    for shift in (0, 8, 16):
        difference = ((a >> shift) & 255) - ((b >> shift) & 255)
        total += difference.astype(np.float64) ** 2
    return total


def merged(colours: Colours, marked: Bits, price: float) -> Colours:
    """Return a picture's colours with some replaced by the means of groups of near ones.

    A colour joins a more frequent one if the distortion of all its pixels is worth less than the
    bits that it costs. Where a colour is depends on no price, so repeats stay repeats.

    Args:
        colours: int32 [H, W].
        marked: the pixels that count, bool [H, W].
        price: of a bit, as distortion.
    """
    values, inverse, counts = np.unique(colours[marked], return_inverse=True, return_counts=True)
    spent = np.bincount(inverse, guessed_bits(colours)[marked], len(values))
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
    _join_nearest(centre, values)
    chosen = np.zeros_like(values)
    for shift in (0, 8, 16):
        channel = ((values >> shift) & 255).astype(np.float64)
        sums = np.bincount(centre, channel * counts, len(values))
        means = sums / np.maximum(np.bincount(centre, counts, len(values)), 1)
        chosen |= np.rint(means).astype(np.int32) << shift
    result = colours.copy()
    result[marked] = chosen[centre][inverse].astype(np.int32)
    return result


def _join_nearest(centre: Ints, values: Colours) -> None:
    """Let colours [n] that joined a centre join the nearest of all centres.

    Args:
        centre: of each colour; changed in place.
        values: the colours.
    """
    moved = np.flatnonzero(centre != np.arange(len(centre)))
    centres = np.unique(centre[moved])
    for start in range(0, len(moved), _TOGETHER):
        part = moved[start : start + _TOGETHER]
        apart = distance(values[part][:, None], values[centres])
        centre[part] = centres[apart.argmin(1)]


def guessed_bits(colours: Colours) -> Floats:
    """Return about what each pixel costs, by its neighbours, in bits: float64 [H, W].

    Args:
        colours: int32 [H, W].
    """
    wide = np.pad(colours, ((1, 0), (1, 1)), mode="edge")
    left, above = colours == wide[1:, :-2], colours == wide[:-1, 1:-1]
    known = left | above | (colours == wide[:-1, :-2]) | (colours == wide[:-1, 2:])
    return np.where(known, _EDGE * ~(left & above), _SURPRISE)
