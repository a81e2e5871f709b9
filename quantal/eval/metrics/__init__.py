"""Quality of decoded pictures: what each metric is, its value, and means of values.

    psnr = metric("psnr")
    psnr(original, decoded)             # uint8 or float32 [H, W, 3], 0..255; here in dB
    mean("psnr", values)                # over pictures
    scale_for_bd("ms-ssim", values)     # the quality in which curves are compared

`about(name)` tells title, unit and direction without loading anything heavy. docs/metrics.md has
the definitions and what the values were checked against.
"""

from __future__ import annotations

from quantal.eval.metrics.base import About, Metric
from quantal.eval.metrics.means import MEANS, Mean, mean
from quantal.eval.metrics.registry import about, metric, names
from quantal.eval.metrics.scale import scale_for_bd, scaled_title

__all__ = [
    "MEANS",
    "About",
    "Mean",
    "Metric",
    "about",
    "mean",
    "metric",
    "names",
    "scale_for_bd",
    "scaled_title",
]
