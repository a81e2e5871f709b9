"""The rate axis: one set of weights serves 64 rate indices, and quarters between them.

A quantity that follows the rate is learned at a few anchors and interpolated linearly between them
(gains in the log domain, as in Cui et al., "Asymmetric gained deep image compression", 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["RATE_INDICES", "RateCurve", "rate_lambda"]

RATE_INDICES = 64
ANCHORS = 8
#: lambda of the Lagrangian lambda * 255^2 * MSE + bpp at the lowest and the highest rate index.
LAMBDA_RANGE = (0.00018, 0.45)


def rate_lambda(position: Tensor) -> Tensor:
    """Lambda at a rate position 0..63 (any shape), log-interpolated over LAMBDA_RANGE."""
    low, high = (torch.tensor(v).log() for v in LAMBDA_RANGE)
    return torch.exp(low + (high - low) * position / (RATE_INDICES - 1))


class RateCurve(nn.Module):
    """A value per channel that follows the rate: [B] positions in 0..63 to [B, C].

    start: initial values at the anchors [ANCHORS, C].
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.anchors = nn.Parameter(start.float().clone())

    @classmethod
    def ramp(cls, channels: int, low: float, high: float) -> RateCurve:
        """A curve that starts as the same straight line for every channel."""
        return cls(torch.linspace(low, high, ANCHORS)[:, None].expand(ANCHORS, channels))

    def forward(self, position: Tensor) -> Tensor:
        place = position.float() * ((ANCHORS - 1) / (RATE_INDICES - 1))
        left = place.floor().clamp(0, ANCHORS - 2).long()
        part = (place - left)[:, None]
        anchors = self.anchors.float()
        return anchors[left] * (1 - part) + anchors[left + 1] * part
