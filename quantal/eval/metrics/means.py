"""Means of a metric over pictures, in the two ways that papers use for PSNR.

The mean of PSNRs weighs an easy picture like a hard one; the PSNR of the mean MSE is ruled by the
hard ones. They may differ by a decibel, so a table has to say which it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantal.errors import EvaluationError
from quantal.eval._optional import unknown
from quantal.eval.metrics.registry import about

__all__ = ["MEANS", "Mean", "mean"]

#: "picture": mean of the pictures' values. "mse": for PSNR, PSNR of the pictures' mean MSE.
MEANS = ("picture", "mse")


@dataclass(frozen=True)
class Mean:
    """A mean over pictures: its value, how many pictures had one, and of how many."""

    value: float
    counted: int
    pictures: int


def mean(name: str, values: Sequence[float | None], kind: str = "picture") -> Mean:
    """The mean of a metric's values over pictures; None and nan are missing and not counted.

    kind: one of MEANS; metrics other than PSNR are always averaged by picture. A PSNR that is
    infinite makes the mean by picture infinite, and counts as no error in that by MSE. Each picture
    weighs the same, whatever its size. EvaluationError if no picture has a value.

    >>> mean("psnr", [30.0, 40.0, None])
    Mean(value=35.0, counted=2, pictures=3)
    >>> round(mean("psnr", [30.0, 40.0], "mse").value, 2)
    32.6
    """
    if kind not in MEANS:
        raise unknown("mean", kind, MEANS)
    title = about(name).title
    known = [v for v in values if v is not None and not math.isnan(v)]
    if not known:
        raise EvaluationError(f"none of {len(values)} pictures has a value of {title}")
    if kind == "mse" and name.startswith("psnr"):
        error = math.fsum(10 ** (-v / 10) for v in known) / len(known)
        value = -10 * math.log10(error) if error else math.inf
    else:
        value = math.fsum(known) / len(known)
    return Mean(value, len(known), len(values))
