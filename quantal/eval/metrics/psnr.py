"""PSNR of RGB and of luma, in bands of rows to limit memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantal.eval.metrics.base import Measure

__all__ = ["luma_601", "luma_709", "rgb"]

_BAND = 256  # rows


def rgb(weights: Path | None = None) -> Measure:
    """Return the measure of PSNR over all samples of R, G and B, in dB."""
    return lambda original, decoded: _psnr(original, decoded, None)


def luma_601(weights: Path | None = None) -> Measure:
    """Return the measure of PSNR of luma by ITU-R BT.601, in dB."""
    return lambda original, decoded: _psnr(original, decoded, np.array([0.299, 0.587, 0.114]))


def luma_709(weights: Path | None = None) -> Measure:
    """Return the measure of PSNR of luma by ITU-R BT.709, in dB."""
    return lambda original, decoded: _psnr(original, decoded, np.array([0.2126, 0.7152, 0.0722]))


def _psnr(original: NDArray[Any], decoded: NDArray[Any], luma: NDArray[np.float64] | None) -> float:
    total, samples = 0.0, 0
    for top in range(0, len(original), _BAND):
        difference = original[top : top + _BAND].astype(np.float64) - decoded[top : top + _BAND]
        if luma is not None:  # luma is linear: the difference of lumas is the luma of differences
            difference = difference @ luma
        total += float(np.square(difference).sum())
        samples += difference.size
    return 10 * math.log10(255**2 * samples / total) if total else math.inf
