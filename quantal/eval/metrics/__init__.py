"""Quality metrics of decoded pictures, and their means.

    psnr = metric("psnr")
    psnr(original, decoded)             # uint8 or float32 [H, W, 3], 0..255; here in dB
    mean("psnr", values)                # over pictures
    scale_for_bd("ms-ssim", values)     # the scale for BD-rate

`about(name)` gives title, unit and direction without loading networks. The definitions
and the implementations that the values were checked against are in docs/reference/metrics.md.
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
