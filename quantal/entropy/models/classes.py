"""The model of classes: a mixture whose component every position states.

The latents of a position have one of a few sets of scales, whichever codes them in the fewest bits
(a scale mixture as in Wainwright and Simoncelli, "Scale mixtures of Gaussians and the statistics of
natural images", 2000, with the mixing variable sent along). No network is needed to read them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.entropy.curves import RateCurve, start_log_gain
from quantal.entropy.frozen.classes import CLASS_STEP, LARGEST_COUNT, FrozenClasses
from quantal.entropy.models.base import Coded, EntropyModel, Samples, detached_copy
from quantal.entropy.models.likelihoods import index_to_scale, logistic_bits
from quantal.entropy.models.runtime import TorchNetworks
from quantal.entropy.models.tables import SURE, SymbolCounts, y_tables
from quantal.entropy.rates import ANCHORS, RATE_INDICES
from quantal.entropy.rounding import clamp_through, round_through
from quantal.entropy.scales import LOG_STEP, SCALE_MIN, SCALES
from quantal.entropy.tables import TableSet, freeze

__all__ = ["ClassModel"]

#: Scales of the first and the last class beside those of all latents, at the start.
_SPREAD = (0.03, 3.0)
#: Least probability of a table's escape: no picture of classes alone is nearly free, so a byte
#: can't claim any number of pixels (docs/reference/format.md).
_ESCAPE = 2.0**-7
#: Differences are coded of channels whose differences have less than this part of their energy.
_SLOW = 0.5
#: A class counts as so many observed ones more.
_PRIOR_COUNT = 4.0


class ClassModel(EntropyModel):
    """Scales from a class of each position; freezes to tables alone.

    Of channels that change slowly, differences to the left neighbour are coded.

    Args:
        channels: C of the latents.
        classes: K, up to 64.
    """

    slow: Tensor

    def __init__(self, channels: int, classes: int = 16) -> None:
        super().__init__(channels)
        self.classes = whole("classes", classes, 1, LARGEST_COUNT)
        start = start_log_gain()[:, None].expand(ANCHORS, self.channels)
        self.log_gain = RateCurve(start)
        self.log_ungain = RateCurve(-start)
        #: Logarithms of scales in units of symbols, [K C] at each anchor.
        self.log_scale = RateCurve(torch.zeros(ANCHORS, self.classes * self.channels))
        self.log_odds = RateCurve(torch.zeros(ANCHORS, self.classes))
        self.lean = nn.Parameter(torch.zeros(SCALES))
        #: Of which channels differences are coded, bool [C].
        self.register_buffer("slow", torch.zeros(self.channels, dtype=torch.bool))

    @torch.no_grad()
    def calibrate(self, rms: Tensor, rank: Iterable[int] | None = None) -> None:
        low, high = map(math.log, _SPREAD)
        spread = torch.linspace(low, high, self.classes) if self.classes > 1 else torch.zeros(1)
        scales = spread[:, None] + rms.clamp_min(1e-4).log().cpu()
        gains = self.log_gain.anchors.mean(1).cpu()
        start = gains[:, None, None] + scales
        self.log_scale.anchors.copy_(start.flatten(1))

    @torch.no_grad()
    def choose_slow(self, y: Tensor) -> None:
        """Let differences be coded of channels in which they are much smaller than the values.

        Args:
            y: latents [B, C, h, w].
        """
        beside = (y[..., 1:] - y[..., :-1]).square().mean((0, 2, 3))
        self.slow.copy_(beside < _SLOW * y.square().mean((0, 2, 3)))

    @property
    def derived(self) -> frozenset[str]:
        return frozenset({"slow"})

    def derived_state(self, frozen: FrozenClasses) -> dict[str, Tensor]:
        slow = torch.zeros(self.channels, dtype=torch.bool)
        slow[torch.from_numpy(frozen.slow).long()] = True
        return {"slow": slow}

    def gain(self, rate: Tensor) -> Tensor:
        """Return the multiplier of y before rounding [B, C, 1, 1]."""
        return self.log_gain(rate).exp()[:, :, None, None]

    def ungain(self, rate: Tensor) -> Tensor:
        """Return the multiplier of y's symbols after parsing [B, C, 1, 1]."""
        return self.log_ungain(rate).exp()[:, :, None, None]

    def scale_index(self, rate: Tensor) -> Tensor:
        """Return the scale index of each class and channel, whole numbers [B, K, C].

        They follow the rate index, the whole part of the position. No table of a slow channel is
        certain of zero: a difference that is lost would shift all that follows in its row.
        """
        log_scale = self.log_scale(rate.floor()).unflatten(1, (self.classes, self.channels))
        places = (log_scale - math.log(SCALE_MIN)) / LOG_STEP
        # A difference that a table takes for zero would be missing in all that follows in its row.
        slow, other = (clamp_through(places, least, SCALES - 1.0) for least in (float(SURE), 0.0))
        return round_through(torch.where(self.slow, slow, other))

    def class_bits(self, rate: Tensor) -> Tensor:
        """Return the bits of each class [B, K]; they follow the rate index."""
        return self.log_odds(rate.floor()).log_softmax(1) * (-1 / math.log(2))

    @torch.no_grad()
    def chosen(self, symbols: Tensor, rate: Tensor) -> Tensor:
        """Return the class in which each position costs least, int64 [B, h, w].

        Args:
            symbols: [B, C, h, w].
            rate: positions on the rate axis [B].
        """
        costs = [
            logistic_bits(symbols, index_to_scale(index)[..., None, None]).sum(1)
            for index in self.scale_index(rate).unbind(1)
        ]
        return (torch.stack(costs, 1) + self.class_bits(rate)[:, :, None, None]).argmin(1)

    def coded(self, scaled: Tensor, rate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is rounded to symbols, its classes and its scale indices.

        Args:
            scaled: latents times their gain [B, C, h, w].
            rate: positions on the rate axis [B].

        Returns:
            Residuals [B, C, h, w], classes int64 [B, h, w] and indices [B, C, h, w].
        """
        known = round_through(scaled)
        above = F.pad(known[..., :-1, :1], (0, 0, 1, 0))
        before = torch.cat((above, known[..., :-1]), dim=3)
        residual = scaled - before * self.slow[:, None, None]
        classes = self.chosen(residual.round(), rate)
        each = torch.arange(len(scaled), device=scaled.device)[:, None, None]
        index = self.scale_index(rate)[each, classes].permute(0, 3, 1, 2)
        return residual, classes, index

    def forward(self, y: Tensor, rate: Tensor) -> Coded:
        scaled = y.float() * self.gain(rate)
        residual, classes, index = self.coded(scaled, rate)
        y_bits = logistic_bits(self.blur(residual), index_to_scale(index))
        each = torch.arange(len(y), device=y.device)[:, None, None]
        class_bits = self.class_bits(rate)[each, classes]
        symbols = round_through(scaled)
        lean = self.lean[index.long()] * ~self.slow[:, None, None]
        symbols = symbols - symbols.clamp(-1, 1) * lean
        bits = {"y": y_bits.flatten(1).sum(1), "classes": class_bits.flatten(1).sum(1)}
        return Coded(symbols * self.ungain(rate), bits)

    def freeze(self, samples: Samples = ()) -> FrozenClasses:
        model = detached_copy(self)
        rates = torch.arange(RATE_INDICES, dtype=torch.float32, device=model.lean.device)
        scales = model.scale_index(rates).cpu().numpy().astype(np.uint8)
        laws = 2.0 ** -model.class_bits(rates).double().cpu().numpy()
        counts, seen = SymbolCounts(), _PRIOR_COUNT * laws.reshape(-1, CLASS_STEP, self.classes)
        seen = seen.sum(1)
        for y, rate in samples:
            with torch.no_grad():
                residual, classes, index = model.coded(y.float() * model.gain(rate), rate)
            counts.add(residual.round(), index)
            for group, own in zip((rate // CLASS_STEP).int().tolist(), classes, strict=True):
                seen[group] += np.bincount(own.flatten().cpu().numpy(), minlength=self.classes)
        shares = seen / seen.sum(1, keepdims=True)
        tables = TableSet.from_weights([0] * len(shares), [freeze(s, _ESCAPE) for s in shares])
        slow = model.slow.nonzero()[:, 0].to(torch.int32).cpu().numpy()
        return FrozenClasses(scales, slow, tables, y_tables(counts), model._runtime())

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        return {"gain": self.gain, "ungain": self.ungain, "lean": lambda _: self.lean[None]}

    def _runtime(self) -> TorchNetworks:
        return TorchNetworks(self.networks(), self.lean.device)

    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> FrozenClasses:
        found = FrozenClasses.from_arrays(arrays, self._runtime())
        sizes, own = (found.classes, found.channels), (self.classes, self.channels)
        if sizes != own:
            raise ValueError(
                f"scale indices are of {sizes[0]} classes and {sizes[1]} channels, the networks of "
                f"{own[0]} and {own[1]}"
            )
        return found
