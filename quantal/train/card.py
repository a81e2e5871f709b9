"""The card of a weights file, for `quantal codecs`: size, work, training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from quantal.codecs.info import Card

__all__ = ["card", "kmac"]


def card(
    net: nn.Module, steps: int, training_data: str, encode: float = 0.0, decode: float = 0.0
) -> Card:
    """Return the card of a network.

    Args:
        net: the network.
        steps: for how many steps it was trained.
        training_data: what it was trained on.
        encode: thousand multiplications per pixel to encode.
        decode: the same to decode.
    """
    parameters = sum(p.numel() for p in net.parameters())
    return Card(parameters, encode, decode, training_data, steps)


def kmac(pixels: int, run: Callable[[], object]) -> float:
    """Return the thousand multiplications per pixel of a run over so many pixels."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return round(counter.get_total_flops() / 2 / pixels / 1000, 2)
