"""Conversion between RGB and the planes of video codecs: BT.709 Y'CbCr, full range.

Chroma is subsampled by means of 2x2 samples and upsampled by bilinear interpolation; both site
chroma in the centre of the 2x2 samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from quantal.codecs.contract import Pixels

__all__ = ["from_planes", "to_planes"]

Plane = npt.NDArray[np.uint16]

_RED, _BLUE = 0.2126, 0.0722  # ITU-R BT.709
_GREEN = 1 - _RED - _BLUE


def to_planes(image: Pixels, subsampled: bool, bits: int) -> list[Plane]:
    """Convert RGB to planes of video codecs.

    Args:
        image: Pixels, uint8 [H, W, 3]; H and W are even if subsampled.
        subsampled: Whether chroma planes have half the sides (4:2:0).
        bits: Bits of a sample.

    Returns:
        Y, Cb and Cr, uint16 [H, W] or [H/2, W/2].
    """
    peak = (1 << bits) - 1
    red, green, blue = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    luma = _RED * red + _GREEN * green + _BLUE * blue
    chroma = torch.stack(((blue - luma) / (2 - 2 * _BLUE), (red - luma) / (2 - 2 * _RED)))
    if subsampled:
        chroma = functional.avg_pool2d(chroma, 2)
    # In full range, chroma is zero at 2^(bits - 1).
    chroma = chroma * peak + (1 << (bits - 1))
    planes = (luma * peak, *chroma)
    return [p.round().clamp(0, peak).numpy().astype(np.uint16) for p in planes]


def from_planes(planes: list[Plane], bits: int) -> Pixels:
    """Convert Y, Cb and Cr of `bits` bits to RGB, uint8 [H, W, 3]."""
    peak = (1 << bits) - 1
    luma, *rest = (torch.from_numpy(p.astype(np.float32)) for p in planes)
    chroma = torch.stack(rest)[None]
    if chroma.shape[2:] != luma.shape:
        size = list(luma.shape)
        chroma = functional.interpolate(chroma, size, mode="bilinear", align_corners=False)
    blueness, redness = (chroma[0] - (1 << (bits - 1))) / peak
    luma = luma / peak
    red = luma + (2 - 2 * _RED) * redness
    blue = luma + (2 - 2 * _BLUE) * blueness
    green = (luma - _RED * red - _BLUE * blue) / _GREEN
    rgb = torch.stack((red, green, blue), dim=-1)
    return (rgb * 255).round().clamp(0, 255).to(torch.uint8).numpy()
