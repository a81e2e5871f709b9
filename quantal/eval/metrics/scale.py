"""The scale of quality on which rates are compared: higher is better, and even steps look alike.

MS-SSIM 0.98 to 0.99 halves the error just as 0.998 to 0.999 does; in decibels both are 3.
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
    """Values of a metric as the quality in which BD-rate is taken; None becomes nan.

    SSIM and MS-SSIM x become -10 log10(1 - x), which is inf for 1; metrics of which less is better
    are negated; the others stay as they are.

    >>> scale_for_bd("ms-ssim", [0.9, 0.99]).round(6).tolist()
    [10.0, 20.0]
    """
    array = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    if name in _SIMILARITIES:
        with np.errstate(divide="ignore"):
            return -10 * np.log10(np.maximum(1 - array, 0))
    return array if about(name).higher_is_better else -array


def scaled_title(name: str) -> str:
    """What an axis of that scale is called: "PSNR-RGB (dB)", "MS-SSIM (dB)", "-LPIPS (Alex)"."""
    known = about(name)
    if name in _SIMILARITIES:
        return f"{known.title} (dB)"
    sign = "" if known.higher_is_better else "-"
    return f"{sign}{known.title}" + (f" ({known.unit})" if known.unit else "")
