"""The factorized model: every channel has a distribution of its own, which follows the rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.entropy.curves import RateCurve
from quantal.entropy.frozen.factorized import LIMIT, UNIT_BITS, FrozenFactorized
from quantal.entropy.models.base import Coded, EntropyModel, Samples
from quantal.entropy.models.prior import FactorizedPrior
from quantal.entropy.models.tables import side_tables
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.rounding import round_through

__all__ = ["FactorizedModel"]


class FactorizedModel(EntropyModel):
    """Latents without any context (Balle et al., "End-to-end optimized image compression", 2017).

    The rate index, the whole part of the position on the rate axis, chooses the quantiser's step,
    which is a whole number of 2^-8.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        channels = self.channels
        self.prior = FactorizedPrior(channels)
        self.log_gain = RateCurve.ramp(channels, -0.5, 1.0)

    def gain(self, rate: Tensor) -> Tensor:
        """Return the multiplier before rounding [B, C, 1, 1]; follows the rate index."""
        return self.log_gain(rate.floor()).exp()[:, :, None, None]

    def unit(self, rate: Tensor) -> Tensor:
        """Return the value of a symbol in units of 2^-8: whole numbers [B, C, 1, 1]."""
        return round_through(2.0**UNIT_BITS / self.gain(rate)).clamp_min(1.0)

    def dequantise(self, symbols: Tensor, rate: Tensor) -> Tensor:
        """Map symbols [B, C, h, w] to their values."""
        return symbols * self.unit(rate) * 2.0**-UNIT_BITS

    def forward(self, y: Tensor, rate: Tensor) -> Coded:
        scaled = y.float() * self.gain(rate)
        bits = self.prior.bits(self.blur(scaled), rate).flatten(1).sum(1)
        symbols = round_through(scaled).clamp(-LIMIT, LIMIT)
        return Coded(self.dequantise(symbols, rate), {"y": bits})

    @torch.no_grad()
    def units(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Return unit() at every rate index, int32 [64, C]."""
        rates = torch.arange(RATE_INDICES, dtype=torch.float32, device=self.log_gain.anchors.device)
        return self.unit(rates)[:, :, 0, 0].to(torch.int32).cpu().numpy()

    def freeze(self, samples: Samples = ()) -> FrozenFactorized:
        return FrozenFactorized(self.units(), side_tables(self.prior))

    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> FrozenFactorized:
        return FrozenFactorized.from_arrays(arrays)
