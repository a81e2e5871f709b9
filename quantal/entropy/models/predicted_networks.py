"""The networks of the predicted model beside those of the context model.

Means see a prediction of the latents, scales the symbols of the frame before; both see what stands
still. All of them work on cells (quantal.entropy.orders).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantal.entropy.exact import ExactNet
from quantal.entropy.fixed_point import FixedPoint
from quantal.entropy.frozen.exact_predicted import STILL, ExactPredicted
from quantal.entropy.models.context_networks import ContextMean, ContextScale
from quantal.entropy.models.networks import RateScaled
from quantal.entropy.orders import CELL
from quantal.entropy.rounding import clamp_through
from quantal.layers import GatedBlock

__all__ = ["PredictedMean", "PredictedScale"]


class PredictedMean(ContextMean):
    """Means of what the prediction leaves, step by step.

    A step refines the prediction as well: it takes a part of it, for every element, off its mean.
    Values are in the latents' own units; `predicted_spread` [4M] are the root mean squares of the
    predictions, in coding order.
    """

    predicted_spread: Tensor

    def __init__(self, channels: int, width: int, spans: Sequence[slice]) -> None:
        super().__init__(channels, width, spans)
        elements = spans[-1].stop
        self.register_buffer("predicted_spread", torch.ones(elements))
        self.look = RateScaled(elements + CELL * CELL, width)
        self.settle = GatedBlock(width)
        self.leaves = nn.ModuleList(RateScaled(width, 2 * (s.stop - s.start)) for s in spans)
        # A step begins as no more than the prediction.
        for leave in self.leaves:
            nn.init.zeros_(leave.conv.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(leave.conv.bias)  # type: ignore[union-attr, arg-type]

    def looked(self, features: Tensor, predicted: Tensor, still: Tensor, rate: Tensor) -> Tensor:
        """Return features [B, width, h/2, w/2] that have seen the prediction.

        Args:
            features: of features().
            predicted: cells of the prediction [B, 4M, h/2, w/2].
            still: cells of what stands still, 0 or 1, [B, 4, h/2, w/2].
            rate: positions on the rate axis [B].
        """
        scaled = predicted / self.predicted_spread[:, None, None]
        seen = torch.cat((scaled, still), dim=1).to(features.dtype)
        return self.settle(features + self.look(seen, rate))  # type: ignore[no-any-return]

    def forward(  # type: ignore[override]
        self,
        step: int,
        features: Tensor,
        known: Tensor,
        rate: Tensor,
        predicted: Tensor,
        moving: Tensor,
    ) -> Tensor:
        """Return the means of a step, [B, elements, h/2, w/2]; zeros where something stands still.

        Args:
            step: which.
            features: of looked().
            known: what the prediction left of earlier steps, [B, elements, h/2, w/2].
            rate: positions on the rate axis [B].
            predicted: the prediction of the step's elements, [B, elements, h/2, w/2].
            moving: 0 where an element stands still, else 1, [B, elements, h/2, w/2].
        """
        span = self.spans[step]
        scaled = known / self.spread[: span.start, None, None]
        x = self.gathers[step](torch.cat((features, scaled.to(features.dtype)), dim=1), rate)
        mean, part = self.leaves[step](self.refine(self.mix(x)), rate).float().chunk(2, dim=1)
        # Never more than the whole prediction: what is copied from frame to frame must not grow.
        part = clamp_through(part, -1.0, 0.0)
        # An estimate that is right for one frame shrinks a still picture again in every frame.
        return moving * (mean * self.spread[span, None, None] + part * predicted)  # type: ignore[no-any-return]


class PredictedScale(ContextScale):
    """Scale indices from z, from the symbols of earlier steps and from those of the frame before.

    Args:
        channels: of z.
        width: channels inside the networks.
        spans: where each step's elements lie among a cell's.
        past_width: features of the frame before.
    """

    def __init__(self, channels: int, width: int, spans: Sequence[slice], past_width: int) -> None:
        super().__init__(channels, width, spans, adaptive=True, beside=past_width)
        self.past = nn.ModuleList(
            [
                FixedPoint(spans[-1].stop + CELL * CELL, past_width),
                FixedPoint.depthwise(past_width),
            ]
        )

    def past_features(self, sizes: Tensor, still: Tensor) -> Tensor:
        """Return features of the frame before.

        Args:
            sizes: magnitudes() of its symbols, in cells [B, 4M, h/2, w/2].
            still: cells of what stands still, 0 or 1, [B, 4, h/2, w/2].
        """
        x = torch.cat((sizes, still), dim=1)
        for layer in self.past:
            x = layer(x)
        return x

    def nets(self) -> list[nn.Module]:
        """Return the network of the frame before, the trunk and the steps."""
        return [self.past, *super().nets()]

    @torch.no_grad()
    def export(self, largest_input: int, elements: Tensor) -> ExactPredicted:
        plain = super().export(largest_input, elements)
        largest = max(int(plain.table.max()), STILL)
        past = ExactNet([layer.export() for layer in self.past], largest)  # type: ignore[operator]
        steps = self.exported_steps(max(plain.trunk.largest_output, past.largest_output, largest))
        return ExactPredicted(past, plain.trunk, steps, plain.table, plain.elements)
