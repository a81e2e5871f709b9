"""Adapters: latents to what downstream models take, as tokens or as feature maps.

All of them map a batch of latents [B, C, h, w] of any h and w. Tokens are [B, N, W]; a feature map
is [B, C', h', w'].
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.errors import ArgumentError
from quantal.layers import GatedBlock

__all__ = [
    "CodebookEmbedding",
    "DctLowPass",
    "MergedTokens",
    "Normaliser",
    "PatchTokens",
    "PooledTokens",
    "Resampler",
    "Stem",
    "places",
    "replace_stem",
]

Network = TypeVar("Network", bound=nn.Module)

#: Standard deviations below this count as this: channels that are nearly always zero stay small.
_LEAST_SPREAD = 1e-3
#: Variance that is added to each channel of a regression, in units of its own.
_RIDGE = 1e-4


class Normaliser(nn.Module):
    """Shift and scale each channel to mean 0 and variance 1, as measured on samples.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        channels = whole("channels", channels, 1)
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.empty(channels, 1, 1).zero_())
        self.register_buffer("spread", torch.empty(channels, 1, 1).fill_(1))

    @torch.no_grad()
    def fit(self, samples: Iterable[Tensor]) -> None:
        """Measure mean and spread.

        Args:
            samples: batches [B, C, h, w].

        Raises:
            ArgumentError: If there are none.
        """
        count, total, squares = 0, torch.zeros(0), torch.zeros(0)
        for batch in samples:
            if batch.shape[1] != len(self.mean):
                raise ArgumentError(
                    f"{batch.shape[1]} channels of latents found, expected {len(self.mean)}; set "
                    f"`model.channels` to {batch.shape[1]}"
                )
            flat = batch.transpose(0, 1).flatten(1).double().cpu()
            if not count:
                total, squares = torch.zeros(len(flat)).double(), torch.zeros(len(flat)).double()
            count += flat.shape[1]
            total += flat.sum(1)
            squares += flat.square().sum(1)
        if not count:
            raise ArgumentError("a normaliser is fitted to samples, and none were given")
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(_LEAST_SPREAD)
        self.mean.copy_(mean.float()[:, None, None])
        self.spread.copy_(spread.float()[:, None, None])

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to the same shape."""
        return (latents - self.mean) / self.spread


def places(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Return sines and cosines of the places of a grid, [height * width, channels].

    A quarter of the channels each has sines and cosines of rows and of columns, at frequencies from
    1 down to 1/1000 in equal ratios (after Vaswani et al., "Attention is all you need", 2017).

    Args:
        height: rows.
        width: columns.
        channels: a multiple of 4.
        like: a tensor of the type and on the device wanted.
    """
    if channels % 4:
        raise ArgumentError(f"places need a multiple of 4 channels, not {channels}")
    steps = torch.arange(channels // 4, device=like.device)
    frequencies = torch.exp(steps * (-math.log(1000.0) / max(len(steps) - 1, 1)))
    rows = torch.arange(height, device=like.device)[:, None] * frequencies
    columns = torch.arange(width, device=like.device)[:, None] * frequencies
    down = torch.cat((rows.sin(), rows.cos()), 1)[:, None].expand(-1, width, -1)
    across = torch.cat((columns.sin(), columns.cos()), 1)[None].expand(height, -1, -1)
    return torch.cat((down, across), 2).flatten(0, 1).to(like.dtype)


class PatchTokens(nn.Module):
    """A token for every patch of positions, by a linear projection, with its place added.

    Args:
        channels: C of the latents.
        width: W of the tokens, a multiple of 4.
        patch: positions along a side of a patch; latents are padded with zeros to whole ones.
    """

    def __init__(self, channels: int, width: int, patch: int = 1) -> None:
        super().__init__()
        self.patch = whole("patch", patch, 1)
        self.project = nn.Conv2d(channels, width, self.patch, stride=self.patch)

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, ceil(h / patch) ceil(w / patch), W]."""
        bottom, right = (-side % self.patch for side in latents.shape[-2:])
        found = self.project(F.pad(latents, (0, right, 0, bottom)))
        _, width, rows, columns = found.shape
        return found.flatten(2).transpose(1, 2) + places(rows, columns, width, found)


class PooledTokens(nn.Module):
    """A fixed number of tokens: means over a grid of size x size areas, projected.

    Args:
        channels: C of the latents.
        width: W of the tokens, a multiple of 4.
        size: areas along a side.
    """

    def __init__(self, channels: int, width: int, size: int = 4) -> None:
        super().__init__()
        self.size = whole("size", size, 1)
        self.project = nn.Linear(channels, width)

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, size^2, W]."""
        pooled = F.adaptive_avg_pool2d(latents, self.size).flatten(2).transpose(1, 2)
        tokens: Tensor = self.project(pooled)
        return tokens + places(self.size, self.size, tokens.shape[2], tokens)


class Resampler(nn.Module):
    """k tokens, whatever the size: learned queries attend to all positions.

    After the Perceiver resampler of Alayrac et al., "Flamingo: a visual language model for few-shot
    learning", 2022.

    Args:
        channels: C of the latents.
        width: W of the tokens, a multiple of 4 and of `heads`.
        queries: k.
        layers: rounds of attention.
        heads: heads of each attention.
    """

    def __init__(
        self, channels: int, width: int, queries: int = 16, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        if width % heads:
            raise ArgumentError(f"a width of {width} is not a multiple of {heads} heads")
        self.tokens = PatchTokens(channels, width)
        self.queries = nn.Parameter(torch.randn(whole("queries", queries, 1), width) * 0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.attends = nn.ModuleList(
            nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(layers)
        )
        self.mixes = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(layers)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, k, W]."""
        tokens = self.tokens(latents)
        found = self.queries.expand(len(latents), -1, -1)
        for number, (attend, mix) in enumerate(zip(self.attends, self.mixes, strict=True)):
            seen = torch.cat((tokens, found), 1)
            asked = self.norms[2 * number](found)
            found = found + attend(asked, seen, seen, need_weights=False)[0]
            found = found + mix(self.norms[2 * number + 1](found))
        return found


class DctLowPass(nn.Module):
    """Keep the lowest frequencies of each channel over the positions: a smaller map.

    The two-dimensional DCT-II of every channel's map is cut to size x size coefficients and turned
    back, which shrinks the map without aliasing. Maps no larger than that stay as they are.

    Args:
        size: positions along a side of the result.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = whole("size", size, 1)

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, C, min(h, size), min(w, size)]."""
        down, across = (self._matrix(side, latents) for side in latents.shape[-2:])
        return down @ latents @ across.T

    def _matrix(self, side: int, like: Tensor) -> Tensor:
        """Return the matrix that shrinks an axis of `side` positions."""
        kept = min(side, self.size)
        forth = _dct(side, like)[:kept]
        # A constant keeps its value.
        return _dct(kept, like).T @ forth * math.sqrt(kept / side)


def _dct(size: int, like: Tensor) -> Tensor:
    """Return the orthonormal DCT-II as a matrix, frequencies by positions."""
    frequency = torch.arange(size, device=like.device, dtype=torch.float64)[:, None]
    position = torch.arange(size, device=like.device, dtype=torch.float64) + 0.5
    matrix = torch.cos(math.pi / size * frequency * position) * math.sqrt(2 / size)
    matrix[0] *= math.sqrt(0.5)
    return matrix.to(like.dtype)


class MergedTokens(nn.Module):
    """Merge the most similar tokens until a number is left.

    Tokens at even and odd places are matched by the cosine of what they hold; the most similar
    pairs become their mean, weighted by how many tokens each stands for (Bolya et al., "Token
    merging: your ViT but faster", 2023). A round at most halves the tokens.

    Args:
        count: tokens that are left.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = whole("count", count, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map [B, N, W] to [B, min(N, count), W]."""
        sizes = tokens.new_ones(*tokens.shape[:2], 1)
        while tokens.shape[1] > self.count:
            tokens, sizes = _merge(tokens, sizes, tokens.shape[1] - self.count)
        return tokens


def _merge(tokens: Tensor, sizes: Tensor, surplus: int) -> tuple[Tensor, Tensor]:
    """Merge up to `surplus` tokens at even places into similar ones at odd places."""
    unit = F.normalize(tokens, dim=2)
    even, odd = tokens[:, ::2], tokens[:, 1::2]
    merged = min(surplus, odd.shape[1], even.shape[1])
    similarity, partner = (unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)).max(2)
    order = similarity.argsort(1, descending=True)
    gone, kept = order[:, :merged], order[:, merged:].sort(1).values
    width = tokens.shape[2]

    def at(values: Tensor, index: Tensor) -> Tensor:
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))

    weights, target = at(sizes[:, ::2], gone), partner.gather(1, gone)[..., None]
    sums = (odd * sizes[:, 1::2]).scatter_add(
        1, target.expand(-1, -1, width), at(even, gone) * weights
    )
    counts = sizes[:, 1::2].scatter_add(1, target, weights)
    left = torch.cat((at(even, kept), sums / counts), 1)
    return left, torch.cat((at(sizes[:, ::2], kept), counts), 1)


class CodebookEmbedding(nn.Module):
    """Maps of codebook indices to one feature map, by a learned embedding for each map.

    Coarser maps are repeated to the size of the finest. An index of -1, where nothing is coded, has
    an embedding of its own.

    Args:
        entries: number of entries of each map's codebook.
        width: channels of the result.
    """

    def __init__(self, entries: Sequence[int], width: int) -> None:
        super().__init__()
        if not entries:
            raise ArgumentError("there are no codebooks: give the entries of at least one")
        self.tables = nn.ModuleList(
            nn.Embedding(whole("entries", n, 1) + 1, width) for n in entries
        )

    def forward(self, *indices: Tensor) -> Tensor:
        """Map index maps [B, h, w], integers from -1 on, to [B, W, H, W'] of the finest size."""
        if len(indices) != len(self.tables):
            raise ArgumentError(f"{len(indices)} maps for {len(self.tables)} codebooks")
        size = tuple(max(each.shape[axis] for each in indices) for axis in (1, 2))
        total: Tensor | None = None
        for table, index in zip(self.tables, indices, strict=True):
            found = table(index.long() + 1).permute(0, 3, 1, 2)
            found = F.interpolate(found, size=size, mode="nearest")
            total = found if total is None else total + found
        if total is None:
            raise ArgumentError("there are no maps of indices")
        return total


class Stem(nn.Module):
    """Latents to the feature map that a backbone expects after its own first layers.

    Args:
        channels: C of the latents.
        width: channels inside.
        blocks: gated blocks.
        out_channels: C' of the feature map.
        scale: positions of the feature map for one of the latents, along each axis: 1, 2, 4, ...
    """

    def __init__(
        self, channels: int, width: int, blocks: int, out_channels: int, scale: int = 1
    ) -> None:
        super().__init__()
        self.normaliser = Normaliser(channels)
        self.enter = nn.Conv2d(channels, width, 1)
        self.refine = nn.Sequential(*(GatedBlock(width) for _ in range(blocks)))
        self.leave = nn.Conv2d(width, out_channels * whole("scale", scale, 1) ** 2, 1)
        self.scatter = nn.PixelShuffle(scale)

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, C', h * scale, w * scale]."""
        found: Tensor = self.scatter(self.leave(self.refine(self.enter(self.normaliser(latents)))))
        return found

    @torch.no_grad()
    def start_from(self, latents: Tensor, features: Tensor) -> None:
        """Start as the linear map from latents to features with the least squared error.

        Where the stem is narrower than both, it is that of the directions that vary most
        (reduced-rank regression).

        Args:
            latents: of pictures [B, C, h, w].
            features: what the backbone gives for the same pictures [B, C', h * scale, w * scale].
        """
        self.normaliser.fit([latents])
        wanted = F.pixel_unshuffle(features.double(), self.scatter.upscale_factor)
        given = self.normaliser(latents).double()
        rows, targets = (x.permute(0, 2, 3, 1).flatten(0, 2) for x in (given, wanted))
        rows = F.pad(rows, (0, 1), value=1.0)
        moments = rows.T @ rows / len(rows)
        moments.diagonal().add_(_RIDGE)
        found = torch.linalg.solve(moments, rows.T @ targets / len(rows))
        gains, shifts = found[:-1], found[-1]
        # The directions of the result that vary most, each with variance 1 between both layers.
        variances, directions = torch.linalg.eigh(gains.T @ moments[:-1, :-1] @ gains)
        kept = min(self.enter.out_channels, gains.shape[0], gains.shape[1])
        directions = directions[:, -kept:]
        spreads = variances[-kept:].clamp_min(1e-12).sqrt()
        for layer in (self.enter, self.leave):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        self.enter.weight[:kept, :, 0, 0].copy_((gains @ directions / spreads).T)
        # Nothing is made of the other channels at the start.
        nn.init.zeros_(self.leave.weight)
        self.leave.weight[:, :kept, 0, 0].copy_(directions * spreads)
        if self.leave.bias is not None:
            self.leave.bias.copy_(shifts)


def replace_stem(network: Network, stem: nn.Module, first: int) -> Network:
    """Return a network that begins with a stem of latents instead of its first layers.

    Args:
        network: has its layers, in order, as the nn.Sequential `features`, as many classifiers of
            torchvision do. It does not change; the result shares its layers.
        stem: gives what layer `first` takes.
        first: the first layer of `features` that is kept.

    Raises:
        ArgumentError: If the network has no such layer.
    """
    layers = getattr(network, "features", None)
    if not isinstance(layers, nn.Sequential):
        raise ArgumentError(
            f"{type(network).__name__} has no `features` whose first layers a stem could replace; "
            "take a classifier such as mobilenet_v2"
        )
    if not 0 < first < len(layers):
        raise ArgumentError(f"a network of {len(layers)} layers can't begin at layer {first}")
    found = copy.copy(network)
    found._modules = dict(network._modules)
    found.features = nn.Sequential(stem, *layers[first:])
    return found
