"""The registry of metrics; their modules are imported when needed."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from quantal.errors import ArgumentError
from quantal.eval._optional import unknown
from quantal.eval.metrics.base import About, Metric

__all__ = ["about", "metric", "names"]

_HERE = "quantal.eval.metrics"

#: Description, and "module:function" of (folder of weights or None) -> Measure.
_METRICS: tuple[tuple[About, str], ...] = (
    (
        About(
            "psnr",
            "PSNR-RGB",
            "10 log10(255² / MSE), the squared error averaged over all samples of R, G and B",
            unit="dB",
        ),
        "psnr:rgb",
    ),
    (
        About(
            "psnr-y",
            "PSNR-Y (601)",
            "PSNR of luma 0.299 R + 0.587 G + 0.114 B (BT.601), full range, not rounded",
            unit="dB",
        ),
        "psnr:luma_601",
    ),
    (
        About(
            "psnr-y709",
            "PSNR-Y (709)",
            "PSNR of luma 0.2126 R + 0.7152 G + 0.0722 B (BT.709), full range, not rounded",
            unit="dB",
        ),
        "psnr:luma_709",
    ),
    (
        About(
            "psnr-yuv",
            "PSNR-YUV 6:1:1",
            "(6 PSNR-Y + PSNR-U + PSNR-V) / 8 by BT.709, full range; U and V are means of 2x2 "
            "pixels",
            unit="dB",
        ),
        "psnr:yuv",
    ),
    (
        About(
            "ms-ssim",
            "MS-SSIM",
            "MS-SSIM of R, G and B each, averaged: five scales, Gaussian window of 11 with "
            "sigma 1.5, data range 255",
            smallest=161,
        ),
        "ssim:ms_ssim",
    ),
    (
        About(
            "ssim",
            "SSIM",
            "SSIM of R, G and B each, averaged: Gaussian window of 11 with sigma 1.5, only where "
            "it lies inside the picture, data range 255, no downscaling",
            smallest=11,
        ),
        "ssim:ssim",
    ),
    (
        About(
            "lpips",
            "LPIPS (Alex)",
            "LPIPS 0.1 with AlexNet, at full size",
            higher_is_better=False,
            smallest=32,
        ),
        "perceptual:lpips_alex",
    ),
    (
        About(
            "lpips-vgg",
            "LPIPS (VGG)",
            "LPIPS 0.1 with VGG-16, at full size",
            higher_is_better=False,
            smallest=32,
        ),
        "perceptual:lpips_vgg",
    ),
    (
        About(
            "dists",
            "DISTS",
            "DISTS with VGG-16, at full size (its authors' example reduces the short side to 256)",
            higher_is_better=False,
            smallest=32,
        ),
        "perceptual:dists",
    ),
    (
        About(
            "ssimulacra2",
            "SSIMULACRA 2",
            "SSIMULACRA 2.1 of sRGB pictures; 90 is about visually lossless, 30 low quality",
            smallest=8,
        ),
        "ssimulacra2:ssimulacra2",
    ),
    (
        About(
            "brisque",
            "BRISQUE",
            "BRISQUE of the decoded picture alone, by piq; 0 is best, about 100 worst",
            higher_is_better=False,
            reference=False,
            smallest=16,
        ),
        "brisque:brisque",
    ),
)
_BY_NAME = {known.name: (known, maker) for known, maker in _METRICS}


def names() -> tuple[str, ...]:
    """Return the names of all metrics, common ones first."""
    return tuple(_BY_NAME)


def about(name: str) -> About:
    """Return the description of a metric; ArgumentError for an unknown name."""
    if not isinstance(name, str) or name not in _BY_NAME:
        raise unknown("metric", name, _BY_NAME)
    return _BY_NAME[name][0]


@cache
def metric(name: str, weights: Path | None = None) -> Metric:
    """Create a metric; the same arguments return the same object.

    Args:
        name: Name of the metric.
        weights: Folder with weights of networks; missing ones are downloaded.

    Raises:
        ArgumentError: The name is unknown, or a package or weights are missing.
    """
    known = about(name)
    if weights is not None and not Path(weights).is_dir():
        raise ArgumentError(f"{weights} is not a folder; expected one with weights of networks")
    module, function = _BY_NAME[name][1].split(":")
    maker = getattr(importlib.import_module(f"{_HERE}.{module}"), function)
    return Metric(**vars(known), measure=maker(weights))
