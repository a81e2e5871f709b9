"""The distribution of y's residuals, for training: quantised and of mean zero."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.entropy.scales import LOG_STEP, SCALE_MIN

__all__ = ["index_to_scale", "logistic_bits"]

#: A logistic distribution of parameter s has the standard deviation s * pi / sqrt(3).
_PARAMETER = math.sqrt(3) / math.pi


def index_to_scale(index: Tensor) -> Tensor:
    """Return the standard deviation of (possibly fractional) scale indices."""
    return torch.exp(index * LOG_STEP + math.log(SCALE_MIN))


def logistic_bits(values: Tensor, scale: Tensor) -> Tensor:
    """Return the bits of values under a logistic distribution, per quantiser step.

    A Gaussian's tails fall so fast that a large residual has no gradient left; the cost under a
    logistic grows linearly, which is also closer to real residuals. The cell's probability
    sigmoid(a) - sigmoid(b) is computed as sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which is exact
    and needs no floor.

    Args:
        values: symbols, or symbols plus noise, float32 of any shape.
        scale: their standard deviations, of the same shape.

    Returns:
        Bits per element, of the same shape.
    """
    distance = values.abs()
    inverse = 1 / (scale * _PARAMETER)
    upper = F.softplus((distance - 0.5) * inverse)
    lower = F.softplus(-(distance + 0.5) * inverse)
    inside = torch.log1p(-torch.exp(-inverse))
    return (upper + lower - inside) * (1 / math.log(2))
