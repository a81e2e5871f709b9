"""The base of all quantisers of features: indices and back, and how evenly indices are used."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError

__all__ = ["Quantised", "Quantiser", "Use", "through"]

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Quantised:
    """Result of a quantiser in training.

    Attributes:
        features: [B, C, H, W] as decoded; their gradient passes straight through.
        indices: int64 [B, G, H, W].
        loss: pulls features towards their quantised values: mean square per channel and position,
            float32 [B].
    """

    features: Tensor
    indices: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Use:
    """How evenly entries are used.

    Attributes:
        share: fraction of entries that occurred.
        perplexity: number of equally likely entries with the same entropy.
        bits: that entropy, per index.
    """

    share: float
    perplexity: float
    bits: float

    @classmethod
    def of(cls, counts: Tensor) -> Use:
        """Return the use from counts of each entry [K]; if all are 0, so are share and bits."""
        total = counts.double().sum()
        law = counts.double() / total.where(total > 0, 1.0)
        bits = float(torch.special.entr(law).sum().abs()) / math.log(2)
        return cls(float((counts > 0).double().mean()), 2.0**bits, bits)


class Quantiser(nn.Module, ABC):
    """Features to indices and back.

    Attributes:
        channels: C of the features.
        sizes: how many entries each of a position's G indices has.
    """

    channels: int
    sizes: tuple[int, ...]

    @property
    def bits(self) -> float:
        """Bits of a position's indices together, if all entries were equally likely."""
        return sum(map(math.log2, self.sizes))

    @abstractmethod
    def encode(self, features: Tensor) -> Tensor:
        """Map features [B, C, H, W] to indices int64 [B, G, H, W].

        Indices are valid even for features that are not finite.
        """

    @abstractmethod
    def decode(self, indices: Tensor) -> Tensor:
        """Map indices [B, G, H, W] to features float32 [B, C, H, W].

        Raises:
            ArgumentError: If an index has no entry.
        """

    def forward(self, features: Tensor) -> Quantised:
        """Quantise features for training."""
        indices = self.encode(features)
        found = self.decode(indices).detach()
        loss = (features.float() - found).square().flatten(1).sum(1)
        loss = loss / max(features.shape[1:].numel(), 1)
        return Quantised(through(found.to(features.dtype), features), indices, loss)

    def use(self, indices: Tensor) -> tuple[Use, ...]:
        """Return how evenly indices [B, G, H, W] use the entries, one Use per group."""
        flat = self._checked(indices).transpose(0, 1).flatten(1)
        return tuple(
            Use.of(torch.bincount(flat[group], minlength=size))
            for group, size in enumerate(self.sizes)
        )

    def _sized(self, features: Tensor) -> Tensor:
        """Return features [B, C, H, W] as float32; ArgumentError for other shapes."""
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise ArgumentError(
                f"features are {list(features.shape)}, expected [B, {self.channels}, H, W]"
            )
        return features.float()

    def _checked(self, indices: Tensor) -> Tensor:
        """Return indices [B, G, H, W] as int64; ArgumentError if one has no entry."""
        groups = len(self.sizes)
        if indices.ndim != 4 or indices.shape[1] != groups or indices.dtype not in _INTEGERS:
            raise ArgumentError(
                f"indices are {indices.dtype} {list(indices.shape)}, "
                f"expected integers [B, {groups}, H, W]"
            )
        sizes = torch.tensor(self.sizes, device=indices.device)[:, None, None]
        wrong = (indices < 0) | (indices >= sizes)
        if wrong.any():
            group = int(wrong.nonzero()[0, 1])
            raise ArgumentError(
                f"index {int(indices[wrong][0])} found in group {group}, "
                f"expected 0..{self.sizes[group] - 1}"
            )
        return indices.long()


def through(value: Tensor, features: Tensor) -> Tensor:
    """Return the value, exactly, with the gradient of the features."""
    return value.detach() + (features - features.detach())
