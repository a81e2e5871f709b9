"""Means of metrics over pictures, in the two ways that papers use for PSNR.

The mean of PSNRs gives every picture the same weight; the PSNR of the mean MSE is dominated by
pictures with a large error. They can differ by a decibel, so a table has to state its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantal.errors import EvaluationError
from quantal.eval._optional import unknown
from quantal.eval.metrics.registry import about

__all__ = ["MEANS", "Mean", "mean"]

#: "picture": mean of values. "mse": PSNR of the mean MSE; other metrics as "picture".
MEANS = ("picture", "mse")


@dataclass(frozen=True)
class Mean:
    """A mean over pictures.

    Attributes:
        value: The mean.
        counted: Number of pictures with a value.
        pictures: Number of all pictures.
    """

    value: float
    counted: int
    pictures: int


def mean(name: str, values: Sequence[float | None], kind: str = "picture") -> Mean:
    """Compute the mean of a metric over pictures; every picture has the same weight.

    >>> mean("psnr", [30.0, 40.0, None])
    Mean(value=35.0, counted=2, pictures=3)
    >>> round(mean("psnr", [30.0, 40.0], "mse").value, 2)
    32.6

    Args:
        name: Name of the metric.
        values: Values of the pictures; None and NaN are missing and not counted. An infinite PSNR
            makes the mean "picture" infinite, and is an error of 0 in the mean "mse".
        kind: One of MEANS.

    Raises:
        EvaluationError: No picture has a value.
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
