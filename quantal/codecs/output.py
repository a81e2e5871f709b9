"""Results of the networks of every family in training."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["TrainingOutput"]


@dataclass(frozen=True)
class TrainingOutput:
    """Result of a network in training.

    Attributes:
        pixels: the reconstruction [B, 3, H, W], in 0..1 but not clipped.
        bits: bits of each coded tensor by its name, [B] each; empty where the rate is given, not
            estimated.
        losses: further losses by name, [B] each.
        indices: the codebook indices of each tensor, int64, -1 where nothing is coded; for codecs
            of codebooks.
    """

    pixels: Tensor
    bits: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    indices: list[Tensor] = field(default_factory=list)
