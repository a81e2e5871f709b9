"""What the training loop asks of a codec: a network that estimates its own rate and picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantal.codecs._hyperprior_net import HyperpriorConfig, HyperpriorNet, pad_to
from quantal.errors import ArgumentError, ModelError

__all__ = ["Trainable", "pad_to", "trainable"]

Trainable = HyperpriorNet


def trainable(name: str, model: Mapping[str, Any]) -> HyperpriorNet:
    """Build the untrained network of a codec; `model` overrides its sizes."""
    if name != "hyperprior":
        raise ModelError(f"there is no trainable codec {name!r}; there is 'hyperprior'")
    try:
        return HyperpriorNet(HyperpriorConfig.from_dict(model))
    except TypeError as error:
        raise ArgumentError(f"model sizes of {name!r}: {error}") from error
