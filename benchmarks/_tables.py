"""Formats BD-rates, rates and paragraphs for benchmark pages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np

from quantal.eval.bdrate import BD
from quantal.eval.curves import Curve


def delta(found: BD | str) -> str:
    """Format a BD-rate with its interval over pictures; a dash if there is none."""
    if isinstance(found, str):
        return "–"
    interval = found.interval
    spread = f" ({interval[0]:+.1f} to {interval[1]:+.1f})" if interval else ""
    return f"{found.percent:+.1f} %{spread}"


def rate_at(curve: Curve, decibels: float) -> str:
    """Format bits per pixel at a PSNR, by pchip in log rate; "" outside the curve."""
    from scipy.interpolate import PchipInterpolator

    psnr, log_rate = np.array(curve.values["psnr"]), np.log(np.array(curve.bpp))
    if not psnr[0] <= decibels <= psnr[-1] or (np.diff(psnr) <= 0).any():
        return ""
    return f"{np.exp(PchipInterpolator(psnr, log_rate)(decibels)):.3f}"


def joined(parts: Iterable[str]) -> str:
    """Join the parts of a page; paragraphs get lines of at most 100 columns."""
    return "\n\n".join(map(_filled, parts)) + "\n"


def _filled(part: str) -> str:
    if "\n" in part or part.startswith(("#", "|", "!", "`")):
        return part
    return textwrap.fill(part, 100, break_long_words=False, break_on_hyphens=False)
