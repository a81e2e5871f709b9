"""k-means: the start of a codebook, and how a large one becomes smaller ones.

Lloyd's iterations from a k-means++ start (Arthur and Vassilvitskii 2007), on weighted vectors.
Shrinking a trained codebook by clustering its entries is Extreme-VQGAN's (Mao et al. 2023) way to
further rates of one model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["kmeans", "nearest", "shrink"]

#: Distances held at a time: 64 MB.
_PIECE = 1 << 24


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index of the entry of codebook [K, D] that is nearest to each of vectors [n, D], int64 [n].

    Ties go to the lower index.
    """
    codebook = codebook.to(vectors.dtype)
    squares = codebook.square().sum(1)
    pieces = vectors.split(max(_PIECE // len(codebook), 1))
    found = [torch.addmm(squares, piece, codebook.T, alpha=-2).argmin(1) for piece in pieces]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64, device=vectors.device)


def _spread(vectors: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """A k-means++ start: each centre drawn in proportion to its distance from those before."""
    distance = torch.full((len(vectors),), torch.inf)
    centres = torch.empty(count, vectors.shape[1])
    chance = weights
    for place in range(count):
        if float(chance.sum()) <= 0:  # fewer different vectors than centres
            chance = weights
        pick = int(torch.multinomial(chance, 1, generator=generator))
        centres[place] = vectors[pick]
        distance = torch.minimum(distance, (vectors - centres[place]).square().sum(1))
        chance = distance * weights
    return centres


@torch.no_grad()
def kmeans(
    vectors: Tensor,
    count: int,
    weights: Tensor | None = None,
    iterations: int = 20,
    seed: int = 0,
) -> Tensor:
    """Centres [count, D] of vectors [n, D]; weights [n]: how often each vector stands for itself.

    A centre that loses all its vectors is moved to the vector that is served worst. Raises
    ArgumentError for no vectors, or fewer than one centre.
    """
    if count < 1 or len(vectors) < 1:
        raise ArgumentError(f"k-means of {len(vectors)} vectors into {count}: both must be >= 1")
    vectors = vectors.detach().float().cpu()
    share = torch.ones(len(vectors)) if weights is None else weights.detach().float().cpu()
    if len(vectors) > (1 << 24):
        raise ArgumentError("k-means takes at most 2^24 vectors: give it a sample")
    centres = _spread(vectors, share, count, torch.Generator().manual_seed(seed))
    for _ in range(iterations):
        owner = nearest(vectors, centres)
        mass = torch.zeros(count).index_add_(0, owner, share)
        sums = torch.zeros_like(centres).index_add_(0, owner, vectors * share[:, None])
        centres = torch.where(mass[:, None] > 0, sums / mass[:, None].clamp_min(1e-12), centres)
        empty = torch.nonzero(mass == 0)[:, 0]
        if len(empty):
            loss = (vectors - centres[owner]).square().sum(1) * share
            worst = loss.topk(min(len(empty), len(loss))).indices
            centres[empty[: len(worst)]] = vectors[worst]
    return centres


def shrink(codebook: Tensor, counts: Tensor, size: int) -> Tensor:
    """A codebook of `size` entries [size, D] from a larger one [K, D] and its entries' use [K]."""
    if size > len(codebook):
        raise ArgumentError(f"a codebook of {len(codebook)} can't be shrunk to {size} entries")
    # What is hardly used still stands for something.
    return kmeans(codebook, size, counts.float() + 0.01 * counts.float().mean() + 1e-6)
