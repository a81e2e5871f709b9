"""SSIMULACRA 2.1, after Jon Sneyers' implementation in libjxl (April 2023).

The package ssimulacra2 differs from libjxl at borders and for small pictures;
docs/reference/metrics.md compares them. Colour planes are processed one at a time to limit memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from quantal.eval.metrics._ssimulacra2_weights import WEIGHTS
from quantal.eval.metrics.base import Measure

__all__ = ["ssimulacra2"]

_SCALES = 6
_SMALLEST = 8  # minimum side of a scale, in pixels
_STABILISER = 0.0009

#: Linear RGB to LMS of JPEG XL's XYB (ISO/IEC 18181-1).
_ABSORBANCE = torch.tensor(
    [
        [0.3, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ]
)
_BIAS = 0.0037930732552754493


def ssimulacra2(weights: Path | None = None) -> Measure:
    """Return the measure of SSIMULACRA 2: 100 for equal pictures, negative for very poor ones."""
    return _measure


@torch.inference_mode()
def _measure(original: NDArray[Any], decoded: NDArray[Any]) -> float:
    pair = [_linear(original), _linear(decoded)]
    scales: list[Tensor] = []
    while len(scales) < _SCALES and min(pair[0].shape[1:]) >= _SMALLEST:
        if scales:
            pair = [_halve(p) for p in pair]
        scales.append(_errors(_positive_xyb(pair[0]), _positive_xyb(pair[1])))
    # With fewer than six scales the first weights are used, as in libjxl.
    errors = torch.stack(scales, 1).flatten().double()
    error = float(errors @ torch.tensor(WEIGHTS, dtype=torch.float64)[: len(errors)])
    error *= 0.9562382616834844
    error = (
        2.326765642916932 * error
        - 0.020884521182843837 * error**2
        + 6.248496625763138e-05 * error**3
    )
    return 100 - 10 * error**0.6276336467831387 if error > 0 else 100.0


def _linear(pixels: NDArray[Any]) -> Tensor:
    """Convert sRGB samples [H, W, 3], 0..255, to linear light [3, H, W], 0..1."""
    srgb = torch.tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float().div_(255)
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _halve(planes: Tensor) -> Tensor:
    """Average 2x2 pixels of [C, H, W]; an odd last row or column is repeated."""
    height, width = planes.shape[1:]
    even = F.pad(planes[None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(even, 2)[0]


def _positive_xyb(rgb: Tensor) -> Tensor:
    """Convert linear RGB [3, H, W] to X, Y and B - Y, each scaled to about 0..1."""
    mixed = torch.einsum("ij,jhw->ihw", _ABSORBANCE, rgb).add_(_BIAS).clamp_(min=0)
    long, middle, short = mixed.pow_(1 / 3).sub_(_BIAS ** (1 / 3))
    x, y = (long - middle) / 2, (long + middle) / 2
    return torch.stack([14 * x + 0.42, y + 0.01, short - y + 0.55])


def _errors(original: Tensor, decoded: Tensor) -> Tensor:
    """Return the errors [3 planes, 2 norms, 3 kinds] between XYB planes [3, H, W].

    Kinds: loss of structure, added edges (ringing, blocking), lost edges (blur). Norms: 1 and 4.
    """
    errors = torch.empty(3, 2, 3)
    for plane, (x, y) in enumerate(zip(original, decoded, strict=True)):
        x_mean, y_mean = _blur(x), _blur(y)
        shared = 2 * (_blur(x * y) - x_mean * y_mean) + _STABILISER
        apart = (_blur(x * x) - x_mean**2) + (_blur(y * y) - y_mean**2) + _STABILISER
        structure = 1 - (1 - (x_mean - y_mean) ** 2) * shared / apart
        edges = (1 + (y - y_mean).abs()) / (1 + (x - x_mean).abs()) - 1
        for kind, error in enumerate((structure, edges, -edges)):
            error = error.clamp(min=0)
            errors[plane, 0, kind] = error.mean(dtype=torch.float64)
            errors[plane, 1, kind] = error.square().square().mean(dtype=torch.float64) ** 0.25
    return errors


def _kernel(sigma: float) -> list[float]:
    """Return half of libjxl's Gaussian kernel, a sum of three cosines, from its centre outwards.

    Source: Charalampidis, "Recursive implementation of the Gaussian filter using truncated cosine
    functions" (2016). The amplitudes are the closest ones to the Gaussian's for which the kernel
    has sum 1 and variance sigma².
    """
    reach = round(3.2795 * sigma + 0.2546)
    place = np.arange(1 - reach, reach)
    frequency = np.array([1, 3, 5]) * np.pi / (2 * reach)
    cosines = np.cos(np.outer(frequency, place))
    sums = cosines.sum(1)
    spreads = cosines @ (reach**2 - place**2)
    free = np.cross(sums, spreads)  # the direction of constant sum and variance
    gaussian = np.exp(-((sigma * frequency) ** 2) / 2) / reach
    wanted = np.array([1, reach**2 - sigma**2, free @ gaussian])
    amplitudes = np.linalg.solve(np.stack([sums, spreads, free]), wanted)
    return [float(tap) for tap in (amplitudes @ cosines)[reach - 1 :]]


_KERNEL = _kernel(1.5)


def _blur(plane: Tensor) -> Tensor:
    """Blur a plane [H, W], padded with zeros."""
    return _blur_down(_blur_down(plane).T).T


def _blur_down(plane: Tensor) -> Tensor:
    """Blur a plane [H, W] along H; sums of shifted planes are ten times as fast as conv2d."""
    height, half = len(plane), len(_KERNEL) - 1
    padded = F.pad(plane, (0, 0, half, half))
    blurred = _KERNEL[0] * plane
    for shift, tap in enumerate(_KERNEL[1:], 1):
        above = padded[half - shift : half - shift + height]
        blurred.add_(above + padded[half + shift : half + shift + height], alpha=tap)
    return blurred
