"""The Karhunen-Loeve transform of data: the best linear start for a learned transform.

A network that begins as an orthonormal block transform codes well after minutes; from a random
start the same network needs hours to get there (docs/results/training-diary.md has the figures).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["principal_components"]


def principal_components(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the leading principal directions of features and their root mean squares.

    Features are not centred, because the layers that take the result have no mean to remove.

    Args:
        features: [B, C, H, W]; every position is a sample.
        count: rows to return; rows past C are zero.

    Returns:
        Rows [count, C], of which the leading ones are orthonormal, and root mean squares [count].
    """
    channels = features.shape[1]
    flat = features.permute(1, 0, 2, 3).reshape(channels, -1).double()
    moments = flat @ flat.T / flat.shape[1]
    values, vectors = torch.linalg.eigh(moments)
    kept = min(count, channels)
    rows = torch.zeros(count, channels)
    rms = torch.zeros(count)
    rows[:kept] = vectors.flip(1).T[:kept].float()
    rms[:kept] = values.flip(0)[:kept].clamp_min(0).sqrt().float()
    return rows, rms
