"""SSIM and MS-SSIM by pytorch-msssim, one channel at a time so that memory stays small."""

from __future__ import annotations

from collections.abc import Callable
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
    """SSIM (Wang et al. 2004), 1 for equal pictures."""
    package = require("pytorch_msssim", "metric 'ssim'", "pytorch-msssim")
    return _over_channels(lambda x, y: package.ssim(x, y, data_range=255))


def ms_ssim(weights: Path | None = None) -> Measure:
    """MS-SSIM (Wang et al. 2003), 1 for equal pictures."""
    package = require("pytorch_msssim", "metric 'ms-ssim'", "pytorch-msssim")
    return _over_channels(lambda x, y: package.ms_ssim(x, y, data_range=255))


def _over_channels(of_plane: Callable[[Tensor, Tensor], Tensor]) -> Measure:
    """The mean over R, G, B of what a function gives for planes [1, 1, H, W], 0..255."""

    def plane(pixels: NDArray[Any], channel: int) -> Tensor:
        return torch.tensor(np.ascontiguousarray(pixels[:, :, channel])).float()[None, None]

    @torch.inference_mode()
    def measure(original: NDArray[Any], decoded: NDArray[Any]) -> float:
        values = [float(of_plane(plane(original, c), plane(decoded, c))) for c in range(3)]
        return sum(values) / 3

    return measure
