"""The weights file of codec `tokens`: networks, the order of signs, and a table for every index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from quantal.codecs.info import Card
from quantal.codecs.tokens.net import TokenConfig, TokenNet
from quantal.codecs.tokens.walk import GROUP, INDICES
from quantal.codecs.weights import (
    NET,
    Array,
    read_weights,
    renamed,
    sound_weights,
    write_weights,
)
from quantal.entropy.tables import TableSet
from quantal.layers import Unfilled

__all__ = ["TokenWeights", "read_token_weights", "write_token_weights"]

#: Integers that assign signs to coefficients; they differ between files.
_ORDER = ("coefficient", "level")
#: Names of layers in files of this layout, where they differ from those in code.
_STORED = {"norm1": "before", "qkv": "ask", "proj": "answer", "norm2": "between"}


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


def _integers(net: TokenNet, tables: TableSet) -> dict[str, Array]:
    """Return everything that the hash covers, by name."""
    rows = [tables.weights(table) for table in range(len(tables))]
    state = net.state_dict()
    order = {NET + name: state[name].cpu().to(torch.int32).numpy() for name in _ORDER}
    return {"tables.weights": np.stack(rows).astype(np.int32), **order}


def write_token_weights(path: Path, net: TokenNet, tables: TableSet, card: Card) -> bytes:
    """Write a weights file, and return its hash."""
    state = net.state_dict()
    names = renamed(list(state), _STORED)
    floats = {
        NET + names[name]: value.detach().cpu().half().numpy()
        for name, value in state.items()
        if name not in _ORDER
    }
    texts = {"model": json.dumps(net.config.to_dict()), "card": json.dumps(asdict(card))}
    return write_weights(path, net.layout, floats, _integers(net, tables), texts)


def _read_net(arrays: Mapping[str, Array], config: TokenConfig) -> TokenNet:
    with Unfilled():
        net = TokenNet(config)
    names = {NET + stored: n for n, stored in renamed(list(net.state_dict()), _STORED).items()}
    state = {}
    for stored, value in arrays.items():
        if stored.startswith(NET):
            name = names.get(stored, stored)
            state[name] = torch.from_numpy(value.astype("i8" if name in _ORDER else "f4"))
    net.load_state_dict(state, assign=True)
    least, most = int(net.coefficient.min()), int(net.coefficient.max())
    if least < 0 or most >= net.unit.numel() or not 0 <= int(net.level.max()) < 64:
        raise ValueError("a sign belongs to a coefficient that there isn't")
    net.requires_grad_(False)
    return net.eval()


def read_token_weights(path: Path) -> TokenWeights:
    """Read and check a weights file.

    Raises:
        ModelError: If it is missing, damaged or of another codec.
    """
    file = read_weights(path, [TokenNet.layout])
    with sound_weights(file):
        net = _read_net(file.arrays, TokenConfig.from_dict(file.sizes()))
        weights = file.arrays["tables.weights"]
        if weights.shape != (net.config.tokens * INDICES, (1 << GROUP) + 1):
            raise ValueError(f"its tables are {weights.shape}")
        tables = TableSet.from_weights([0] * len(weights), list(weights))
    return TokenWeights(net, tables, file.check(_integers(net, tables)))
