"""The prior of z: every channel has a distribution of its own, which follows the rate.

A mixture of three logistic distributions per channel, integrated over one quantiser step
(a parametric variant of the factorised prior of Balle et al. 2018). It is used in training and to
make tables at export; coding reads the tables.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantal.entropy.curves import RateCurve
from quantal.entropy.rates import ANCHORS

__all__ = ["FactorizedPrior"]

_COMPONENTS = 3
_FLOOR = 1e-9


class FactorizedPrior(nn.Module):
    """Bits of the symbols of channels, given the rate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        flat = channels * _COMPONENTS
        spread = torch.tensor([0.0, 0.7, 1.4]).repeat(channels)
        self.means = RateCurve(torch.zeros(ANCHORS, flat))
        self.log_scales = RateCurve(spread.expand(ANCHORS, flat) - 0.3)
        self.weights = RateCurve(torch.zeros(ANCHORS, flat))

    def probabilities(self, values: Tensor, rate: Tensor) -> Tensor:
        """Return the probability of each value's quantiser cell.

        Args:
            values: float32 [B, C, n].
            rate: positions on the rate axis [B].

        Returns:
            float32 [B, C, n].
        """
        shape = (len(rate), self.channels, 1, _COMPONENTS)
        mean = self.means(rate).view(shape)
        scale = self.log_scales(rate).view(shape).clamp(-4, 6).exp()
        weight = self.weights(rate).view(shape).softmax(-1)
        centred = values[..., None] - mean
        # On the negative side both sigmoids are small, so their difference keeps its digits.
        sign = torch.where(centred > 0, -1.0, 1.0)
        upper = torch.sigmoid(sign * (centred + 0.5) / scale)
        lower = torch.sigmoid(sign * (centred - 0.5) / scale)
        return ((upper - lower).abs() * weight).sum(-1)

    def bits(self, values: Tensor, rate: Tensor) -> Tensor:
        """Return the bits per element of values [B, C, h, w] at rates [B]."""
        flat = values.float().flatten(2)
        probability = self.probabilities(flat, rate).clamp_min(_FLOOR)
        return -torch.log2(probability).view_as(values)
