"""SSIM and MS-SSIM by pytorch-msssim, one channel at a time to limit memory.

All computations are in float64: in float32, the package's default, flat regions cause errors of up
to 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantal.eval._optional import require
from quantal.eval.metrics.base import Measure

__all__ = ["ms_ssim", "ssim"]


def ssim(weights: Path | None = None) -> Measure:
    """Return the measure of SSIM (Wang et al. 2004), 1 for equal pictures."""
    package = require("pytorch_msssim", "metric 'ssim'", "pytorch-msssim")
    return partial(_over_channels, package.ssim)


def ms_ssim(weights: Path | None = None) -> Measure:
    """Return the measure of MS-SSIM (Wang et al. 2003), 1 for equal pictures."""
    package = require("pytorch_msssim", "metric 'ms-ssim'", "pytorch-msssim")
    return partial(_over_channels, package.ms_ssim)


@torch.inference_mode()
def _over_channels(
    of_planes: Callable[..., Tensor], original: NDArray[Any], decoded: NDArray[Any]
) -> float:
    """Return the mean of a function of the package over R, G and B."""
    distance = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.softmax(-distance.square() / (2 * 1.5**2), 0)[None, None, None]
    return (
        sum(
            float(of_planes(_plane(original, c), _plane(decoded, c), data_range=255, win=window))
            for c in range(3)
        )
        / 3
    )


def _plane(pixels: NDArray[Any], channel: int) -> Tensor:
    """Return a channel of [H, W, 3] as [1, 1, H, W], float64."""
    return torch.tensor(pixels[:, :, channel].astype(np.float64))[None, None]
