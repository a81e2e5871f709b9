"""Features scaled and shifted region by region, and the regions of training crops.

After SegPIC (Liu et al., 2024, "Region-Adaptive Transform with Segmentation Prior for Image
Compression"): what a region has in common decides how it is transformed. In training, masks of
objects (without classes) give the regions, as privileged information; in coding they are not
available, and the cells of a fixed grid take their place. Only the affine part of that paper is
here, not its adaptive convolutions, whose kernels are made for each region.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.errors import ArgumentError

__all__ = ["RegionModulation", "region_labels"]

#: region_labels() looks at means of so many pixels a side: the finest level of the pyramid.
COARSE = 4
#: Difference of colour, 0..1, that counts as much as the distance between two seeds does.
COMPACTNESS = 0.2
ROUNDS = 5


def check_labels(labels: Tensor, batch: int, height: int, width: int) -> None:
    """Raise ArgumentError unless these are label maps int64 [batch, height, width] from 0 on."""
    if labels.dtype != torch.int64 or labels.shape != (batch, height, width):
        raise ArgumentError(
            f"regions are {labels.dtype} {list(labels.shape)}: give one label for each position, "
            f"int64 {[batch, height, width]}"
        )
    if labels.numel() and int(labels.amin()) < 0:
        raise ArgumentError(f"a region's label is {int(labels.amin())}: number regions from 0")


def _members(labels: Tensor, count: int = -1) -> Tensor:
    """Map labels [B, H, W] to membership in each region, float32 of 0 and 1 [B, K, H * W]."""
    return F.one_hot(labels.flatten(1), count).transpose(1, 2).float()


def _means(x: Tensor, members: Tensor) -> Tensor:
    """Return means [B, C, K] of x [B, C, H, W] over regions [B, K, H * W]; 0 where empty."""
    size = members.sum(2)[:, None].clamp_min(1)
    return x.flatten(2) @ members.transpose(1, 2) / size


class RegionModulation(nn.Module):
    """Scale and shift the features of each region by what they are like on average.

    Maps [B, C, H, W] of any H and W to the same shape. A region is described by the mean of each
    channel and of its magnitude, which stand for its colour and its texture; a small network maps
    these to C factors and C summands, which start as the identity. With labels, int64 [B, H, W] of
    0 to K - 1, those are the regions of every sample; without, regions are the cells of a grid,
    `cell` positions wide, which begins at the plane's corner. That costs C + 4 C^2 / cell^2
    multiplications per position.
    """

    def __init__(self, channels: int, cell: int) -> None:
        super().__init__()
        if min(channels, cell) < 1:
            raise ArgumentError(
                f"regions of {channels} channels in cells of {cell}: both must be 1 or more"
            )
        self.cell = cell
        #: Positions in each direction that a result may depend on, without labels.
        self.reach = cell - 1
        #: A tile that starts at a multiple of this many positions has the plane's own cells.
        self.alignment = cell
        last = nn.Conv2d(channels, 2 * channels, 1)
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        self.affine = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.LeakyReLU(0.1), last)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map [B, C, H, W] to the same shape; labels: int64 [B, H, W], or None for the grid."""
        traits = torch.cat([x, x.abs()], 1).float()
        spread = self._over_cells(traits) if labels is None else self._over(traits, labels)
        factor, summand = spread.to(x.dtype).chunk(2, dim=1)
        return x + x * factor + summand

    def _over_cells(self, traits: Tensor) -> Tensor:
        """Map traits [B, 2 C, H, W] to the factors and summands of each position's cell."""
        height, width = traits.shape[2:]
        # Cells at the plane's edges are cut by it.
        affine = self.affine(F.avg_pool2d(traits, self.cell, ceil_mode=True))
        for axis in (2, 3):
            affine = affine.repeat_interleave(self.cell, axis)
        return affine[:, :, :height, :width]

    def _over(self, traits: Tensor, labels: Tensor) -> Tensor:
        """Map traits [B, 2 C, H, W] to the factors and summands of each position's region."""
        batch, _, height, width = traits.shape
        check_labels(labels, batch, height, width)
        with torch.autocast(traits.device.type, enabled=False):
            members = _members(labels)
            means = _means(traits, members)
        affine = self.affine(means[..., None])[..., 0]
        return (affine @ members.to(affine.dtype)).reshape(batch, -1, height, width)


@torch.no_grad()
def region_labels(pixels: Tensor, regions: int) -> Tensor:
    """Cut pictures into regions of similar colour.

    k-means over colour and place from seeds on a grid, much as in SLIC (Achanta et al., 2012), on
    means of 4 x 4 pixels. It stands in for masks of objects where there are none; the same picture
    always gets the same labels. Fast enough for every batch of a training run.

    Args:
        pixels: [B, 3, H, W] in 0..1.
        regions: the most regions of a picture.

    Returns:
        Labels int64 [B, H, W].
    """
    if pixels.dim() != 4 or pixels.shape[1] != 3 or pixels.numel() == 0:
        raise ArgumentError(f"pixels are {list(pixels.shape)}: give pictures as [B, 3, H, W]")
    if regions < 1:
        raise ArgumentError(f"{regions} regions: ask for 1 or more")
    height, width = pixels.shape[2:]
    colour = F.avg_pool2d(pixels.float(), COARSE, ceil_mode=True)
    batch, _, rows, columns = colour.shape
    down = min(max(round((regions * rows / columns) ** 0.5), 1), regions, rows)
    across = min(regions // down, columns)
    spacing = (rows * columns / (down * across)) ** 0.5
    y, x = torch.meshgrid(
        torch.arange(rows, device=pixels.device),
        torch.arange(columns, device=pixels.device),
        indexing="ij",
    )
    labels = (y * down // rows * across + x * across // columns).expand(batch, -1, -1)
    place = torch.stack([y, x]).float().expand(batch, -1, -1, -1) * (COMPACTNESS / spacing)
    features = torch.cat([colour, place], 1)
    members = _members(labels, down * across)
    centres = _means(features, members)
    for _ in range(ROUNDS):
        # The nearest centre: |f - c|^2 less |f|^2, which is the same for all.
        distance = centres.square().sum(1)[:, :, None] - 2 * centres.mT @ features.flatten(2)
        labels = distance.argmin(1).reshape(batch, rows, columns)
        members = _members(labels, down * across)
        kept = members.sum(2)[:, None] > 0
        centres = torch.where(kept, _means(features, members), centres)
    for axis in (1, 2):
        labels = labels.repeat_interleave(COARSE, axis)
    return labels[:, :height, :width]
