"""What the training loop asks of a codec: a network that estimates its own rate and picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantal.codecs._hyperprior_net import HyperpriorConfig, HyperpriorNet, pad_to
from quantal.codecs._hyperprior_weights import read_weights
from quantal.errors import ArgumentError, ModelError

__all__ = ["Trainable", "pad_to", "start_from_weights", "trainable"]

Trainable = HyperpriorNet


def trainable(name: str, model: Mapping[str, Any]) -> HyperpriorNet:
    """Build the untrained network of a codec; `model` overrides its sizes."""
    if name != "hyperprior":
        raise ModelError(f"there is no trainable codec {name!r}; there is 'hyperprior'")
    try:
        return HyperpriorNet(HyperpriorConfig.from_dict(model))
    except TypeError as error:
        raise ArgumentError(f"model sizes of {name!r}: {error}") from error


def start_from_weights(net: HyperpriorNet, path: Path) -> None:
    """Give a network the weights of a weights file of the same sizes, to train on from there."""
    found = read_weights(path).net
    if found.config != net.config:
        raise ModelError(f"weights {path.name} have sizes {found.config}, the recipe {net.config}")
    net.load_state_dict(found.state_dict())
