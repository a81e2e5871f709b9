"""The interface of metrics. Arguments are checked here; torch is not needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantal.errors import EvaluationError

__all__ = ["About", "Measure", "Metric"]

#: The value of an original and a decoded picture, both [H, W, 3], RGB, 0..255.
Measure: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True)
class About:
    """The description of a metric.

    Attributes:
        name: Name in specs and tables.
        title: Title for axes and tables.
        definition: One sentence for reports.
        unit: "dB" or "".
        higher_is_better: Whether higher values are better.
        reference: Whether the metric compares with the original.
        smallest: Minimum side of a picture, in pixels.
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
    """A metric that is ready to use; `quantal.eval.metrics.metric` creates it by name."""

    measure: Measure = field(kw_only=True)

    def __call__(self, original: NDArray[Any], decoded: NDArray[Any]) -> float:
        """Compute the metric.

        Args:
            original: Pixels [H, W, 3], RGB, uint8 or float in 0..255.
            decoded: Pixels of the same shape.

        Returns:
            The value; math.inf for the PSNR of equal pictures.

        Raises:
            EvaluationError: Sizes differ, the picture is too small, or samples are not finite.
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
                f"{self.title}: the decoded picture has samples that are not finite"
            )
        value = float(self.measure(original, decoded))
        if math.isnan(value):
            raise EvaluationError(f"{self.title} has no value for this picture")
        return value
