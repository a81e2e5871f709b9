"""The weights file of codec `tokens`: networks, the order of signs, and a table for every index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.codecs._tensors import check_digest, digest, load_tensors, save_tensors
from quantal.codecs._token_net import GROUP, TOKEN_BITS, TokenConfig, TokenNet
from quantal.entropy.tables import TableSet
from quantal.errors import ModelError

__all__ = ["INDICES", "TokenWeights", "read_token_weights", "write_token_weights"]

#: Indices of a token.
INDICES = TOKEN_BITS // GROUP
#: What says which coefficient a sign belongs to: whole numbers that another file has otherwise.
_ORDER = ("coefficient", "level")


@dataclass(frozen=True)
class TokenWeights:
    """tables: two for every token, in the order of the stream. hash: over them and signs' order."""

    net: TokenNet
    tables: TableSet
    hash: bytes


def _exact_tensors(net: TokenNet, tables: TableSet) -> dict[str, Tensor]:
    """Everything that the hash covers, by name."""
    rows = [torch.from_numpy(tables.weights(t)) for t in range(len(tables))]
    found = {"tables.weights": torch.stack(rows).to(torch.int32)}
    state = net.state_dict()
    return found | {f"net.{name}": state[name].cpu().to(torch.int32) for name in _ORDER}


def write_token_weights(path: Path, net: TokenNet, tables: TableSet, card: dict[str, Any]) -> bytes:
    """Write a weights file; returns its hash. card: what `quantal codecs` tells; see CodecInfo."""
    exact = _exact_tensors(net, tables)
    floats = {
        f"net.{name}": value.detach().cpu().half()
        for name, value in net.state_dict().items()
        if name not in _ORDER
    }
    metadata = {
        "format": net.layout,
        "model": json.dumps(net.config.to_dict()),
        "card": json.dumps(card),
        "hash": digest(net.layout, exact).hex(),
        "floats": digest(net.layout, floats).hex(),
    }
    save_tensors(path, {**floats, **exact}, metadata)
    return digest(net.layout, exact)


def _read_net(tensors: dict[str, Tensor], model: str) -> TokenNet:
    sizes = json.loads(model)
    with torch.random.fork_rng(devices=[]):  # building a network must not move the user's seed
        net = TokenNet(TokenConfig.from_dict(sizes))
    state = {
        name[4:]: value.long() if name[4:] in _ORDER else value.float()
        for name, value in tensors.items()
        if name.startswith("net.")
    }
    net.load_state_dict(state)
    least, most = int(net.coefficient.min()), int(net.coefficient.max())
    if least < 0 or most >= net.unit.numel() or not 0 <= int(net.level.max()) < 64:
        raise ValueError("a sign belongs to a coefficient that there isn't")
    net.requires_grad_(False)
    return net.eval()


def read_token_weights(path: Path) -> TokenWeights:
    """Read and check a weights file; raises ModelError if it is missing, damaged or another's."""
    tensors, metadata = load_tensors(path)
    layout = TokenNet.layout
    if metadata.get("format") != layout:
        raise ModelError(
            f"weights {path.name} say format {metadata.get('format', '')!r}, expected {layout!r}"
        )
    try:
        net = _read_net(tensors, metadata["model"])
        weights = tensors["tables.weights"].numpy()
        if weights.shape != (net.config.tokens * INDICES, (1 << GROUP) + 1):
            raise ValueError(f"its tables are {weights.shape}")
        tables = TableSet.from_weights([0] * len(weights), list(weights))
    except (KeyError, TypeError, ValueError, RuntimeError, ModelError) as error:
        raise ModelError(f"weights {path.name} are damaged: {error}; install them anew") from error
    exact = _exact_tensors(net, tables)
    floats = {n: v for n, v in tensors.items() if n.startswith("net.") and n not in exact}
    check_digest(path, layout, floats, metadata.get("floats"))
    return TokenWeights(net, tables, check_digest(path, layout, exact, metadata.get("hash")))
