"""The scale of metrics for BD-rate: higher is better, and close to linear in log rate.

MS-SSIM and SSIM are converted to decibels: from 0.98 to 0.99 and from 0.998 to 0.999 the error is
halved, which is 3 dB in both cases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantal.eval.metrics.registry import about

__all__ = ["scale_for_bd", "scaled_title"]

_SIMILARITIES = ("ssim", "ms-ssim")


def scale_for_bd(
    name: str, values: Sequence[float | None] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Convert values of a metric to the scale for BD-rate.

    SSIM and MS-SSIM x become -10 log10(1 - x), which is inf for 1. Metrics with lower values for
    better pictures are negated. None becomes NaN.

    >>> scale_for_bd("ms-ssim", [0.9, 0.99]).round(6).tolist()
    [10.0, 20.0]
    """
    array = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    if name in _SIMILARITIES:
        with np.errstate(divide="ignore"):
            return -10 * np.log10(np.maximum(1 - array, 0))
    return array if about(name).higher_is_better else -array


def scaled_title(name: str) -> str:
    """Return the title of such an axis: "PSNR-RGB (dB)", "MS-SSIM (dB)", "-LPIPS (Alex)"."""
    known = about(name)
    if name in _SIMILARITIES:
        return f"{known.title} (dB)"
    sign = "" if known.higher_is_better else "-"
    return f"{sign}{known.title}" + (f" ({known.unit})" if known.unit else "")
