"""The networks of the context model; all of them work on cells (quantal.entropy.orders).

Means come from floating-point networks. Scales come from integer networks, which may take the
symbols of earlier steps as inputs, because symbols are integers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.curves import RateCurve
from quantal.entropy.exact import ExactLayer, ExactNet
from quantal.entropy.fixed_point import FixedPoint
from quantal.entropy.frozen.exact_context import ExactContext
from quantal.entropy.models.networks import RateScaled
from quantal.entropy.orders import CELL, Order
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.rounding import clamp_through
from quantal.entropy.scales import SCALES
from quantal.layers import BRANCH_START, GatedBlock

__all__ = ["Cells", "ContextMean", "ContextScale", "magnitudes"]

#: Integer networks take magnitudes up to this, as logarithms in units of 2^-8.
_MAGNITUDE_LIMIT = 255
_MAGNITUDE_UNIT = 256.0


class Cells(nn.Module):
    """Latents to cells in coding order and back: a fixed permutation of their 4M elements."""

    elements: Tensor
    places: Tensor

    def __init__(self, order: Order) -> None:
        super().__init__()
        count = sum(order.sizes) * CELL * CELL
        #: Channel * 4 + place of each element of a cell, in coding order; and the reverse. On the
        #: CPU even where networks are built without memory, as when weights are loaded.
        whole = torch.arange(count, dtype=torch.int32, device="cpu")
        self.register_buffer("elements", whole)
        self.register_buffer("places", whole.clone())
        self.order = order
        self.set_rank(range(sum(order.sizes)))
        sizes = [len(step) for step in order.elements(range(sum(order.sizes)))]
        ends = [sum(sizes[: k + 1]) for k in range(order.count)]
        #: Where each step's elements lie among the cell's.
        self.spans = tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True))

    def set_rank(self, rank: Sequence[int]) -> None:
        """Form the groups from channels in another order, most important first."""
        steps = self.order.elements(rank)
        order = [element for step in steps for element in step]
        elements = torch.tensor(order, dtype=torch.int32, device="cpu")
        self.elements.copy_(elements)
        self.places.copy_(elements.argsort())

    def gather(self, y: Tensor) -> Tensor:
        """Map [B, M, h, w], h and w even, to [B, 4M, h/2, w/2], step after step."""
        return F.pixel_unshuffle(y, CELL).index_select(1, self.elements)

    def per_element(self, values: Tensor) -> Tensor:
        """Map a value per channel [B, M, 1, 1] to one per element of a cell [B, 4M, 1, 1]."""
        return self.gather(values.expand(-1, -1, CELL, CELL))

    def scatter(self, cells: Tensor) -> Tensor:
        """Reverse gather()."""
        return F.pixel_shuffle(cells.index_select(1, self.places), CELL)


class ContextMean(nn.Module):
    """Means of y, step by step, from dequantised z and from the latents of earlier steps.

    Values are in the latents' own units; `spread` [4M] are their root mean squares, in coding
    order. All steps share the mixing blocks, which have most of the weights.
    """

    #: Of one step, in cells; of the features, in elements of z.
    reach = 1 + 1
    features_reach = 0
    spread: Tensor

    def __init__(self, channels: int, width: int, spans: Sequence[slice]) -> None:
        super().__init__()
        self.spans = tuple(spans)
        self.register_buffer("spread", torch.ones(self.spans[-1].stop))
        self.enter = RateScaled(channels, width)
        self.to_cells = nn.Conv2d(width, CELL * CELL * width, 1)
        self.gathers = nn.ModuleList(RateScaled(width + s.start, width) for s in spans)
        self.mix = GatedBlock(width)
        self.refine = GatedBlock(width)
        self.leaves = nn.ModuleList(RateScaled(width, s.stop - s.start) for s in spans)
        for leave in self.leaves:
            leave.conv.weight.data.mul_(BRANCH_START)  # type: ignore[union-attr, operator]

    def features(self, z: Tensor, rate: Tensor) -> Tensor:
        """Map z [B, N, h/4, w/4] to features [B, width, h/2, w/2] that all steps share."""
        x = self.to_cells(self.enter(z, rate))
        return F.pixel_shuffle(x, CELL)

    def forward(self, step: int, features: Tensor, known: Tensor, rate: Tensor) -> Tensor:
        """Return the means of a step, [B, elements, h/2, w/2].

        Args:
            step: which.
            features: of features().
            known: latents of earlier steps, [B, elements, h/2, w/2].
            rate: positions on the rate axis [B].
        """
        span = self.spans[step]
        scaled = known / self.spread[: span.start, None, None]
        x = self.gathers[step](torch.cat((features, scaled.to(features.dtype)), dim=1), rate)
        x = self.leaves[step](self.refine(self.mix(x)), rate)
        return x.float() * self.spread[span, None, None]


def magnitudes(symbols: Tensor) -> Tensor:
    """Return symbols as scale networks take them: log2(1 + |s|) in steps of 2^-8."""
    size = symbols.detach().abs().clamp_max(_MAGNITUDE_LIMIT)
    return torch.log2(1 + size).mul(_MAGNITUDE_UNIT).round() / _MAGNITUDE_UNIT


class _ScaleStep(nn.Module):
    """The integer network of one step: features and known magnitudes to scale indices."""

    def __init__(self, width: int, known: int, elements: int) -> None:
        super().__init__()
        self.enter = FixedPoint(width + known, width)
        self.spatial = FixedPoint.depthwise(width)
        self.mix = FixedPoint(width, width)
        self.leave = FixedPoint(width, elements, relu=False)
        self.enter_offset = RateCurve.ramp(width, 0.0, 0.0)
        # At the lowest rate most latents are sure to be zero; at the highest few are.
        self.leave_offset = RateCurve.ramp(elements, 2.0, 30.0)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        x = self.mix(self.spatial(self.enter(x, self.enter_offset(index))))
        return clamp_through(self.leave(x, self.leave_offset(index)), 0.0, SCALES - 1.0)

    def export(self, largest_input: int) -> ExactNet:
        rates = torch.arange(RATE_INDICES, dtype=torch.float32)
        top = self.leave.export(self.leave_offset(rates).cpu(), 0)
        layers = [
            self.enter.export(self.enter_offset(rates).cpu()),
            self.spatial.export(),
            self.mix.export(),
            ExactLayer(top.weight, top.bias, top.shift, 0, SCALES - 1),
        ]
        return ExactNet(layers, largest_input)


class ContextScale(nn.Module):
    """Scale indices of y, step by step, in networks that export to integers.

    If not `adaptive`, all indices follow from z alone, and a stream is read in one call.

    Args:
        channels: of z.
        width: channels inside the networks.
        spans: where each step's elements lie among a cell's.
        adaptive: whether a step takes the magnitudes of earlier symbols.
        beside: further features that steps take, after those of z.
    """

    #: Of one step, in cells; of the trunk, in elements of z.
    reach = 1
    trunk_reach = 1

    def __init__(
        self,
        channels: int,
        width: int,
        spans: Sequence[slice],
        adaptive: bool,
        beside: int = 0,
    ) -> None:
        super().__init__()
        self.spans, self.adaptive = tuple(spans), adaptive
        self.trunk = nn.ModuleList(
            [
                FixedPoint(channels, width),
                FixedPoint.depthwise(width),
                FixedPoint(width, CELL * CELL * width, shuffle=CELL),
            ]
        )
        self.offset = RateCurve.ramp(width, 0.0, 0.0)
        self.steps = nn.ModuleList(
            _ScaleStep(width, beside + (s.start if adaptive else 0), s.stop - s.start)
            for s in spans
        )

    def features(self, z: Tensor, rate: Tensor) -> Tensor:
        """Map z [B, N, h/4, w/4] float32 in steps of 2^-8 to features at the cells."""
        x = self.trunk[0](z, self.offset(rate.floor()))
        for layer in self.trunk[1:]:
            x = layer(x)
        return x

    def forward(self, step: int, features: Tensor, known: Tensor, rate: Tensor) -> Tensor:
        """Return the scale indices of a step, not yet rounded.

        Args:
            step: which.
            features: of features().
            known: magnitudes() of the symbols of earlier steps.
            rate: positions on the rate axis [B].
        """
        x = torch.cat((features, known), dim=1) if self.adaptive else features
        return self.steps[step](x, rate.floor())

    def exported_weights(self, exact: ExactContext) -> dict[str, Tensor]:
        """Return the weights that a file holds as integers only, by their names here."""
        own = {id(layer): name for name, layer in self.named_modules()}
        return {
            f"{own[id(layer)]}.conv.weight": layer.exported_weight(integers)
            for chain, net in zip(self._chains(), exact.nets, strict=True)
            for layer, integers in zip(chain, net.layers, strict=True)
        }

    def _chains(self) -> list[list[FixedPoint]]:
        """Return the layers of each network, in the order of ExactContext.nets."""
        return [[m for m in net.modules() if isinstance(m, FixedPoint)] for net in self.nets()]

    def nets(self) -> list[nn.Module]:
        """Return the trunk and the steps."""
        return [self.trunk, *self.steps]

    @torch.no_grad()
    def export(self, largest_input: int, elements: Tensor) -> ExactContext:
        """Return the integer networks.

        Args:
            largest_input: the largest magnitude of z, in units of 2^-8.
            elements: of the Cells.
        """
        rates = torch.arange(RATE_INDICES, dtype=torch.float32)
        chain: list[Any] = list(self.trunk)
        layers = [chain[0].export(self.offset(rates).cpu()), *(e.export() for e in chain[1:])]
        trunk = ExactNet(layers, largest_input)
        largest = trunk.largest_output
        table = (magnitudes(torch.arange(_MAGNITUDE_LIMIT + 1.0)) * _MAGNITUDE_UNIT).int()
        # Inputs of the steps: features of the trunk, and magnitudes, which are smaller.
        steps = self.exported_steps(largest)
        return ExactContext(trunk, steps, table.cpu().numpy(), elements.cpu().numpy())

    def exported_steps(self, largest_input: int) -> list[ExactNet]:
        """Return the integer networks of the steps."""
        return [step.export(largest_input) for step in self.steps]  # type: ignore[operator]
