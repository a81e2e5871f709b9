"""Making up lost index cells of `vq` by a network that sees the cells around them.

It takes a window of 8x8 cells, each as the vectors of its indices (masked tokens as in
Extreme-VQGAN, Mao et al. 2023). A lost cell first takes the vectors of the nearest known one in its
column; the network predicts their correction, and how deep the cell was. The nearest entries are
drawn, so one network serves codebooks of every size. The third rung is not made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantal.codecs.backends import Backend, NamedNetworks
from quantal.codecs.contract import Floats
from quantal.codecs.vq import CONCEALMENT
from quantal.codecs.vq.file import Books
from quantal.codecs.vq.maps import Maps
from quantal.codecs.vq.painter import nearest
from quantal.codecs.weights import read_weights
from quantal.entropy.indices import ABSENT, IntMap
from quantal.errors import ModelError

__all__ = [
    "COARSE",
    "FINER",
    "LAYOUT",
    "LOST",
    "OUTSIDE",
    "PLACES",
    "SIDE",
    "conceal",
    "conceal_networks",
]

#: Names the meaning of the arrays in files of weights.
LAYOUT = "quantal-vq-conceal-1"
#: Cells along a side of a window; each has the vectors of one coarse index and of four finer ones.
SIDE, PLACES = 8, 5
#: States of a cell: lost, with a coarse index alone, with finer ones too, or outside the picture.
LOST, COARSE, FINER, OUTSIDE = range(4)
#: Columns of a window whose predictions are used: those in its middle.
_MIDDLE = 4


def conceal_networks(path: Path, of: bytes, backend: Backend) -> NamedNetworks:
    """Read and check a weights file, and return its network.

    The network `concealed` maps vectors [B, 64, 5, D] and states [B, 64, 1, 1] of the cells of
    windows to [B, 64, 5 D + 2]: their vectors, and the logits of COARSE and FINER.

    Args:
        path: path to the file.
        of: hash of the weights of `vq`.
        backend: runs the network.

    Raises:
        ModelError: If it is missing, damaged or for other codebooks.
    """
    file = read_weights(path, [LAYOUT])
    if file.metadata.get("of") != of.hex():
        raise ModelError(
            f"weights {path.name} are for the codebooks of {file.metadata.get('of')}, and "
            f"{of.hex()} is here; train others for it (recipes/vq-conceal.yaml)"
        )
    networks = backend.networks(file, CONCEALMENT.net)
    file.check({})
    return networks


def _cells(
    books: Sequence[Floats], coarse: IntMap, middle: IntMap
) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Return the vectors of cells [h, w, 5, D] and their states [h, w].

    Args:
        books: the codebooks of the first two rungs.
        coarse: indices of the first rung [h, w], ABSENT where there are none.
        middle: indices of the second rung [2h, 2w], likewise.
    """
    height, width = coarse.shape
    four = middle.reshape(height, 2, width, 2).transpose(0, 2, 1, 3).reshape(height, width, 4)
    first = _looked_up(books[0], coarse)[:, :, None]
    found = np.concatenate((first, _looked_up(books[1], four)), 2)
    states = np.where(four[..., 0] != ABSENT, FINER, COARSE)
    return found, np.where(coarse == ABSENT, LOST, states).astype(np.float32)


def _looked_up(codebook: Floats, indices: IntMap) -> Floats:
    found: Floats = codebook[np.maximum(indices, 0)] * (indices != ABSENT)[..., None]
    return found


def conceal(networks: NamedNetworks, books: Books, maps: Maps, lost: Sequence[int]) -> Maps:
    """Return maps whose lost rows of cells are filled with the network's prediction.

    Args:
        networks: from conceal_networks().
        books: all codebooks of `vq`.
        maps: with ABSENT in lost rows.
        lost: the rows of cells.
    """
    pair = [books[rung][maps.books[rung]] for rung in (0, 1)]
    coarse, middle, finest = (plane.copy() for plane in maps.indices)
    depth = maps.depth.copy()
    vectors, states = _cells(pair, coarse, middle)
    rows, columns = states.shape
    # Cells outside surround the picture, so that every window is whole.
    margin = SIDE
    edges = ((margin, margin), (margin, margin))
    around = np.pad(states, edges, constant_values=OUTSIDE)
    filled = np.pad(vectors, (*edges, (0, 0), (0, 0)))
    before = (SIDE - _MIDDLE) // 2
    for row in lost:
        top = max(min(row - SIDE // 2 + 1, rows - SIDE), 0) + margin
        lefts = [left + margin - before for left in range(0, columns, _MIDDLE)]
        boxes = [(slice(top, top + SIDE), slice(left, left + SIDE)) for left in lefts]
        windows = np.stack([filled[box].reshape(-1, *vectors.shape[2:]) for box in boxes])
        kinds = np.stack([around[box].reshape(-1, 1, 1) for box in boxes])
        made = networks("concealed", 0.0, windows, kinds)
        # Side by side, the middles of all windows make up the row.
        inside = made.reshape(-1, SIDE, SIDE, made.shape[-1])
        inside = inside[:, row + margin - top, before : before + _MIDDLE]
        inside = inside.reshape(-1, made.shape[-1])[:columns]
        wanted = inside[:, :-2].reshape(columns, *vectors.shape[2:])
        finer = inside[:, -1] > inside[:, -2]
        coarse[row] = nearest(wanted[:, 0], pair[0])
        four = [nearest(wanted[:, place], pair[1]) for place in range(1, PLACES)]
        square = np.stack(four, 1).reshape(columns, 2, 2).transpose(1, 0, 2).reshape(2, -1)
        middle[2 * row : 2 * row + 2] = np.where(finer.repeat(2), square, ABSENT)
        depth[row] = finer
    return replace(maps, depth=depth, indices=(coarse, middle, finest))
