"""The quantised zero-mean distribution of y's residuals and its grid of scales, for training.

Coding evaluates nothing of this: it reads stored integers (tables.py).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["SCALES", "SCALE_MAX", "SCALE_MIN", "index_to_scale", "logistic_bits"]

#: Standard deviations in units of the quantiser's step; log-spaced, index 0 is the smallest.
SCALES = 64
SCALE_MIN = 0.11
SCALE_MAX = 80.0
_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
#: A logistic distribution of parameter s has the standard deviation s * pi / sqrt(3).
_PARAMETER = math.sqrt(3) / math.pi


def index_to_scale(index: Tensor) -> Tensor:
    """Standard deviation of a (possibly fractional) scale index."""
    return torch.exp(index * _LOG_STEP + math.log(SCALE_MIN))


def logistic_bits(values: Tensor, scale: Tensor) -> Tensor:
    """Bits of values (symbols, or symbols plus noise) under a logistic law, per quantiser step.

    values, scale (standard deviation): the same shape, float32. Returns bits per element. A
    Gaussian's tails fall so fast that a large residual has no gradient left; a logistic's cost
    grows linearly, which also is nearer to what residuals do. The cell's probability
    sigmoid(a) - sigmoid(b) is taken as sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which is exact
    and needs no floor.
    """
    distance = values.abs()
    inverse = 1 / (scale * _PARAMETER)
    upper = F.softplus((distance - 0.5) * inverse)
    lower = F.softplus(-(distance + 0.5) * inverse)
    inside = torch.log1p(-torch.exp(-inverse))
    return (upper + lower - inside) * (1 / math.log(2))
