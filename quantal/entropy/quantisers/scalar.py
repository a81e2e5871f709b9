"""Quantisers without a codebook: each channel by itself, to a few levels or to its sign."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from quantal.arguments import number, whole
from quantal.entropy.quantisers.base import Quantised, Quantiser, through
from quantal.entropy.rounding import clamp_through, round_through
from quantal.errors import ArgumentError

__all__ = ["FiniteScalarQuantiser", "SignQuantiser"]


class FiniteScalarQuantiser(Quantiser):
    """Each channel is bounded and rounded to a few levels (FSQ, Mentzer et al. 2024).

    The levels of all channels are the digits of one index, the first channel's the lowest. There is
    no codebook, so no entries can fall out of use. The bound is (tanh + 1) / 2, the same for odd
    and even levels (Parker et al. 2024); decoded values are equally spaced in -1..1.

    Args:
        levels: of each channel, 2 or more.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        levels = [whole("levels", level) for level in levels]
        if not levels or min(levels) < 2 or math.prod(levels) > 1 << 24:
            raise ArgumentError(f"levels {list(levels)}: each >= 2, 2^24 values at most in all")
        self.levels, self.channels = tuple(levels), len(levels)
        self.sizes = (math.prod(levels),)
        place = [math.prod(levels[:at]) for at in range(len(levels))]
        self.count: Tensor
        self.place: Tensor
        self.register_buffer("count", torch.tensor(levels)[:, None, None], persistent=False)
        self.register_buffer("place", torch.tensor(place)[:, None, None], persistent=False)

    def bounded(self, features: Tensor) -> Tensor:
        """Return features [B, C, H, W] in quantiser steps: the levels are at 0, 1, ..., n - 1."""
        return (self._sized(features).tanh() + 1) / 2 * (self.count - 1)

    def encode(self, features: Tensor) -> Tensor:
        return self._index(self.bounded(features).round())

    def _index(self, levels: Tensor) -> Tensor:
        return (levels.nan_to_num(0).long() * self.place).sum(1, keepdim=True)

    def _values(self, levels: Tensor) -> Tensor:
        return levels / (self.count - 1) * 2 - 1

    def decode(self, indices: Tensor) -> Tensor:
        return self._values((self._checked(indices) // self.place % self.count).float())

    def forward(self, features: Tensor) -> Quantised:
        # The gradient goes through the bound, and straight through the rounding alone.
        levels = round_through(self.bounded(features))
        drawn = self._values(levels).to(features.dtype)
        return Quantised(drawn, self._index(levels.detach()), levels.new_zeros(len(features)))


class SignQuantiser(Quantiser):
    """Groups of channels, each quantised to its signs, which are the bits of one index per group.

    There is no lookup (Yu et al. 2024; in groups WeTok, 2025; as binary latents Instella, 2025).
    Decoded values are +-`amplitude`; beyond it only gradients that lead back pass.

    Args:
        channels: C.
        group: channels of a group, at most 16.
        amplitude: of decoded values.
    """

    def __init__(self, channels: int, group: int, amplitude: float = 1.0) -> None:
        super().__init__()
        channels, group = whole("channels", channels), whole("group", group)
        if not 1 <= group <= 16 or channels < 1 or channels % group:
            raise ArgumentError(
                f"{channels} channels in groups of {group}: expected groups of 1 to 16 channels "
                "that divide them without rest"
            )
        amplitude = number("amplitude", amplitude)
        self.channels, self.group, self.amplitude = channels, group, amplitude
        self.sizes = (1 << group,) * (channels // group)
        self.place: Tensor
        self.register_buffer("place", (1 << torch.arange(group))[:, None, None], persistent=False)

    def encode(self, features: Tensor) -> Tensor:
        signs = torch.unflatten(self._sized(features) > 0, 1, (-1, self.group))
        return (signs * self.place).sum(2)

    def decode(self, indices: Tensor) -> Tensor:
        bits = self._checked(indices)[:, :, None] // self.place % 2
        return (bits.float() * 2 - 1).flatten(1, 2) * self.amplitude

    def forward(self, features: Tensor) -> Quantised:
        quantised = super().forward(features)
        held = clamp_through(features, -self.amplitude, self.amplitude)
        return replace(quantised, features=through(quantised.features, held))

    def spread(self, features: Tensor) -> Tensor:
        """Return a loss that is low if a batch uses all signs, and each of them with certainty.

        The entropy of the mean sign should be large, that of each sign small; both in bits.
        """
        chance = (2 * self._sized(features) / self.amplitude).sigmoid()
        return _entropy(chance).mean() - _entropy(chance.mean((0, 2, 3))).mean()


def _entropy(chance: Tensor) -> Tensor:
    """Return the bits of a binary choice with this probability."""
    chance = chance.clamp(1e-6, 1 - 1e-6)  # the slope is infinite at 0 and 1
    return -(chance * chance.log2() + (1 - chance) * (1 - chance).log2())
