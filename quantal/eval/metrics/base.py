"""What every metric is: a name, what its values mean, and a function of two pictures.

Input is checked here once for all of them; the functions stand in files of their own. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantal.errors import EvaluationError

__all__ = ["About", "Measure", "Metric"]

#: Value of an original and a decoded picture, both [H, W, 3], RGB, 0..255.
Measure: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True)
class About:
    """What is known of a metric before anything is measured.

    title: for axes and tables. unit: "dB" or "". definition: a sentence for reports. reference:
    whether the original is looked at. smallest: the shortest side it is defined for, in pixels.
    """

    name: str
    title: str
    definition: str
    unit: str = ""
    higher_is_better: bool = True
    reference: bool = True
    smallest: int = 1


@dataclass(frozen=True)
class Metric(About):
    """A metric ready to measure; `quantal.eval.metrics.metric` makes one by name."""

    measure: Measure = field(kw_only=True)

    def __call__(self, original: NDArray[Any], decoded: NDArray[Any]) -> float:
        """The value for two pictures [H, W, 3], uint8 or float, RGB in 0..255.

        math.inf for the PSNR of equal pictures. EvaluationError where there is no value: sizes
        differ, the picture is too small, samples are not finite.
        """
        if original.ndim != 3 or original.shape[2] != 3 or original.shape != decoded.shape:
            raise EvaluationError(
                f"{self.title} of pictures {list(original.shape)} and {list(decoded.shape)}: "
                "expected two of the same size, [H, W, 3]"
            )
        height, width = original.shape[:2]
        if min(height, width) < self.smallest:
            raise EvaluationError(
                f"{self.title} is defined from {self.smallest} pixels a side, "
                f"this picture has {width}x{height}"
            )
        if decoded.dtype.kind == "f" and not np.isfinite(decoded).all():
            raise EvaluationError(
                f"{self.title}: the decoded picture has samples that are no number"
            )
        value = float(self.measure(original, decoded))
        if math.isnan(value):
            raise EvaluationError(f"{self.title} has no value for this picture")
        return value
