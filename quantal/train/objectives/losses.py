"""How training measures the error of a reconstruction: in RGB, weighted in YCbCr, or by MS-SSIM.

All are in the units of a squared error of samples in 0..1, so that one lambda serves for all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["distortion", "ms_ssim"]

#: Luma and chroma by ITU-R BT.601, full range.
_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
#: How much luma and both chromas weigh; the eye sees luma best.
_YCBCR_WEIGHTS = (10 / 12, 1 / 12, 1 / 12)
#: Exponents of the five scales (Wang et al., "Multiscale structural similarity", 2003).
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
#: Below so many pixels a side the window doesn't fit the coarsest scale.
_LEAST = _WINDOW * 2 ** (len(_SCALE_WEIGHTS) - 1)
_C1, _C2 = 0.01**2, 0.03**2
#: At equal rates a codec trained on MSE has about so much MSE for 1 - MS-SSIM: the ratio of the
#: lambdas that CompressAI pairs is 1222 to 1333 for errors of 0..255.
_MS_SSIM_TO_MSE = 1270 / 255**2


def _rgb(drawn: Tensor, pixels: Tensor) -> Tensor:
    return (drawn - pixels).square().flatten(1).mean(1)


def _ycbcr(drawn: Tensor, pixels: Tensor) -> Tensor:
    matrix = torch.tensor(_YCBCR, device=pixels.device)
    error = torch.einsum("oc,bchw->bohw", matrix, drawn - pixels).square().flatten(2).mean(2)
    return error @ torch.tensor(_YCBCR_WEIGHTS, device=pixels.device)


def _blurred(x: Tensor) -> Tensor:
    """Filter each channel with a Gaussian window, where the window fits."""
    place = torch.arange(_WINDOW, device=x.device) - _WINDOW // 2
    window = torch.exp(-place.square() / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(x.shape[1], 1, _WINDOW)
    across = F.conv2d(x, window[:, :, None], groups=x.shape[1])
    return F.conv2d(across, window[..., None], groups=x.shape[1])


def ms_ssim(one: Tensor, other: Tensor) -> Tensor:
    """Return MS-SSIM, mean over channels; it has a gradient.

    Args:
        one: pictures [B, C, H, W] in 0..1.
        other: the same.

    Returns:
        MS-SSIM [B].

    Raises:
        ArgumentError: If a side is below 176 pixels.
    """
    _check_side(min(one.shape[-2:]))
    result = torch.ones(one.shape[:2], device=one.device)
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
        # One call for all five moments.
        stacked = torch.cat((one, other, one * one, other * other, one * other))
        mean_a, mean_b, aa, bb, ab = _blurred(stacked).chunk(5)
        covariance = ab - mean_a * mean_b
        variances = aa - mean_a.square() + bb - mean_b.square()
        part = (2 * covariance + _C2) / (variances + _C2)
        if scale == len(_SCALE_WEIGHTS) - 1:
            squares = mean_a.square() + mean_b.square()
            part = part * (2 * mean_a * mean_b + _C1) / (squares + _C1)
        # A negative similarity has no real power; its gradient is lost, which is rare.
        result = result * part.flatten(2).mean(2).clamp_min(1e-4) ** weight
    return result.mean(1)


def _check_side(pixels: int) -> None:
    if pixels < _LEAST:
        raise ArgumentError(f"MS-SSIM needs crops of {_LEAST} pixels a side or more, not {pixels}")


def _structure(drawn: Tensor, pixels: Tensor) -> Tensor:
    return (1 - ms_ssim(drawn, pixels)) * _MS_SSIM_TO_MSE


_DISTORTIONS = {"rgb": _rgb, "ycbcr": _ycbcr, "ms-ssim": _structure}


def distortion(name: str, smallest: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a distortion.

    Args:
        name: "rgb", "ycbcr" or "ms-ssim".
        smallest: pixels along a side of the smallest crop.

    Returns:
        A function of drawn and true pixels, both [B, 3, H, W] float32 in 0..1, to errors [B].

    Raises:
        ArgumentError: If there is none of that name, or none for crops that small.
    """
    if name not in _DISTORTIONS:
        raise ArgumentError(
            f"there is no distortion {name!r}; there are: {', '.join(_DISTORTIONS)}"
        )
    if name == "ms-ssim":
        _check_side(smallest)
    return _DISTORTIONS[name]
