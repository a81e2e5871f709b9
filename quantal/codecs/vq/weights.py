"""The weights file of codec `vq` in training: networks in torch, and what vq.file reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from quantal.codecs.backends.torch import TorchCodecNetworks
from quantal.codecs.info import Card
from quantal.codecs.vq.file import LAYOUT, Ladder, book_name, hashed, read_vq_file
from quantal.codecs.vq.maps import RUNGS, Priors
from quantal.codecs.vq.net import STORED, TRAINING_STATE, VqNet
from quantal.codecs.vq.painter import Painter
from quantal.codecs.weights import NET, Array, read_weights, renamed, write_weights

__all__ = ["VqWeights", "painter_of", "read_vq_weights", "write_vq_weights"]


@dataclass(frozen=True)
class VqWeights:
    """Networks, priors and ladder of a file, checked.

    Attributes:
        hash: 4 bytes; see vq.file.
        card: what the file says of itself.
    """

    net: VqNet
    priors: Priors
    ladder: Ladder
    hash: bytes
    card: Card


def _books(net: VqNet) -> dict[str, Array]:
    """Return all codebooks by their names in files, float16."""
    return {
        book_name(rung, book): net.book(rung, book).codebook.detach().cpu().half().numpy()
        for rung in range(RUNGS)
        for book in range(len(net.config.entries))
    }


def painter_of(net: VqNet, device: torch.device) -> Painter:
    """Return the painter of networks in training, as they are now.

    Args:
        net: the networks.
        device: where they are.
    """
    places = range(len(net.config.entries))
    books = [
        [net.book(rung, book).codebook.detach().cpu().numpy() for book in places]
        for rung in range(RUNGS)
    ]
    return Painter(TorchCodecNetworks(net, device), books, net.refiner is not None)


def write_vq_weights(path: Path, net: VqNet, priors: Priors, ladder: Ladder, card: Card) -> bytes:
    """Write a weights file, and return its hash."""
    integers = hashed(_books(net), priors)
    state = net.state_dict()
    names = renamed(list(state), STORED)
    floats = {
        NET + names[name]: value.detach().cpu().half().numpy()
        for name, value in state.items()
        if not name.endswith(TRAINING_STATE) and NET + name not in integers
    }
    texts = {
        "model": json.dumps(net.config.to_dict()),
        "card": json.dumps(asdict(card)),
        "ladder": ladder.to_json(),
    }
    return write_weights(path, LAYOUT, floats, integers, texts)


def read_vq_weights(path: Path) -> VqWeights:
    """Read and check a weights file.

    Raises:
        ModelError: If it is missing, damaged or of another codec.
    """
    file = read_weights(path, [LAYOUT])
    net = VqNet.of(file)
    known = read_vq_file(file)
    card = Card.of(file.metadata) or Card()
    return VqWeights(net, known.priors, known.ladder, known.hash, card)
