"""The weights files of networks around an entropy model: networks, integer networks, tables."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.info import Card
from quantal.codecs.pyramid.net import EntropyNet
from quantal.codecs.weights import NET, Array, read_weights, sound_weights, write_weights
from quantal.entropy.frozen.base import FrozenModel
from quantal.layers import Unfilled

__all__ = ["EntropyNetWeights", "read_entropy_net_weights", "write_entropy_net_weights"]

_ENTROPY = "entropy."
#: What parts of the entropy model are called in files, where that differs from the code.
_STORED = {"side.prior.": "prior.", "side.log_gain.": "z_log_gain."}


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


def _stored_name(name: str) -> str:
    """Return the name of a network's tensor in files."""
    if not name.startswith(_ENTROPY):
        return NET + name
    own = name.removeprefix(_ENTROPY)
    for here, there in _STORED.items():
        if own.startswith(here):
            return NET + there + own.removeprefix(here)
    return NET + own


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
    derived = {_ENTROPY + name for name in net.entropy.derived}
    floats = {
        _stored_name(name): value.detach().cpu().to(torch.float16).numpy()
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
    with sound_weights(file):
        with Unfilled():
            net = kind(kind.config_type.from_dict(file.sizes()))
        frozen = net.entropy.frozen_from(file.arrays, torch.device("cpu"))
        state = _state(file.arrays, net)
        state |= {_ENTROPY + n: v for n, v in net.entropy.derived_state(frozen).items()}
        net.load_state_dict(state, assign=True)
    found = file.check(frozen.integers())
    net.requires_grad_(False)
    # What is coded comes from the integers; a search follows gradients, which rounding would blur.
    net.entropy.quantise(False)
    card = Card.of(file.metadata) or Card()  # for people alone: no reason to refuse a file
    return EntropyNetWeights(net.eval(), frozen.integers(), found, card)


def _state(arrays: dict[str, Array], net: EntropyNet) -> dict[str, Tensor]:
    """Return the state of a network from a file's arrays, without what integers determine."""
    names = {_stored_name(name): name for name in net.state_dict()}
    own = {names[_stored_name(_ENTROPY + name)] for name in net.entropy.derived}
    found = {name: value for name, value in arrays.items() if name.startswith(NET)}
    unknown = sorted(set(found) ^ {stored for stored, name in names.items() if name not in own})
    if unknown:
        raise ValueError(f"its tensors are not those of its sizes: {', '.join(unknown[:3])}")
    return {
        names[name]: torch.from_numpy(value.astype(np.float32)) for name, value in found.items()
    }
