"""Quantisers with codebooks: one codebook, and several in a cascade or side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.entropy.quantisers.base import Quantised, Quantiser
from quantal.entropy.quantisers.clustering import kmeans, nearest, shrink
from quantal.errors import ArgumentError
from quantal.team import team

__all__ = ["CascadeQuantiser", "VectorQuantiser"]


def _flat(features: Tensor) -> Tensor:
    """Return [B, C, H, W] as vectors [B * H * W, C]."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class VectorQuantiser(Quantiser):
    """The nearest entry of a learned codebook (van den Oord et al. 2017).

    In training mode the codebook follows its vectors by moving averages, and entries that fell out
    of use restart at vectors of the batch (Zeghidour et al. 2021, "SoundStream"). Where processes
    share a batch, both follow the whole of it.

    Args:
        channels: C.
        entries: K.
        decay: weight of the previous averages at each batch, 0..1.
    """

    #: Entries whose running count falls below this share of an even one are revived.
    dead_below = 0.03

    def __init__(self, channels: int, entries: int, decay: float = 0.99) -> None:
        super().__init__()
        channels, entries = whole("channels", channels), whole("entries", entries)
        if channels < 1 or entries < 2 or not 0 <= decay <= 1:
            raise ArgumentError(
                "a codebook needs channels >= 1, entries >= 2 and a decay of 0..1, "
                f"not {channels}, {entries} and {decay}"
            )
        self.channels, self.sizes, self.decay = channels, (entries,), decay
        self.codebook: Tensor
        self.counts: Tensor
        self.sums: Tensor
        start = nn.init.normal_(torch.empty(entries, channels), std=channels**-0.5)
        self.register_buffer("codebook", start)
        self.register_buffer("counts", torch.ones(entries))
        self.register_buffer("sums", self.codebook.clone())

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Start at the k-means of finite vectors [n, C]."""
        self._begin(kmeans(vectors, self.sizes[0]))

    @torch.no_grad()
    def start_as(self, larger: VectorQuantiser) -> None:
        """Start as the k-means of a larger codebook's entries, each weighted by its use."""
        self._begin(shrink(larger.codebook, larger.counts, self.sizes[0]))

    def _begin(self, entries: Tensor) -> None:
        if entries.shape != self.codebook.shape:
            raise ArgumentError(f"vectors of {entries.shape[1]} channels, not {self.channels}")
        self.codebook.copy_(entries)
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """Reset the counts of use to equal values."""
        self.counts.fill_(1.0)
        self.sums.copy_(self.codebook)

    def encode(self, features: Tensor) -> Tensor:
        found = nearest(_flat(self._sized(features)), self.codebook)
        batch, _, height, width = features.shape
        return found.view(batch, 1, height, width)

    def decode(self, indices: Tensor) -> Tensor:
        return self.codebook[self._checked(indices)[:, 0]].permute(0, 3, 1, 2).float()

    def forward(self, features: Tensor) -> Quantised:
        quantised = super().forward(features)
        if self.training:
            self.learn(features, quantised.indices)
        return quantised

    @torch.no_grad()
    def learn(self, features: Tensor, indices: Tensor, where: Tensor | None = None) -> None:
        """Move entries towards the features that chose them.

        Vectors that are not finite are ignored. Where processes share a batch, all of them call
        this for a codebook, also with B = 0.

        Args:
            features: [B, C, H, W].
            indices: [B, 1, H, W].
            where: positions that count, bool [B, H, W]; default: all.
        """
        vectors, chosen = _flat(self._sized(features)), indices.flatten()
        # What is not finite would stay in the averages for ever.
        kept = vectors.square().sum(1).isfinite()
        if where is not None:
            kept &= where.flatten()
        vectors, chosen = vectors[kept], chosen[kept]
        entries = self.sizes[0]
        counts = torch.bincount(chosen, minlength=entries).to(self.counts)
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, vectors)
        team().add([counts, sums])
        if not counts.any():
            return
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        used = self.counts[:, None]
        self.codebook.copy_(torch.where(used > 0, self.sums / used, self.codebook))
        even = self.counts.sum() / entries
        dead = torch.nonzero(self.counts < self.dead_below * even)[:, 0]
        if len(dead):
            # Each at a vector of its own, for only one of two that are alike is ever the nearest;
            # where vectors are too few, the others wait for the next batch.
            before, total = team().place(len(vectors))
            pick = torch.randperm(total, device=vectors.device)[: len(dead)] - before
            dead = dead[: len(pick)]
            own = (pick >= 0) & (pick < len(vectors))
            found = torch.zeros_like(self.codebook[dead])
            found[own] = vectors[pick[own]]
            team().add([found])
            self.codebook[dead] = found
            # As if it had been used evenly so far, so that it has time to settle.
            self.counts[dead] = even
            self.sums[dead] = found * even


class CascadeQuantiser(Quantiser):
    """Several quantisers for the same position (McQuic, Zhu et al. 2022).

    A cascade has a large effective codebook. Each stage quantises the residual of those before it;
    a stage of several quantisers splits the channels among them, in order (product quantisation).
    The gradient is the first stage's: the others only correct its error. The loss is the sum of all
    stages.

    Args:
        stages: the quantisers of each stage.
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

    def _stages(self) -> list[list[Quantiser]]:
        return [list(stage) for stage in self.stages]  # type: ignore[call-overload]

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Start each codebook at the k-means of its input, for vectors [n, C]."""
        rest = self._sized(vectors.T[None, :, :, None])
        for stage in self._stages():
            found = []
            for part, piece in _shared_out(rest, stage):
                if isinstance(part, (VectorQuantiser, CascadeQuantiser)):
                    part.start_at(_flat(piece))
                found.append(part.decode(part.encode(piece)))
            rest = rest - torch.cat(found, 1)

    def encode(self, features: Tensor) -> Tensor:
        rest, indices = self._sized(features), []
        for stage in self._stages():
            found = []
            for part, piece in _shared_out(rest, stage):
                indices.append(part.encode(piece))
                found.append(part.decode(indices[-1]))
            rest = rest - torch.cat(found, 1)
        return torch.cat(indices, 1)

    def decode(self, indices: Tensor) -> Tensor:
        groups = iter(torch.split(self._checked(indices), 1, 1))
        drawn: list[Tensor] = []
        for stage in self._stages():
            own = [torch.cat([next(groups) for _ in part.sizes], 1) for part in stage]
            pairs = zip(stage, own, strict=True)
            drawn.append(torch.cat([part.decode(indices) for part, indices in pairs], 1))
        return reduce(torch.add, drawn)

    def forward(self, features: Tensor) -> Quantised:
        rest = self._sized(features)
        drawn: list[Tensor] = []
        indices, loss = [], rest.new_zeros(len(rest))
        for stage in self._stages():
            parts = [(part, part(piece)) for part, piece in _shared_out(rest, stage)]
            found = torch.cat([quantised.features for _, quantised in parts], 1)
            drawn.append(found.detach() if drawn else found)
            indices += [quantised.indices for _, quantised in parts]
            for part, quantised in parts:
                loss = loss + quantised.loss * (part.channels / self.channels)
            rest = rest - found.detach()
        passed = reduce(torch.add, drawn).to(features.dtype)
        return Quantised(passed, torch.cat(indices, 1), loss)


def _shared_out(features: Tensor, stage: Sequence[Quantiser]) -> Iterator[tuple[Quantiser, Tensor]]:
    """Yield each quantiser of a stage with its channels of the features."""
    pieces = torch.split(features, [part.channels for part in stage], 1)
    return zip(stage, pieces, strict=True)
