"""k-means: the start of a codebook, and the reduction of a large one to smaller ones.

Lloyd's iterations from a k-means++ start (Arthur and Vassilvitskii 2007), on weighted vectors.
Clustering the entries of a trained codebook gives further rates of one model, as in Extreme-VQGAN
(Mao et al. 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["kmeans", "nearest", "shrink"]

#: Distances held at a time: 64 MB.
_PIECE = 1 << 24
#: The most vectors that a weighted choice can be made among.
_MOST = 1 << 24


@torch.no_grad()
def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return the index of the nearest entry of a codebook [K, D] for vectors [n, D], int64 [n].

    Ties, up to rounding, are broken arbitrarily; a vector that is not finite gets some index, too.
    """
    if vectors.ndim != 2 or codebook.ndim != 2 or vectors.shape[1] != codebook.shape[1]:
        raise ArgumentError(
            f"vectors are {list(vectors.shape)} and a codebook is {list(codebook.shape)}, "
            "expected [n, D] and [K, D]"
        )
    if not len(codebook):
        raise ArgumentError("a codebook without entries has none that is nearest")
    # Autocast would compare distances of 8 bits.
    with torch.autocast(vectors.device.type, enabled=False):
        # Squares of a common offset would drown the differences.
        middle = codebook.float().mean(0)
        entries = codebook.float() - middle
        squares = entries.square().sum(1)
        found = [
            torch.addmm(squares, piece.float() - middle, entries.T, alpha=-2).argmin(1)
            for piece in torch.split(vectors, max(_PIECE // len(entries), 1))
        ]
    return torch.cat(found)


def _spread(vectors: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a k-means++ start: centres drawn in proportion to their distance from earlier ones."""
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
    """Return centres of vectors, float32 [count, D] on the CPU.

    A centre that loses all its vectors moves to the vector with the largest error. If there are
    fewer different vectors than centres, some centres are equal.

    Args:
        vectors: [n, D].
        count: how many centres.
        weights: of each vector [n]; default: 1.
        iterations: how many.
        seed: of the start.

    Raises:
        ArgumentError: If there are no vectors, too many, or numbers that are not finite.
    """
    if vectors.ndim != 2 or not 1 <= len(vectors) <= _MOST or count < 1:
        raise ArgumentError(
            f"k-means of vectors {list(vectors.shape)} into {count}: expected [n, D] with n in "
            "1..2^24 (give it a sample of more), and at least one centre"
        )
    vectors = vectors.detach().float().cpu()
    if not bool(vectors.isfinite().all()):
        raise ArgumentError("k-means: a vector is not finite")
    share = torch.ones(len(vectors)) if weights is None else weights.detach().float().cpu()
    if share.shape != (len(vectors),) or not bool(((share >= 0) & share.isfinite()).all()):
        raise ArgumentError(f"k-means: weights must be finite, >= 0, and {len(vectors)}")
    if not bool(share.any()):
        raise ArgumentError("k-means: all weights are 0, so no vector counts")
    share = share / share.max()
    centres = _spread(vectors, share, count, torch.Generator().manual_seed(seed))
    for _ in range(iterations):
        owner = nearest(vectors, centres)
        mass = torch.zeros(count).index_add_(0, owner, share)
        sums = torch.zeros_like(centres).index_add_(0, owner, vectors * share[:, None])
        centres = torch.where(mass[:, None] > 0, sums / mass[:, None], centres)
        empty = torch.nonzero(mass == 0)[:, 0]
        if len(empty):
            loss = (vectors - centres[owner]).square().sum(1) * share
            worst = loss.topk(min(len(empty), len(loss))).indices
            centres[empty[: len(worst)]] = vectors[worst]
    return centres


def shrink(codebook: Tensor, counts: Tensor, size: int) -> Tensor:
    """Return a codebook [size, D] made from a larger one [K, D] and its entries' use [K]."""
    if size > len(codebook):
        raise ArgumentError(f"a codebook of {len(codebook)} can't be shrunk to {size} entries")
    # Entries that are hardly used still count.
    return kmeans(codebook, size, counts.float() + 0.01 * counts.float().mean() + 1e-6)
