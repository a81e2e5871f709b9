"""What all quantisers of features are: indices and back, and how evenly indices are used."""

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
    """features: [B, C, H, W] as decoded, whose gradient passes straight through.
    indices: int64 [B, G, H, W]. loss: what pulls features towards their quantised selves: mean
    square per channel and position, float32 [B]."""

    features: Tensor
    indices: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Use:
    """How evenly entries are used. share: of entries that occurred; perplexity: of how many
    equally likely ones the entropy is; bits: that entropy, per index."""

    share: float
    perplexity: float
    bits: float

    @classmethod
    def of(cls, counts: Tensor) -> Use:
        """From how often each entry occurred [K]; of none that did, share and bits are 0."""
        total = counts.double().sum()
        law = counts.double() / total.where(total > 0, 1.0)
        bits = float(torch.special.entr(law).sum().abs()) / math.log(2)
        return cls(float((counts > 0).double().mean()), 2.0**bits, bits)


class Quantiser(nn.Module, ABC):
    """channels: C of the features. sizes: how many entries each of a position's G indices has."""

    channels: int
    sizes: tuple[int, ...]

    @property
    def bits(self) -> float:
        """Bits of a position's indices together, were all entries equally likely."""
        return sum(map(math.log2, self.sizes))

    @abstractmethod
    def encode(self, features: Tensor) -> Tensor:
        """Features [B, C, H, W] to indices int64 [B, G, H, W], each of an entry that there is, even
        for features that are not finite."""

    @abstractmethod
    def decode(self, indices: Tensor) -> Tensor:
        """Indices [B, G, H, W] to features float32 [B, C, H, W]; ArgumentError if one has no
        entry."""

    def forward(self, features: Tensor) -> Quantised:
        """Quantise features for training."""
        indices = self.encode(features)
        found = self.decode(indices).detach()
        loss = (features.float() - found).square().flatten(1).sum(1)
        loss = loss / max(features.shape[1:].numel(), 1)
        return Quantised(through(found.to(features.dtype), features), indices, loss)

    def use(self, indices: Tensor) -> tuple[Use, ...]:
        """How evenly the entries are used by indices [B, G, H, W], one Use a group."""
        flat = self._checked(indices).transpose(0, 1).flatten(1)
        return tuple(
            Use.of(torch.bincount(flat[group], minlength=size))
            for group, size in enumerate(self.sizes)
        )

    def _sized(self, features: Tensor) -> Tensor:
        """Features [B, C, H, W] as float32, if they have the channels."""
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise ArgumentError(
                f"features are {list(features.shape)}, expected [B, {self.channels}, H, W]"
            )
        return features.float()

    def _checked(self, indices: Tensor) -> Tensor:
        """Indices [B, G, H, W] as int64, if each has an entry."""
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
    """The value, to the last bit; its gradient is the features'."""
    return value.detach() + (features - features.detach())
