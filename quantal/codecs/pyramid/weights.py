"""The weights files of networks around an entropy model: networks, integer networks, tables."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from quantal.codecs.info import Card
from quantal.codecs.pyramid.net import EntropyNet, stored_name
from quantal.codecs.weights import Array, read_weights, write_weights
from quantal.entropy.frozen.base import FrozenModel

__all__ = ["EntropyNetWeights", "read_entropy_net_weights", "write_entropy_net_weights"]

Net = TypeVar("Net", bound=EntropyNet)


@dataclass(frozen=True)
class EntropyNetWeights(Generic[Net]):
    """A codec's networks and integers, checked.

    Attributes:
        net: the floating-point networks, in evaluation mode, on the CPU.
        integers: everything that decides how bits are read, by name.
        hash: 4 bytes over the integers.
        card: what the file says of itself.
    """

    net: Net
    integers: dict[str, Array]
    hash: bytes
    card: Card


def write_entropy_net_weights(
    path: Path, net: EntropyNet, frozen: FrozenModel, card: Card
) -> bytes:
    """Write a weights file.

    Args:
        path: path to the file.
        net: the networks.
        frozen: what the entropy model of `net` froze to.
        card: the model's summary.

    Returns:
        The hash of its integers.
    """
    derived = {f"entropy.{name}" for name in net.entropy.derived}
    floats = {
        stored_name(name): value.detach().cpu().to(torch.float16).numpy()
        for name, value in net.state_dict().items()
        if name not in derived
    }
    texts = {"model": json.dumps(net.config.to_dict()), "card": json.dumps(asdict(card))}
    return write_weights(path, net.layout, floats, frozen.integers(), texts)


def read_entropy_net_weights(path: Path, *kinds: type[Net]) -> EntropyNetWeights[Net]:
    """Read and check a weights file.

    Args:
        path: path to the file.
        kinds: the kinds of networks that are accepted.

    Raises:
        ModelError: If it is missing, damaged or of another kind.
    """
    file = read_weights(path, [kind.layout for kind in kinds])
    kind = next(kind for kind in kinds if kind.layout == file.layout)
    net = kind.of(file)
    frozen = net.entropy.frozen_from(file.arrays, torch.device("cpu"))
    found = file.check(frozen.integers())
    card = Card.of(file.metadata) or Card()  # for people alone: no reason to refuse a file
    return EntropyNetWeights(net, frozen.integers(), found, card)
