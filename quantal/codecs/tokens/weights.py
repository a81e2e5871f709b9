"""The weights file of codec `tokens` in training: networks in torch, and what tokens.file reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from quantal.codecs.info import Card
from quantal.codecs.tokens.file import LAYOUT, ORDER, hashed, read_token_file
from quantal.codecs.tokens.net import STORED, TokenNet
from quantal.codecs.weights import NET, read_weights, renamed, write_weights
from quantal.entropy.tables import TableSet

__all__ = ["TokenWeights", "read_token_weights", "write_token_weights"]


@dataclass(frozen=True)
class TokenWeights:
    """Networks and tables of a file, checked.

    Attributes:
        net: the networks.
        tables: two for every token, in the order of the stream.
        hash: 4 bytes over the tables and the order of signs.
    """

    net: TokenNet
    tables: TableSet
    hash: bytes


def write_token_weights(path: Path, net: TokenNet, tables: TableSet, card: Card) -> bytes:
    """Write a weights file, and return its hash."""
    state = net.state_dict()
    names = renamed(list(state), STORED)
    floats = {
        NET + names[name]: value.detach().cpu().half().numpy()
        for name, value in state.items()
        if name not in ORDER
    }
    order = {name: state[name].cpu().to(torch.int32).numpy() for name in ORDER}
    texts = {"model": json.dumps(net.config.to_dict()), "card": json.dumps(asdict(card))}
    return write_weights(path, LAYOUT, floats, hashed(tables, order), texts)


def read_token_weights(path: Path) -> TokenWeights:
    """Read and check a weights file.

    Raises:
        ModelError: If it is missing, damaged or of another codec.
    """
    file = read_weights(path, [LAYOUT])
    net = TokenNet.of(file)
    known = read_token_file(file)
    return TokenWeights(net, known.tables, known.hash)
