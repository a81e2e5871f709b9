"""PSNR of RGB and of luma, in bands of rows to limit memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantal.eval.metrics.base import Measure

__all__ = ["luma_601", "luma_709", "rgb", "yuv"]

_BAND = 256  # rows
_BT709 = np.array([0.2126, 0.7152, 0.0722])


def rgb(weights: Path | None = None) -> Measure:
    """Return the measure of PSNR over all samples of R, G and B, in dB."""
    return lambda original, decoded: _psnr(original, decoded, None)


def luma_601(weights: Path | None = None) -> Measure:
    """Return the measure of PSNR of luma by ITU-R BT.601, in dB."""
    return lambda original, decoded: _psnr(original, decoded, np.array([0.299, 0.587, 0.114]))


def luma_709(weights: Path | None = None) -> Measure:
    """Return the measure of PSNR of luma by ITU-R BT.709, in dB."""
    return lambda original, decoded: _psnr(original, decoded, _BT709)


def yuv(weights: Path | None = None) -> Measure:
    """Return the measure of the mean PSNR of Y, U and V, weighted 6:1:1, in dB."""
    return _yuv


def _yuv(original: NDArray[Any], decoded: NDArray[Any]) -> float:
    height, width = (side - side % 2 or side for side in original.shape[:2])
    difference = original[:height, :width].astype(np.float64) - decoded[:height, :width]
    luma = difference @ _BT709
    # U and V are differences to luma; half as many of each along both axes.
    chroma = [(difference[..., channel] - luma) / 2 / (1 - _BT709[channel]) for channel in (2, 0)]
    step = [2 if side > 1 else 1 for side in (height, width)]
    halved = [
        plane.reshape(height // step[0], step[0], width // step[1], step[1]).mean((1, 3))
        for plane in chroma
    ]
    found = [_decibels(plane) for plane in (luma, *halved)]
    return (6 * found[0] + found[1] + found[2]) / 8


def _decibels(difference: NDArray[np.float64]) -> float:
    error = float(np.square(difference).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _psnr(original: NDArray[Any], decoded: NDArray[Any], luma: NDArray[np.float64] | None) -> float:
    total, samples = 0.0, 0
    for top in range(0, len(original), _BAND):
        difference = original[top : top + _BAND].astype(np.float64) - decoded[top : top + _BAND]
        if luma is not None:  # luma is linear: the difference of lumas is the luma of differences
            difference = difference @ luma
        total += float(np.square(difference).sum())
        samples += difference.size
    return 10 * math.log10(255**2 * samples / total) if total else math.inf
