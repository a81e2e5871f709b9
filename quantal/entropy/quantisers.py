"""Vector quantisers: features to indices and back, with straight-through training.

One interface for all: a position's feature vector becomes `groups` indices, of `sizes` entries
each. Here: a learned codebook searched for the nearest entry (VectorQuantiser), several in a
cascade or side by side (CascadeQuantiser), and two without any codebook (FiniteScalarQuantiser,
SignQuantiser). How indices become bytes is indices.py's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.kmeans import kmeans, nearest, shrink
from quantal.entropy.quantise import round_through
from quantal.errors import ArgumentError

__all__ = [
    "CascadeQuantiser",
    "FiniteScalarQuantiser",
    "Quantised",
    "Quantiser",
    "SignQuantiser",
    "Use",
    "VectorQuantiser",
]


@dataclass(frozen=True)
class Quantised:
    """features: [B, C, H, W], whose gradient passes straight through. indices: int64 [B, G, H, W].
    loss: what pulls features towards their quantised selves [B], mean square per channel."""

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
        """From how often each entry occurred [K]."""
        law = counts.double() / counts.sum().clamp_min(1)
        bits = float(-(law * law.clamp_min(1e-300).log2()).sum())
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
        """Features [B, C, H, W] to indices int64 [B, G, H, W]."""

    @abstractmethod
    def decode(self, indices: Tensor) -> Tensor:
        """Indices int64 [B, G, H, W] to features [B, C, H, W]; ArgumentError if one has no entry."""

    def forward(self, features: Tensor) -> Quantised:
        """Quantise features for training."""
        indices = self.encode(features)
        found = self.decode(indices).to(features.dtype)
        loss = (features - found.detach()).square().flatten(1).mean(1)
        return Quantised(features + (found - features).detach(), indices, loss)

    def use(self, indices: Tensor) -> tuple[Use, ...]:
        """How evenly the entries are used by indices [B, G, H, W], one Use a group."""
        flat = indices.transpose(0, 1).flatten(1)
        return tuple(
            Use.of(torch.bincount(flat[group], minlength=size))
            for group, size in enumerate(self.sizes)
        )

    def _checked(self, indices: Tensor) -> Tensor:
        """Indices [B, G, H, W], if each has an entry."""
        if indices.ndim != 4 or indices.shape[1] != len(self.sizes):
            raise ArgumentError(
                f"indices are {list(indices.shape)}, expected [B, {len(self.sizes)}, H, W]"
            )
        for group, size in enumerate(self.sizes):
            part = indices[:, group]
            if part.numel() and not 0 <= int(part.min()) <= int(part.max()) < size:
                raise ArgumentError(
                    f"index {int(part.max() if part.min() >= 0 else part.min())} found, "
                    f"expected 0..{size - 1}"
                )
        return indices


def _flat(features: Tensor) -> Tensor:
    """[B, C, H, W] to vectors [B * H * W, C]."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class VectorQuantiser(Quantiser):
    """The nearest entry of a learned codebook (van den Oord et al. 2017).

    In training mode the codebook follows what it stands for by moving averages, and entries that
    fell out of use begin anew at vectors of the batch (Zeghidour et al. 2021, "SoundStream").
    """

    #: Entries whose running count falls below this share of an even one are revived.
    dead_below = 0.03

    def __init__(self, channels: int, entries: int, decay: float = 0.99) -> None:
        super().__init__()
        if channels < 1 or entries < 2:
            raise ArgumentError(f"a codebook needs entries >= 2 and channels >= 1, not {entries}")
        self.channels, self.sizes, self.decay = channels, (entries,), decay
        self.codebook: Tensor
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("codebook", torch.randn(entries, channels) / channels**0.5)
        self.register_buffer("counts", torch.ones(entries))
        self.register_buffer("sums", self.codebook.clone())

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Begin at the k-means of vectors [n, C]."""
        self._begin(kmeans(vectors, self.sizes[0]))

    @torch.no_grad()
    def start_as(self, larger: VectorQuantiser) -> None:
        """Begin as the k-means of a larger codebook's entries, each weighted by its use."""
        self._begin(shrink(larger.codebook, larger.counts, self.sizes[0]))

    def _begin(self, entries: Tensor) -> None:
        self.codebook.copy_(entries)
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """Forget how often entries were used, as if all had been alike."""
        self.counts.fill_(1.0)
        self.sums.copy_(self.codebook)

    def encode(self, features: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        found = nearest(_flat(features).float(), self.codebook)
        return found.view(batch, 1, height, width)

    def decode(self, indices: Tensor) -> Tensor:
        return self.codebook[self._checked(indices)[:, 0]].permute(0, 3, 1, 2)

    def forward(self, features: Tensor) -> Quantised:
        quantised = super().forward(features)
        if self.training:
            self.learn(features, quantised.indices)
        return quantised

    @torch.no_grad()
    def learn(self, features: Tensor, indices: Tensor, where: Tensor | None = None) -> None:
        """Move entries towards the features [B, C, H, W] that chose them (indices [B, 1, H, W]).

        where: bool [B, H, W], the positions that count.
        """
        vectors, chosen = _flat(features).float(), indices.flatten()
        if where is not None:
            kept = where.flatten()
            vectors, chosen = vectors[kept], chosen[kept]
        if not len(vectors):
            return
        entries = self.sizes[0]
        counts = torch.bincount(chosen, minlength=entries).to(self.counts)
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, vectors)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        dead = self.counts < self.dead_below * self.counts.sum() / entries
        self.codebook.copy_(self.sums / self.counts.clamp_min(1e-8)[:, None])
        lost = torch.nonzero(dead)[:, 0]
        if len(lost):
            pick = torch.randint(len(vectors), (len(lost),), device=vectors.device)
            self.codebook[lost] = vectors[pick]
            # As if it had been used evenly so far, so that it has time to find its place.
            self.counts[lost] = self.counts.sum() / entries
            self.sums[lost] = self.codebook[lost] * self.counts[lost, None]


class CascadeQuantiser(Quantiser):
    """Several quantisers for the same position: McQuic's (Zhu et al. 2022) way to large effective
    codebooks.

    stages: each quantises what those before it left over; a stage of several quantisers cuts the
    channels into equal groups, one for each (product quantisation).
    """

    def __init__(self, stages: Sequence[Sequence[Quantiser]]) -> None:
        super().__init__()
        if not stages or not all(stages):
            raise ArgumentError("a cascade needs at least one stage of at least one quantiser")
        widths = {sum(part.channels for part in stage) for stage in stages}
        if len(widths) != 1:
            raise ArgumentError(f"the stages of a cascade differ in channels: {sorted(widths)}")
        self.stages = nn.ModuleList(nn.ModuleList(stage) for stage in stages)
        self.channels = widths.pop()
        self.sizes = tuple(size for stage in stages for part in stage for size in part.sizes)

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Begin each codebook at the k-means of what reaches it, for vectors [n, C]."""
        rest = vectors.T[None, :, :, None]
        for stage in self.stages:
            found = []
            for part, piece in zip(stage, self._cut(stage, rest), strict=True):  # type: ignore[arg-type]
                if isinstance(part, VectorQuantiser):
                    part.start_at(_flat(piece))
                found.append(part.decode(part.encode(piece)))
            rest = rest - torch.cat(found, 1)

    @staticmethod
    def _cut(stage: Sequence[Quantiser], features: Tensor) -> Sequence[Tensor]:
        return features.split([part.channels for part in stage], 1)

    def encode(self, features: Tensor) -> Tensor:
        rest, indices = features.float(), []
        for stage in self.stages:
            found = []
            for part, piece in zip(stage, self._cut(stage, rest), strict=True):  # type: ignore[arg-type]
                indices.append(part.encode(piece))
                found.append(part.decode(indices[-1]))
            rest = rest - torch.cat(found, 1)
        return torch.cat(indices, 1)

    def decode(self, indices: Tensor) -> Tensor:
        parts = iter(self._checked(indices).split(1, 1))
        total: Tensor | None = None
        for stage in self.stages:
            found = []
            for part in stage:  # type: ignore[union-attr]
                own = torch.cat([next(parts) for _ in part.sizes], 1)
                found.append(part.decode(own))
            stack = torch.cat(found, 1)
            total = stack if total is None else total + stack
        if total is None:
            raise ArgumentError("a cascade without stages decodes nothing")
        return total

    def forward(self, features: Tensor) -> Quantised:
        rest, drawn = features, torch.zeros_like(features)
        indices, loss = [], features.new_zeros(len(features))
        for stage in self.stages:
            pairs = zip(stage, self._cut(stage, rest), strict=True)  # type: ignore[arg-type]
            parts = [part(piece) for part, piece in pairs]
            found = torch.cat([part.features for part in parts], 1)
            indices += [part.indices for part in parts]
            loss = loss + sum(part.loss for part in parts) / len(parts)
            drawn = drawn + (found - rest).detach() + rest.detach()
            rest = rest - found.detach()
        passed = features + (drawn - features).detach()
        return Quantised(passed, torch.cat(indices, 1), loss)


class FiniteScalarQuantiser(Quantiser):
    """Each channel is bounded and rounded to a few levels (FSQ, Mentzer et al. 2024); together
    they are the digits of one index. No codebook, so nothing of it can fall out of use.

    levels: of each channel, 2 or more.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2 or math.prod(levels) > 1 << 24:
            raise ArgumentError(f"levels {list(levels)}: each >= 2, 2^24 values at most in all")
        self.levels, self.channels = tuple(levels), len(levels)
        self.sizes = (math.prod(levels),)
        place = [math.prod(levels[:at]) for at in range(len(levels))]
        self.register_buffer("count", torch.tensor(levels)[:, None, None], persistent=False)
        self.register_buffer("place", torch.tensor(place)[:, None, None], persistent=False)

    def bounded(self, features: Tensor) -> Tensor:
        """Features [B, C, H, W] in steps of the quantiser: the levels are at 0, 1, ..., n - 1."""
        top: Tensor = self.count - 1  # type: ignore[operator]
        return (features.float().tanh() + 1) / 2 * top

    def encode(self, features: Tensor) -> Tensor:
        digits = self.bounded(features).round().long()
        return (digits * self.place).sum(1, keepdim=True)

    def decode(self, indices: Tensor) -> Tensor:
        """Values in -1..1."""
        digits = self._checked(indices) // self.place % self.count  # type: ignore[operator]
        return digits.float() / (self.count - 1) * 2 - 1  # type: ignore[operator]

    def forward(self, features: Tensor) -> Quantised:
        # The gradient goes through the bound, and straight through the rounding alone.
        levels = round_through(self.bounded(features))
        drawn = levels / (self.count - 1) * 2 - 1  # type: ignore[operator]
        indices = (levels.detach().round().long() * self.place).sum(1, keepdim=True)
        return Quantised(drawn.to(features.dtype), indices, features.new_zeros(len(features)))


class SignQuantiser(Quantiser):
    """Groups of channels, each quantised to its signs: the bits of one index a group, without any
    lookup (Yu et al. 2024; in groups WeTok, 2025; as binary latents Instella, 2025).

    group: channels of a group, at most 16; what is drawn are values of +-`amplitude`.
    """

    def __init__(self, channels: int, group: int, amplitude: float = 1.0) -> None:
        super().__init__()
        if not 1 <= group <= 16 or channels < 1 or channels % group:
            raise ArgumentError(f"{channels} channels in groups of {group}: 1..16, a whole number")
        self.channels, self.group, self.amplitude = channels, group, amplitude
        self.sizes = (1 << group,) * (channels // group)
        self.register_buffer("place", (1 << torch.arange(group))[:, None, None], persistent=False)

    def _grouped(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, self.group))

    def encode(self, features: Tensor) -> Tensor:
        return (self._grouped(features > 0) * self.place).sum(2)

    def decode(self, indices: Tensor) -> Tensor:
        bits = (self._checked(indices)[:, :, None] // self.place) % 2  # type: ignore[operator]
        return (bits.float() * 2 - 1).flatten(1, 2) * self.amplitude

    def spread(self, features: Tensor) -> Tensor:
        """How far the batch is from using all signs, and each one surely: added to a loss.

        The entropy of the mean sign should be large, that of each sign small (both in bits).
        """
        chance = (2 * features.float() / self.amplitude).sigmoid()
        sure = F.binary_cross_entropy(chance, chance.detach(), reduction="mean")
        mean = chance.mean((0, 2, 3))
        even = F.binary_cross_entropy(mean, mean.detach(), reduction="mean")
        return (sure - even) / math.log(2)
