"""The objective of codecs that estimate their own bits: lambda * 255^2 * distortion + bpp.

Each sample of a batch gets a rate of its own, spread evenly over the range (stratified), and its
loss is weighted by 1 / sqrt(lambda), so that no rate dominates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs.training import CodecNet
from quantal.entropy.rates import LAMBDA_RANGE, RATE_INDICES, rate_lambda
from quantal.train.evaluate import evaluate
from quantal.train.losses import distortion
from quantal.train.objective import Objective
from quantal.train.recipe import Phase, Recipe
from quantal.transforms import region_labels

__all__ = ["RateDistortion", "rate_positions"]

#: Regions that a crop is cut into, for transforms that learn from them.
_REGIONS = 16
#: The loss is scaled so that a sample in the middle of the range has weight 1.
_LAMBDA_MIDDLE = math.sqrt(LAMBDA_RANGE[0] * LAMBDA_RANGE[1])


class RateDistortion(Objective):
    """Of a CodecNet; see the recipe for `distortion`, `quantise_from` and `evaluation_rates`."""

    def __init__(self, net: CodecNet, ema: CodecNet, recipe: Recipe) -> None:
        super().__init__(net, ema)
        self.nets = (net, ema)
        self.recipe = recipe
        self.distortion = distortion(recipe.distortion, min(p.crop for p in recipe.phases))
        self.generator = torch.Generator()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def prepare(self, phase: Phase, done: float) -> None:
        for net in self.nets:
            net.scale.quantise(done >= self.recipe.quantise_from)
            net.rounded = phase.rounded

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """The loss and what it consists of, means over the batch."""
        drawn = rate_positions(len(pixels), self.recipe.middle_rates, self.generator)
        position = drawn.to(pixels.device)
        estimate = net(pixels, position, _regions(net, pixels))
        area = pixels.shape[-1] * pixels.shape[-2]
        with torch.autocast(pixels.device.type, enabled=False):
            error = self.distortion(estimate.pixels.float(), pixels)
        lam = rate_lambda(position)
        y_bpp, z_bpp = estimate.y_bits / area, estimate.z_bits / area
        loss = ((lam * 255**2 * error + y_bpp + z_bpp) * (_LAMBDA_MIDDLE / lam).sqrt()).mean()
        return {
            "loss": loss,
            "distortion": error.mean(),
            "y_bpp": y_bpp.mean(),
            "z_bpp": z_bpp.mean(),
        }

    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        _, ema = self.nets
        return [*evaluate(ema.eval(), pictures, self.recipe.evaluation_rates)]


def rate_positions(count: int, middle: float, generator: torch.Generator) -> Tensor:
    """Stratified rate positions [count]: one in each of `count` equally likely parts of the range.

    The middle of the range is drawn 1 / (1 - middle) times as often as if all were alike, its ends
    1 / (1 + middle) times.
    """
    drawn = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    turn = 2 * math.pi
    return (drawn + middle * torch.sin(turn * drawn) / turn) * (RATE_INDICES - 1)


def _regions(net: nn.Module, pixels: Tensor) -> Tensor | None:
    """Regions for transforms that use them, in every second batch: coding knows only their grid."""
    kind = getattr(getattr(net, "config", None), "kind", "gated")
    if kind != "region" or not net.training or torch.rand(()) < 0.5:
        return None
    return region_labels(pixels, _REGIONS)
