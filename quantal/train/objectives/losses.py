"""How training measures the error of a reconstruction: a mixture of several distortions.

All are in the units of a squared error of samples in 0..1, so that one lambda serves for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.errors import ArgumentError
from quantal.train.objectives.perceptual import Lpips

__all__ = ["Distortion", "DistortionSettings", "ms_ssim"]

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
#: Squared error divided by 1 - MS-SSIM and by LPIPS (AlexNet), both means over nine photographs of
#: CID22 coded by `context-m`: from 0.05 to 1.2 bits per pixel the first ratio is 0.031 to
#: 0.033, the second 0.007 to 0.011.
_MS_SSIM_TO_MSE, _LPIPS_TO_MSE = 0.032, 0.008


def _rgb(drawn: Tensor, pixels: Tensor) -> Tensor:
    return (drawn - pixels).square().flatten(1).mean(1)


def _ycbcr(drawn: Tensor, pixels: Tensor) -> Tensor:
    matrix = torch.tensor(_YCBCR, device=pixels.device)
    error = torch.einsum("oc,bchw->bohw", matrix, drawn - pixels).square().flatten(2).mean(2)
    return error @ torch.tensor(_YCBCR_WEIGHTS, device=pixels.device)


def _blurred(x: Tensor) -> Tensor:
    """Filter each channel with a Gaussian window, where the window fits.

    A product with a banded matrix is mostly products with zeros, and still several times faster on
    a CPU than a convolution of each channel by itself.
    """
    height, width = x.shape[-2:]
    return _band(height).to(x).T @ (x @ _band(width).to(x))


@lru_cache(maxsize=16)
def _band(size: int) -> Tensor:
    """Return the matrix [size, size - 10] whose columns are the window at every place it fits."""
    place = torch.arange(_WINDOW) - _WINDOW // 2
    window = torch.exp(-place.square() / (2 * _SIGMA**2))
    window /= window.sum()
    band = torch.zeros(size, size - _WINDOW + 1)
    for offset, weight in enumerate(window):
        band.diagonal(-offset).fill_(weight)
    return band


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
        mean_a, mean_b = _blurred(one), _blurred(other)
        product, squares = mean_a * mean_b, mean_a.square() + mean_b.square()
        # Both variances are needed in sum alone.
        covariance = _blurred(one * other) - product
        variances = _blurred(one.square() + other.square()) - squares
        part = (2 * covariance + _C2) / (variances + _C2)
        if scale == len(_SCALE_WEIGHTS) - 1:
            part = part * (2 * product + _C1) / (squares + _C1)
        # A negative similarity has no real power; its gradient is lost, which is rare.
        result = result * part.flatten(2).mean(2).clamp_min(1e-4) ** weight
    return result.mean(1)


def _check_side(pixels: int) -> None:
    if pixels < _LEAST:
        raise ArgumentError(f"MS-SSIM needs crops of {_LEAST} pixels a side or more, not {pixels}")


@dataclass(frozen=True)
class DistortionSettings:
    """The weights of distortions in a mixture; those of weight 0 are not computed.

    Attributes:
        rgb: weight of the mean squared error over RGB.
        ycbcr: weight of the mean squared error over YCbCr, where luma counts ten times as much as
            a chroma plane.
        ms_ssim: weight of 1 - MS-SSIM, in the units of the squared error that it replaces.
        lpips: weight of LPIPS, in the same units.
        lpips_net: LPIPS' network, "alex" or "vgg".
        lpips_heads: LPIPS' file of weights for it.
        lpips_backbone: a file of that network's weights; None for torchvision's download.
    """

    rgb: float = 0.0
    ycbcr: float = 0.0
    ms_ssim: float = 0.0
    lpips: float = 0.0
    lpips_net: str = "alex"
    lpips_heads: str = ""
    lpips_backbone: str | None = None

    def __post_init__(self) -> None:
        weights = self.rgb, self.ycbcr, self.ms_ssim, self.lpips
        if min(weights) < 0 or not any(weights):
            raise ArgumentError(
                f"distortion weighs rgb, ycbcr, ms_ssim and lpips by {[*weights]}; none is below "
                "0 and one is above"
            )
        if self.lpips and not self.lpips_heads:
            raise ArgumentError("LPIPS needs weights; set `distortion.lpips_heads` to its file")


class Distortion:
    """The error of drawn pictures by a mixture of distortions.

    Args:
        settings: the mixture.
        smallest: pixels along a side of the smallest crop.
        device: where the pictures are.
        generator: of random numbers.

    Raises:
        ArgumentError: If crops are too small for MS-SSIM.
        ModelError: If a file of LPIPS' weights can't be read.
    """

    def __init__(
        self,
        settings: DistortionSettings,
        smallest: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        self.settings, self.generator = settings, generator
        if settings.ms_ssim:
            _check_side(smallest)
        self.lpips: Lpips | None = None
        if settings.lpips:
            lpips = Lpips(settings.lpips_net, settings.lpips_heads, settings.lpips_backbone)
            self.lpips = lpips.to(device)

    def __call__(self, drawn: Tensor, pixels: Tensor) -> dict[str, Tensor]:
        """Return the weighed error by each distortion of the mixture.

        Args:
            drawn: reconstructions, float32 [B, 3, H, W], about 0..1.
            pixels: the originals.

        Returns:
            Errors [B] by the name of the distortion.
        """
        weights, found = self.settings, {}
        if weights.rgb:
            found["rgb"] = weights.rgb * _rgb(drawn, pixels)
        if weights.ycbcr:
            found["ycbcr"] = weights.ycbcr * _ycbcr(drawn, pixels)
        if weights.ms_ssim:
            found["ms_ssim"] = weights.ms_ssim * _MS_SSIM_TO_MSE * (1 - ms_ssim(drawn, pixels))
        if self.lpips is not None:
            # AlexNet looks on a grid of 4 pixels, synthesis draws on one: they mustn't agree.
            top, left = (int(n) for n in torch.randint(4, (2,), generator=self.generator))
            distance = self.lpips(drawn[..., top:, left:], pixels[..., top:, left:])
            found["lpips"] = weights.lpips * _LPIPS_TO_MSE * distance
        return found
