"""Making up lost index cells of `vq`: a transformer over cells, some of which are masked.

It takes a window of 8x8 cells, each as the vectors of its indices (masked tokens as in
Extreme-VQGAN, Mao et al. 2023). A lost cell first takes the vectors of the nearest known one in its
column; the network predicts their correction, and how deep the cell was. The nearest entries are
drawn, so one network serves codebooks of every size. The third rung is not made up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from quantal.codecs.info import Card
from quantal.codecs.sizes import Sizes
from quantal.codecs.vq.maps import Maps
from quantal.codecs.vq.net import VqNet
from quantal.codecs.weights import NET, read_weights, renamed, sound_weights, write_weights
from quantal.entropy.indices import ABSENT
from quantal.entropy.quantisers import nearest
from quantal.errors import ArgumentError, ModelError
from quantal.layers import BRANCH_START, AttentionBlock, Unfilled

__all__ = [
    "COARSE",
    "LOST",
    "OUTSIDE",
    "PLACES",
    "SIDE",
    "ConcealConfig",
    "ConcealNet",
    "carried",
    "cell_vectors",
    "conceal",
    "read_conceal_weights",
    "write_conceal_weights",
]

#: Cells along a side of a window; each has the vectors of one coarse index and of four finer ones.
SIDE, PLACES = 8, 5
#: States of a cell: lost, with a coarse index alone, with finer ones too, or outside the picture.
LOST, COARSE, FINER, OUTSIDE = range(4)
#: Columns of a window whose predictions are used: those in its middle.
_MIDDLE = 4
#: What layers are called in files of this layout, where that differs from the code.
_STORED = {"norm1": "before", "qkv": "ask", "proj": "answer", "norm2": "between"}


@dataclass(frozen=True)
class ConcealConfig(Sizes):
    """Sizes of the network.

    Attributes:
        code_channels: of the codebooks' vectors.
        width: transformer width, in channels.
        blocks: of the transformer.
        heads: of the transformer.
    """

    code_channels: int = 32
    width: int = 192
    blocks: int = 4
    heads: int = 6

    def __post_init__(self) -> None:
        if min(self.code_channels, self.width, self.blocks, self.heads) < 1:
            raise ArgumentError(f"sizes have to be 1 or more: {self}")
        if self.width % self.heads:
            raise ArgumentError(f"{self.heads} heads don't divide a width of {self.width}")


class ConcealNet(nn.Module):
    """Windows of cells to predictions of their lost cells.

    Maps vectors [B, 64, 5, D] and states int64 [B, 64] to vectors [B, 64, 5, D], and to the logits
    of COARSE and FINER [B, 64, 2].
    """

    layout = "quantal-vq-conceal-1"
    config_type = ConcealConfig
    start_size = 256

    def __init__(self, config: ConcealConfig) -> None:
        super().__init__()
        self.config = config
        flat, width = PLACES * config.code_channels, config.width
        #: The usual size of vectors, by rung: those of the first are much larger.
        self.unit: Tensor
        self.register_buffer("unit", torch.ones(PLACES))
        self.enter = nn.Linear(flat, width)
        self.state = nn.Parameter(torch.zeros(OUTSIDE + 1, width))
        self.place = nn.Parameter(nn.init.normal_(torch.empty(SIDE * SIDE, width), std=0.02))
        self.blocks = nn.Sequential(
            *(AttentionBlock(width, config.heads) for _ in range(config.blocks))
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, flat)
        self.depth = nn.Linear(width, 2)
        self.leave.weight.data.mul_(BRANCH_START)

    def forward(self, vectors: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        scaled = carried(vectors, states) / self.unit[:, None]
        x = self.enter(scaled.flatten(2)) + self.state[states] + self.place
        x = self.norm(self.blocks(x))
        expected = scaled + self.leave(x).view_as(scaled)
        return (expected * self.unit[:, None]).float(), self.depth(x).float()


def carried(vectors: Tensor, states: Tensor) -> Tensor:
    """Fill lost cells of windows with the vectors of the nearest known cell in their column.

    Of two cells as near, the upper one counts; a column that is lost as a whole becomes 0.

    Args:
        vectors: [B, 64, 5, D].
        states: int64 [B, 64].

    Returns:
        [B, 64, 5, D].
    """
    rows = torch.arange(SIDE, device=states.device)
    known = ((states == COARSE) | (states == FINER)).view(-1, SIDE, SIDE)
    # Rows from each row [B, to, from, column], those that are unknown too far away.
    far = (rows[:, None] - rows).abs()[:, :, None] + SIDE * ~known[:, None]
    source = far.argmin(2).flatten(1) * SIDE + rows.repeat(SIDE)
    found = vectors * known.flatten(1)[..., None, None]
    return found.gather(1, source[..., None, None].expand_as(vectors))


def cell_vectors(
    codebooks: Sequence[Tensor], coarse: Tensor, middle: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the vectors and the states of cells.

    Args:
        codebooks: of the first two rungs.
        coarse: indices of the first rung [h, w], ABSENT where there are none.
        middle: indices of the second rung [2h, 2w], likewise.

    Returns:
        Vectors [h, w, 5, D] and states int64 [h, w].
    """
    height, width = coarse.shape
    four = middle.view(height, 2, width, 2).permute(0, 2, 1, 3).flatten(2)
    first = _looked_up(codebooks[0], coarse)[:, :, None]
    found = torch.cat((first, _looked_up(codebooks[1], four)), 2)
    states = torch.where(four[..., 0] != ABSENT, FINER, COARSE)
    return found, torch.where(coarse == ABSENT, LOST, states)


def _looked_up(codebook: Tensor, indices: Tensor) -> Tensor:
    vectors = codebook.float()[indices.clamp_min(0).long()]
    return vectors * (indices != ABSENT)[..., None]


@torch.inference_mode()
def conceal(net: ConcealNet, vq: VqNet, maps: Maps, lost: Sequence[int]) -> Maps:
    """Return maps whose lost rows of cells are filled with the network's prediction."""
    books = [vq.book(rung, maps.books[rung]).codebook.cpu() for rung in (0, 1)]
    planes = [torch.from_numpy(plane.copy()) for plane in maps.indices]
    depth = torch.from_numpy(maps.depth.copy())
    vectors, states = cell_vectors(books, planes[0], planes[1])
    rows, columns = states.shape
    # Cells outside surround the picture, so that every window is whole.
    margin = SIDE
    around = torch.full((rows + 2 * margin, columns + 2 * margin), OUTSIDE)
    around[margin:-margin, margin:-margin] = states
    filled = vectors.new_zeros(*around.shape, *vectors.shape[2:])
    filled[margin:-margin, margin:-margin] = vectors
    before = (SIDE - _MIDDLE) // 2
    for row in lost:
        top = max(min(row - SIDE // 2 + 1, rows - SIDE), 0) + margin
        starts = range(0, columns, _MIDDLE)
        boxes = [
            (slice(top, top + SIDE), slice(left + margin - before, left + margin - before + SIDE))
            for left in starts
        ]
        windows = torch.stack([filled[box].flatten(0, 1) for box in boxes])
        kinds = torch.stack([around[box].flatten() for box in boxes])
        expected, deep = net(windows, kinds)
        inside = (row + margin - top, slice(before, before + _MIDDLE))
        # Side by side, the middles of all windows make up the row.
        wanted = expected.view(-1, SIDE, SIDE, *expected.shape[2:])[:, inside[0], inside[1]]
        wanted = wanted.flatten(0, 1)[:columns]
        finer = deep.view(-1, SIDE, SIDE, 2)[:, inside[0], inside[1]].flatten(0, 1)[:columns]
        finer = finer.argmax(1).bool()
        planes[0][row] = nearest(wanted[:, 0], books[0]).to(torch.int32)
        four = [nearest(wanted[:, n], books[1]) for n in range(1, PLACES)]
        square = torch.stack(four, 1).view(columns, 2, 2).permute(1, 0, 2).flatten(1)
        known = finer.repeat_interleave(2).expand(2, -1)
        fine_rows = slice(2 * row, 2 * row + 2)
        planes[1][fine_rows] = torch.where(known, square, ABSENT).to(torch.int32)
        depth[row] = finer.to(torch.int32)
    arrays = tuple(np.ascontiguousarray(plane.numpy()) for plane in planes)
    return replace(maps, depth=depth.numpy(), indices=arrays)


def write_conceal_weights(path: Path, net: ConcealNet, of: bytes, card: Card) -> None:
    """Write a weights file.

    Args:
        path: path to the file.
        net: the network.
        of: hash of the weights of `vq` whose cells it makes up.
        card: the model's summary.
    """
    state = net.state_dict()
    names = renamed(list(state), _STORED)
    floats = {NET + names[n]: v.detach().cpu().half().numpy() for n, v in state.items()}
    texts = {
        "model": json.dumps(net.config.to_dict()),
        "card": json.dumps(asdict(card)),
        "of": of.hex(),
    }
    write_weights(path, net.layout, floats, {}, texts)


def read_conceal_weights(path: Path, of: bytes) -> ConcealNet:
    """Read and check a weights file.

    Args:
        path: path to the file.
        of: hash of the weights of `vq`.

    Raises:
        ModelError: If it is missing, damaged or for other codebooks.
    """
    file = read_weights(path, [ConcealNet.layout])
    if file.metadata.get("of") != of.hex():
        raise ModelError(
            f"weights {path.name} are for the codebooks of {file.metadata.get('of')}, and "
            f"{of.hex()} is here; train others for it (recipes/vq-conceal.yaml)"
        )
    with sound_weights(file), Unfilled():
        net = ConcealNet(ConcealConfig.from_dict(file.sizes()))
    with sound_weights(file):
        names = {NET + stored: n for n, stored in renamed(list(net.state_dict()), _STORED).items()}
        state = {names[n]: torch.from_numpy(v.astype(np.float32)) for n, v in file.arrays.items()}
        net.load_state_dict(state, assign=True)
    file.check({})
    net.requires_grad_(False)
    return net.eval()
