"""The network that makes up lost index cells of `vq`: a transformer over cells, some masked.

It takes a window of 8x8 cells, each as the vectors of its indices (masked tokens as in
Extreme-VQGAN, Mao et al. 2023). A lost cell first takes the vectors of the nearest known one in its
column; the network predicts their correction, and how deep the cell was. The nearest entries are
drawn, so one network serves codebooks of every size. The third rung is not made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from quantal.codecs.info import Card
from quantal.codecs.sizes import Sizes
from quantal.codecs.vq.conceal import COARSE, FINER, LAYOUT, LOST, OUTSIDE, PLACES, SIDE
from quantal.codecs.weights import NET, WeightsFile, renamed, sound_weights, write_weights
from quantal.entropy.indices import ABSENT
from quantal.entropy.models.base import Shape
from quantal.errors import ArgumentError
from quantal.layers import BRANCH_START, AttentionBlock, Unfilled

__all__ = ["ConcealConfig", "ConcealNet", "carried", "cell_vectors", "write_conceal_weights"]

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

    layout = LAYOUT
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

    @classmethod
    def of(cls, file: WeightsFile) -> ConcealNet:
        """Return the network of a weights file; see backends.torch.CodecNet."""
        with sound_weights(file):
            with Unfilled():
                net = cls(ConcealConfig.from_dict(file.sizes()))
            own = renamed(list(net.state_dict()), _STORED).items()
            names = {NET + stored: name for name, stored in own}
            state = {
                names[name]: torch.from_numpy(value.astype(np.float32))
                for name, value in file.arrays.items()
            }
            net.load_state_dict(state, assign=True)
        net.requires_grad_(False)
        return net.eval()

    def transforms(self) -> dict[str, object]:
        """Return nothing: this is no transform of pictures."""
        return {}

    def stored_names(self) -> dict[str, str]:
        """Return what files call each tensor; see backends.torch.CodecNet."""
        names = renamed(list(self.state_dict()), _STORED)
        return {name: NET + stored for name, stored in names.items()}

    def shapes(self) -> dict[str, list[Shape]]:
        """Return what the network takes; see backends.torch.CodecNet."""
        cells = SIDE * SIDE
        return {"concealed": [(cells, PLACES, self.config.code_channels), (cells, 1, 1)]}

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        """Return the network by its name; see vq.conceal."""

        def concealed(vectors: Tensor, states: Tensor, rate: Tensor) -> Tensor:
            expected, depth = self(vectors, states.flatten(1).long())
            return torch.cat((expected.flatten(2), depth), 2)

        return {"concealed": concealed}

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
