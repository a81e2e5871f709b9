"""The channel-and-position context: latents are coded in steps, each of which knows the earlier.

All of it works on cells: 2x2 latents of every channel, gathered by pixel-unshuffle to 4M values at
1/32 of the picture's size. There a step's elements are a plain run of channels, so nothing is
computed for elements that another step codes, and nothing has to be masked.

Means come from floating-point networks. Scales come from integer networks, which may see what the
earlier steps coded, because symbols are integers too (after Li et al., "Neural video compression
with diverse contexts", 2023, for the steps over 2x2 places; He et al., "ELIC", 2022, and Wang et
al., "S2LIC", 2024, for slices of channels in two checkerboard passes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.exact import ExactLayer, ExactNet, FixedPoint
from quantal.entropy.hyperprior import RateScaled
from quantal.entropy.quantise import clamp_through
from quantal.entropy.rates import RATE_INDICES, RateCurve
from quantal.entropy.scales import SCALES
from quantal.errors import ArgumentError, ModelError
from quantal.layers import BRANCH_START, GatedBlock

__all__ = ["CELL", "ContextMean", "ContextScale", "ExactContext", "Order", "magnitudes"]

#: Latents per axis of a cell.
CELL = 2
_PLACES = CELL * CELL
#: Magnitudes are told to the integer networks up to here, as logarithms in units of 2^-8.
_MAGNITUDE_LIMIT = 255
_MAGNITUDE_UNIT = 256.0


@dataclass(frozen=True)
class Order:
    """Which step codes what: steps[g][p] is the step of channel group g at place p of a cell.

    sizes: channels of each group. A group is a run of the channels, most important first.
    """

    sizes: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        count = self.count
        seen = {step for row in self.steps for step in row}
        rows_fit = all(len(row) == _PLACES for row in self.steps)
        if len(self.sizes) != len(self.steps) or not rows_fit or seen != set(range(count)):
            raise ArgumentError(
                f"a coding order needs a size and {_PLACES} steps for every group of channels, and "
                f"steps numbered from 0 without a gap; found {self}"
            )

    @property
    def count(self) -> int:
        """Number of steps."""
        return 1 + max(step for row in self.steps for step in row)

    @classmethod
    def named(cls, name: str, channels: int) -> Order:
        """The orders that recipes name.

        "places": 4 groups, 4 steps; every step codes each group, each at another place, so that
        all channels and all places contribute from the first step on. "core": 8 steps; the most
        salient quarter of the channels as in "places", then the others likewise, so that half
        the steps are a whole picture. "slices": 5 groups, 10 steps; one group after the other,
        each in two checkerboard passes.
        """
        # Exclusive or makes the Latin square; opposite corners follow each other.
        turn = (0, 3, 2, 1)
        latin = tuple(tuple(turn[g ^ p] for p in range(_PLACES)) for g in range(4))
        shares: tuple[int, ...]
        steps: tuple[tuple[int, ...], ...]
        if name == "places":
            shares, steps = (1,) * 4, latin
        elif name == "core":
            second = tuple(tuple(step + 4 for step in row) for row in latin)
            shares, steps = (1,) * 4 + (3,) * 4, (*latin, *second)
        elif name == "slices":
            shares = (1,) * 5
            steps = tuple((2 * g, 2 * g + 1, 2 * g + 1, 2 * g) for g in range(5))
        else:
            known = "core, places, slices"
            raise ArgumentError(f"there is no coding order {name!r}; there are: {known}")
        unit, rest = divmod(channels, sum(shares))
        if rest:
            raise ArgumentError(f"order {name!r} needs a multiple of {sum(shares)} channels")
        return cls(tuple(unit * share for share in shares), steps)

    def elements(self, rank: Sequence[int]) -> list[list[int]]:
        """Cell channels (channel * 4 + place) of each step; rank: channels, first group's first."""
        starts = [sum(self.sizes[:g]) for g in range(len(self.sizes))]
        found: list[list[int]] = [[] for _ in range(self.count)]
        for start, size, row in zip(starts, self.sizes, self.steps, strict=True):
            for place, step in enumerate(row):
                found[step] += [channel * _PLACES + place for channel in rank[start : start + size]]
        return found


class Cells(nn.Module):
    """Latents to cells in coding order and back: a fixed permutation of their 4M elements."""

    elements: Tensor
    places: Tensor

    def __init__(self, order: Order) -> None:
        super().__init__()
        count = sum(order.sizes) * _PLACES
        #: Channel * 4 + place of each element of a cell, in coding order; and the reverse.
        self.register_buffer("elements", torch.arange(count, dtype=torch.int32))
        self.register_buffer("places", torch.arange(count, dtype=torch.int32))
        self.order = order
        self.set_rank(range(sum(order.sizes)))
        sizes = [len(step) for step in order.elements(range(sum(order.sizes)))]
        ends = [sum(sizes[: k + 1]) for k in range(order.count)]
        #: Where each step's elements lie among the cell's.
        self.spans = tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True))

    def set_rank(self, rank: Sequence[int]) -> None:
        """Cut the groups from channels in another order, most important first."""
        steps = self.order.elements(rank)
        self.set_elements(torch.tensor([element for step in steps for element in step]))

    def set_elements(self, elements: Tensor) -> None:
        """Take another permutation; raises ValueError if it is none."""
        if not torch.equal(elements.long().sort().values.cpu(), torch.arange(len(self.elements))):
            raise ValueError("a coding order names an element twice or not at all")
        self.elements.copy_(elements)
        self.places.copy_(elements.long().argsort())

    def gather(self, y: Tensor) -> Tensor:
        """[B, M, h, w] (h, w even) to [B, 4M, h/2, w/2], step after step."""
        return F.pixel_unshuffle(y, CELL).index_select(1, self.elements)

    def per_element(self, values: Tensor) -> Tensor:
        """A value per channel [B, M, 1, 1] as one per element of a cell [B, 4M, 1, 1]."""
        return self.gather(values.expand(-1, -1, CELL, CELL))

    def scatter(self, cells: Tensor) -> Tensor:
        """The reverse of gather()."""
        return F.pixel_shuffle(cells.index_select(1, self.places), CELL)


class ContextMean(nn.Module):
    """Means of y, step by step, from dequantised z and from what is already known of y.

    Values are in the latents' own units; `spread` [4M] are their root mean squares, in coding
    order. The mixing block is one and the same for all steps: it costs most of the weights.
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

    def features(self, z: Tensor, position: Tensor) -> Tensor:
        """z [B, N, h/4, w/4] to features [B, width, h/2, w/2] that all steps share."""
        x = self.to_cells(self.enter(z, position))
        return F.pixel_shuffle(x, CELL)

    def forward(self, step: int, features: Tensor, known: Tensor, position: Tensor) -> Tensor:
        """known: [B, elements of earlier steps, h/2, w/2]; returns the means of this step's."""
        span = self.spans[step]
        scaled = known / self.spread[: span.start, None, None]
        x = self.gathers[step](torch.cat((features, scaled.to(features.dtype)), dim=1), position)
        x = self.leaves[step](self.refine(self.mix(x)), position)
        return x.float() * self.spread[span, None, None]


def magnitudes(symbols: Tensor) -> Tensor:
    """How large symbols are, as the scale networks see it: log2(1 + |s|) in steps of 2^-8."""
    size = symbols.detach().abs().clamp_max(_MAGNITUDE_LIMIT)
    return torch.log2(1 + size).mul(_MAGNITUDE_UNIT).round() / _MAGNITUDE_UNIT


class _ScaleStep(nn.Module):
    """The integer network of one step: features and known magnitudes to scale indices."""

    def __init__(self, width: int, known: int, elements: int) -> None:
        super().__init__()
        self.enter = FixedPoint(width + known, width)
        self.spatial = FixedPoint(width, width, kernel=3, groups=width)
        self.mix = FixedPoint(width, width)
        self.leave = FixedPoint(width, elements, relu=False)
        _start_as_identity(self.spatial)
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


def _start_as_identity(layer: FixedPoint) -> None:
    """A depthwise layer starts as the identity, so that ReLUs in a row lose nothing."""
    nn.init.dirac_(layer.conv.weight, groups=layer.conv.groups)
    if layer.conv.bias is not None:
        nn.init.zeros_(layer.conv.bias)


class ContextScale(nn.Module):
    """Scale indices of y, step by step, in networks that export to integers.

    adaptive: whether a step sees the magnitudes of the symbols before it. If not, all indices
    follow from z alone, and a stream is read in one call.
    """

    #: Of one step, in cells; of the trunk, in elements of z.
    reach = 1
    trunk_reach = 1

    def __init__(self, channels: int, width: int, spans: Sequence[slice], adaptive: bool) -> None:
        super().__init__()
        self.spans, self.adaptive = tuple(spans), adaptive
        self.trunk = nn.ModuleList(
            [
                FixedPoint(channels, width),
                FixedPoint(width, width, kernel=3, groups=width),
                FixedPoint(width, CELL * CELL * width, shuffle=CELL),
            ]
        )
        _start_as_identity(self.trunk[1])  # type: ignore[arg-type]
        self.offset = RateCurve.ramp(width, 0.0, 0.0)
        self.steps = nn.ModuleList(
            _ScaleStep(width, s.start if adaptive else 0, s.stop - s.start) for s in spans
        )

    def quantise(self, on: bool) -> None:
        """Switch the rounding of weights and activations."""
        for module in self.modules():
            if isinstance(module, FixedPoint):
                module.quantised = on

    def features(self, z: Tensor, position: Tensor) -> Tensor:
        """z [B, N, h/4, w/4] float32 in steps of 2^-Z_BITS to features at the cells."""
        x = self.trunk[0](z, self.offset(position.floor()))
        for layer in self.trunk[1:]:
            x = layer(x)
        return x

    def forward(self, step: int, features: Tensor, known: Tensor, position: Tensor) -> Tensor:
        """known: magnitudes() of the earlier steps' symbols; returns indices, not yet whole."""
        x = torch.cat((features, known), dim=1) if self.adaptive else features
        return self.steps[step](x, position.floor())

    def restore(self, exact: ExactContext) -> None:
        """Take the weights over that only the integer networks of a file hold."""
        for chain, net in zip(self._chains(), (exact.trunk, *exact.steps), strict=True):
            for layer, integers in zip(chain, net.layers, strict=True):
                layer.restore(integers)

    def _chains(self) -> list[list[FixedPoint]]:
        """The layers of the trunk and of each step."""
        nets: list[nn.Module] = [self.trunk, *self.steps]
        return [[m for m in net.modules() if isinstance(m, FixedPoint)] for net in nets]

    @torch.no_grad()
    def export(self, largest_input: int, elements: Tensor) -> ExactContext:
        """The integer networks; largest_input: of z, in units of 2^-Z_BITS.

        elements: what is coded when, as of Cells.
        """
        rates = torch.arange(RATE_INDICES, dtype=torch.float32)
        chain: list[Any] = list(self.trunk)
        layers = [chain[0].export(self.offset(rates).cpu()), *(e.export() for e in chain[1:])]
        trunk = ExactNet(layers, largest_input)
        largest = trunk.largest_output
        table = (magnitudes(torch.arange(_MAGNITUDE_LIMIT + 1.0)) * _MAGNITUDE_UNIT).int()
        # What the steps see: features of the trunk, and magnitudes, which are smaller.
        steps = [step.export(largest) for step in self.steps]  # type: ignore[operator]
        return ExactContext(trunk, steps, table.cpu(), elements.cpu())


def _narrowed(name: str, value: Tensor) -> Tensor:
    """The same integers in the type that files hold them in; raises ModelError if it can't."""
    kind = {"weight": torch.int16, "bias": torch.int32}.get(name.rpartition(".")[2], torch.int32)
    narrow = value.to(kind)
    if not torch.equal(narrow.to(value.dtype), value):
        raise ModelError(f"{name} does not fit {kind}: the network trained out of its range")
    return narrow


class ExactContext:
    """The coding order and the scale networks as integers: what decides how bits are read.

    table: int32 [256], what the networks are told of a magnitude; larger ones count as the last.
    elements: int32 [4M], see Cells.
    """

    def __init__(
        self, trunk: ExactNet, steps: Sequence[ExactNet], table: Tensor, elements: Tensor
    ) -> None:
        self.trunk, self.steps = trunk, tuple(steps)
        self.table, self.elements = table, elements
        self.adaptive = any(net.inputs > trunk.outputs for net in steps)

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """All integers by name; weights fit 16 bits, which halves the file."""
        found = {f"{prefix}.magnitudes": self.table, f"{prefix}.elements": self.elements}
        for name, net in self._named(prefix):
            found |= net.tensors(name)
        return {name: _narrowed(name, value) for name, value in found.items()}

    def _named(self, prefix: str) -> list[tuple[str, ExactNet]]:
        steps = [(f"{prefix}.step.{place}", net) for place, net in enumerate(self.steps)]
        return [(f"{prefix}.trunk", self.trunk), *steps]

    @classmethod
    def from_tensors(
        cls, found: Mapping[str, Tensor], prefix: str, largest_input: int
    ) -> ExactContext:
        """The reverse of tensors(); raises KeyError, ValueError or ModelError for anything else."""
        table, elements = found[f"{prefix}.magnitudes"], found[f"{prefix}.elements"]
        for each in (table, elements):
            if each.dtype != torch.int32 or each.ndim != 1 or not len(each):
                raise ValueError("magnitudes or elements are not int32 in one dimension")
        trunk = ExactNet.from_tensors(found, f"{prefix}.trunk", largest_input)
        largest = max(trunk.largest_output, int(table.max()), -int(table.min()))
        steps: list[ExactNet] = []
        while f"{prefix}.step.{len(steps)}.0.weight" in found:
            steps.append(ExactNet.from_tensors(found, f"{prefix}.step.{len(steps)}", largest))
        return cls(trunk, steps, table, elements)

    def features(self, z: Tensor, rate_index: int) -> Tensor:
        """z int32 [B, N, h/4, w/4] in units of 2^-Z_BITS to features int32 at the cells."""
        return self.trunk(z, rate_index)

    def index(self, step: int, features: Tensor, known: Tensor, rate_index: int) -> Tensor:
        """known: the earlier steps' symbols int32 [B, n, h/2, w/2]; returns indices int32."""
        if not self.adaptive:
            return self.steps[step](features, rate_index)
        # Clamped before the magnitude is taken: the lowest int32 has none.
        top = len(self.table) - 1
        sizes = known.clamp(-top, top).abs_()
        told = self.table.index_select(0, sizes.flatten()).view(sizes.shape)
        return self.steps[step](torch.cat((features, told), dim=1), rate_index)
