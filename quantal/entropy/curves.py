"""Quantities that follow the rate, learned at a few anchors and interpolated between them.

Gains are interpolated in the log domain, as in Cui et al., "Asymmetric gained deep image
compression with continuous rate adaptation", 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantal.entropy.rates import ANCHORS, LAMBDA_RANGE, RATE_INDICES

__all__ = ["RateCurve", "rate_lambda", "start_log_gain"]

#: Quantiser step in 0..255 units at lambda 1: the optimal step is near 3 / sqrt(lambda).
_STEP_AT_LAMBDA_ONE = 3.0


def rate_lambda(rate: Tensor) -> Tensor:
    """Return lambda at positions 0..63 on the rate axis, log-interpolated over LAMBDA_RANGE.

    Args:
        rate: float, of any shape.

    Returns:
        float32 of the same shape.
    """
    low, high = (torch.tensor(v).log() for v in LAMBDA_RANGE)
    return torch.exp(low + (high - low) * rate / (RATE_INDICES - 1))


def start_log_gain() -> Tensor:
    """Return the logarithm of a gain that suits latents orthonormal in pixels of 0..1 [ANCHORS]."""
    places = torch.linspace(0, RATE_INDICES - 1, ANCHORS)
    return torch.log(255 / _STEP_AT_LAMBDA_ONE * rate_lambda(places).sqrt())


class RateCurve(nn.Module):
    """A value per channel that follows the rate.

    Args:
        start: initial values at the anchors [ANCHORS, C].
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.anchors = nn.Parameter(start.float().clone())

    @classmethod
    def ramp(cls, channels: int, low: float, high: float) -> RateCurve:
        """Return a curve that starts as the same straight line for every channel."""
        return cls(torch.linspace(low, high, ANCHORS)[:, None].expand(ANCHORS, channels))

    def forward(self, rate: Tensor) -> Tensor:
        """Map positions on the rate axis [B] to values [B, C]."""
        place = rate.float() * ((ANCHORS - 1) / (RATE_INDICES - 1))
        left = place.floor().clamp(0, ANCHORS - 2).long()
        part = (place - left)[:, None]
        anchors = self.anchors.float()
        return anchors[left] * (1 - part) + anchors[left + 1] * part
