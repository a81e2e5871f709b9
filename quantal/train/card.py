"""What a weights file says of itself, for `quantal codecs`: size, work, training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["card", "kmac"]


def card(net: nn.Module, steps: int, training_data: str, **work: float) -> dict[str, Any]:
    """The card of a network; work: encode_kmac_per_pixel, decode_kmac_per_pixel."""
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "training_steps": steps,
        "training_data": training_data,
        **work,
    }


def kmac(pixels: int, run: Callable[[], object]) -> float:
    """Thousand multiplications for each of so many pixels that a run does."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return round(counter.get_total_flops() / 2 / pixels / 1000, 2)
