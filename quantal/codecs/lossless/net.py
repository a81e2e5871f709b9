"""The networks of codec `lossless` in torch, as they are trained; model.py has what they become.

Each step has a network of its own, the same for all pixels: two hidden layers see the inputs of
neighbourhood.py and give a mean and a scale; a linear way leads from the inputs to the mean. A
residual has the law of two logistic distributions about one mean, whose mixture depends on the
scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.lossless.model import CHANNELS, GROUPS, LosslessModel
from quantal.codecs.lossless.neighbourhood import (
    ACTIVITY,
    NEAREST,
    ORIGIN,
    PHASES,
    Input,
    Phase,
    inputs,
)
from quantal.codecs.lossless.predictor import (
    FINE_SCALES,
    FIRST_SHIFT,
    HIDDEN_BITS,
    INDIRECT_BITS,
    MEAN_BITS,
    SCALES,
    SECOND_SHIFT,
    SPREAD_ENTRIES,
    SPREAD_HALF,
    SPREAD_SHIFTS,
    StepNetwork,
    Weights,
)
from quantal.codecs.lossless.refit import CHANGE_TABLES
from quantal.codecs.lossless.residuals import FRACTIONS
from quantal.codecs.sizes import Sizes
from quantal.entropy.tables import TableSet, freeze
from quantal.errors import ArgumentError

__all__ = ["LosslessConfig", "LosslessNet", "Shapes", "logarithms"]

_MARGIN = 4
#: Networks see samples in units of this many.
_UNIT = 16.0
#: The smallest spread, and by how much sums of the last layer exceed spreads.
_LEAST_SPREAD, _SPREAD_UNIT, _SPREAD_SHARE = 0.03, 64.0, 0.25
#: Fractional bits of the weights of the hidden layers.
_FIRST_BITS, _SECOND_BITS = FIRST_SHIFT + HIDDEN_BITS, SECOND_SHIFT
#: The range of log2 of a scale, and the knots over it that shapes are given at.
_LOWEST, _HIGHEST, _KNOTS = -4.5, 6.5, 16
#: Symbols of a table, either way, in units of its scale; at most, and at least.
_REACH, _MOST_REACH, _LEAST_REACH = 14.0, 511, 6
#: The largest symbol of a table of changes.
_MOST_CHANGE = 127
#: Symbols are no less likely than this in training.
_LEAST_PROBABILITY = 1e-7
#: Pictures that linear predictions are fitted to at once.
_AT_ONCE = 32

#: Normal equations by step.
_Sums = dict[str, tuple[Tensor, Tensor]]
Visit = Callable[[str, str, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LosslessConfig(Sizes):
    """Sizes of the networks.

    Attributes:
        first: values of the first hidden layer.
        second: values of the second.
    """

    first: int = 64
    second: int = 32

    def __post_init__(self) -> None:
        if min(self.first, self.second) < 1:
            raise ArgumentError(f"sizes need layers of at least one value: {self}")


def _units(channel: int, phase: Phase) -> Tensor:
    """Return by what whole numbers of each input are multiplied before a network sees them [K]."""
    found = []
    for each in inputs(channel, phase):
        if each.kind == "activity":
            rows, columns = ACTIVITY[phase]
            found.append(1 / (len(rows) * len(columns)))
        else:
            found.append(0.25 if each.kind in ("base", "level") else 1.0)
    return torch.tensor(found) / _UNIT


class _StepNet(nn.Module):
    """The network of one step."""

    units: Tensor

    def __init__(self, channel: int, phase: Phase, config: LosslessConfig) -> None:
        super().__init__()
        self.register_buffer("units", _units(channel, phase)[:, None], persistent=False)
        count = len(self.units)
        self.first = nn.Parameter(torch.randn(config.first, count) * math.sqrt(2 / count))
        self.first_bias = nn.Parameter(torch.zeros(config.first, 1))
        spread = math.sqrt(2 / config.first)
        self.second = nn.Parameter(torch.randn(config.second, config.first) * spread)
        self.second_bias = nn.Parameter(torch.zeros(config.second, 1))
        #: Rows: the mean, the spread, and an addend to the logarithm of the scale.
        self.last = nn.Parameter(torch.zeros(3, config.second))
        self.last.data[1] = torch.rand(config.second) * 2 / config.second
        self.last_bias = nn.Parameter(torch.tensor([[0.0], [0.02], [1.0]]))
        self.direct = nn.Parameter(torch.zeros(1, count))

    def forward(self, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Map whole numbers [K, n] to means less the base, and log2 of scales, [n] each."""
        x = whole * self.units
        hidden = torch.addmm(self.first_bias, self.first, x).relu()
        hidden = torch.addmm(self.second_bias, self.second, hidden).relu()
        last = torch.addmm(self.last_bias, self.last, hidden)
        mean = (last[:1] + self.direct @ x)[0] * _UNIT
        spread = F.softplus(last[1] * _SPREAD_UNIT) * _SPREAD_SHARE + _LEAST_SPREAD
        return mean, (spread.log2() + last[2]).clamp(_LOWEST, _HIGHEST)

    @torch.no_grad()
    def export(self, ranges: Any) -> StepNetwork:
        """Return the network in whole numbers."""
        units = self.units[:, 0].double()

        def whole(values: Tensor) -> Any:
            return np.rint(values.double().numpy()).astype(np.int32)

        def wide(values: Tensor) -> Any:
            return np.rint(values.double().numpy()).astype(np.int64)

        middle, last = 2.0**HIDDEN_BITS, self.last.double()
        bias = self.last_bias[:, 0].double()
        indirect = 2.0 ** (MEAN_BITS + INDIRECT_BITS)
        first = self.first.double() * units * _UNIT * 2.0**_FIRST_BITS
        # Spreads are in 1/32, as the table of logarithms has them.
        spread = 32 * _SPREAD_UNIT
        rows = [last[1] * spread / _UNIT / middle, last[2] * FINE_SCALES / _UNIT / middle]
        biases = [bias[1] * spread, bias[2] * FINE_SCALES]
        return StepNetwork(
            Weights(whole(first), wide(self.first_bias[:, 0] * _UNIT * 2.0**_FIRST_BITS)),
            Weights(
                whole(self.second * 2.0**_SECOND_BITS),
                wide(self.second_bias[:, 0] * _UNIT * middle * 2.0**_SECOND_BITS),
            ),
            Weights(
                whole(torch.stack([r * 2.0**s for r, s in zip(rows, SPREAD_SHIFTS, strict=True)])),
                wide(torch.stack([b * 2.0**s for b, s in zip(biases, SPREAD_SHIFTS, strict=True)])),
            ),
            whole(self.direct[0].double() * units * _UNIT * 2.0**MEAN_BITS),
            whole(torch.cat([last[0], bias[:1] * _UNIT]) * indirect),
            logarithms(),
            ranges,
        )

    @torch.no_grad()
    def take(self, network: StepNetwork) -> None:
        """Take the weights that export() turned into whole numbers."""
        units = self.units[:, 0].double()
        middle, indirect = 2.0**HIDDEN_BITS, 2.0 ** (MEAN_BITS + INDIRECT_BITS)

        def found(values: Any) -> Tensor:
            return torch.from_numpy(values.astype(np.float64))

        self.first.copy_(found(network.first.weight) / units / _UNIT / 2.0**_FIRST_BITS)
        self.first_bias[:, 0] = found(network.first.bias) / _UNIT / 2.0**_FIRST_BITS
        self.second.copy_(found(network.second.weight) / 2.0**_SECOND_BITS)
        self.second_bias[:, 0] = found(network.second.bias) / _UNIT / middle / 2.0**_SECOND_BITS
        shifts = torch.tensor([2.0**-each for each in SPREAD_SHIFTS])
        scales = shifts / torch.tensor([32 * _SPREAD_UNIT, FINE_SCALES])
        self.last[1:] = found(network.spread.weight) * scales[:, None] * _UNIT * middle
        self.last_bias[1:, 0] = found(network.spread.bias) * scales
        self.direct[0] = found(network.direct) / units / _UNIT / 2.0**MEAN_BITS
        self.last[0] = found(network.indirect)[:-1] / indirect
        self.last_bias[0, 0] = float(network.indirect[-1]) / indirect / _UNIT


def logarithms() -> Any:
    """Return the logarithms of spreads, as StepNetwork needs them, int16."""
    sums = (np.arange(SPREAD_ENTRIES) - SPREAD_HALF) / 32
    spread = np.where(sums > 30, sums, np.log1p(np.exp(np.minimum(sums, 30))))
    found = np.log2(spread * _SPREAD_SHARE + _LEAST_SPREAD)
    return np.rint(FINE_SCALES * found).astype(np.int16)


class Shapes(nn.Module):
    """The law of residuals: how often the wider of two logistic laws holds, and how wide it is."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((_KNOTS,), -1.5))
        self.width = nn.Parameter(torch.full((_KNOTS,), 0.7))

    def forward(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return the share of the wider law and its width, for log2 of scales [n]."""
        place = (scale + 2) / 8 * (_KNOTS - 1)
        place = place.clamp(0, _KNOTS - 1 - 1e-4)
        low = place.floor().long()
        part = place - low

        def between(values: Tensor) -> Tensor:
            return values[low] * (1 - part) + values[low + 1] * part

        return torch.sigmoid(between(self.share)), between(self.width).exp() + 1

    def probability(self, residual: Tensor, scale: Tensor) -> Tensor:
        """Return the probability of residuals, for log2 of scales, [n] each."""
        share, width = self(scale)
        distance, narrow = residual.abs(), scale.exp2()

        def mass(s: Tensor) -> Tensor:
            return torch.sigmoid((0.5 - distance) / s) - torch.sigmoid((-0.5 - distance) / s)

        return (1 - share) * mass(narrow) + share * mass(narrow * width)

    @torch.no_grad()
    def probabilities(self) -> list[Tensor]:
        """Return the law of every table, about symbol 0 in the middle."""
        found = []
        for index in range(SCALES):
            scale = torch.tensor(index / 4 + _LOWEST, dtype=torch.float64)
            reach = math.ceil(2.0 ** float(scale) * _REACH)
            reach = min(max(reach, _LEAST_REACH), _MOST_REACH)
            symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
            for fraction in range(FRACTIONS):
                residual = symbols - fraction / 8
                found.append(self.double().probability(residual, scale.expand_as(residual)))
        self.float()
        return found


def tables_of(laws: list[Tensor]) -> TableSet:
    """Return the tables of laws about symbol 0 in the middle, float64 each."""
    frozen = [
        # What no table can rule out costs little more than it has to.
        freeze(law.clamp_min(2.0**-22).numpy(), 2.0**-13, floor=16)
        for law in laws
    ]
    return TableSet.from_weights([-(len(law) // 2) for law in laws], frozen)


def _change_tables() -> TableSet:
    """Return tables of Laplace's distribution, of means 2^-2, 2^-1.5, ..."""
    magnitudes = np.abs(np.arange(-_MOST_CHANGE, _MOST_CHANGE + 1))
    means = [2.0 ** (each / 2 - 2) for each in range(CHANGE_TABLES)]
    frozen = [freeze(np.exp(-magnitudes / mean), 2.0**-12) for mean in means]
    return TableSet.from_weights([-_MOST_CHANGE] * CHANGE_TABLES, frozen)


class LosslessNet(nn.Module):
    """All networks of the codec.

    Args:
        config: sizes.
    """

    #: Pixels that the sides of training crops are multiples of: levels halve them.
    stride = 32
    levels = 4

    def __init__(self, config: LosslessConfig) -> None:
        super().__init__()
        self.config = config
        self.steps = nn.ModuleDict(
            {
                _name(group, channel, phase): _StepNet(channel, phase, config)
                for group in range(GROUPS)
                for channel in range(CHANNELS)
                for phase in PHASES
            }
        )
        self.shapes = nn.ModuleDict(
            {f"{channel}{phase}": Shapes() for channel in range(CHANNELS) for phase in PHASES}
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the bits of pictures [B, 3, H, W] in 0..1, H and W multiples of 32; a scalar.

        What all levels start from is not counted.
        """
        bits: list[Tensor] = []

        def visit(step: str, law: str, whole: Tensor, wanted: Tensor) -> Tensor:
            mean, scale = self.steps[step](whole)
            residual = wanted - mean
            shape: Shapes = self.shapes[law]  # type: ignore[assignment]
            probability = shape.probability(residual, scale)
            bits.append(-probability.clamp_min(_LEAST_PROBABILITY).log2().sum())
            return residual

        self._walk(pixels, visit)
        return torch.stack(bits).sum()

    def _walk(self, pixels: Tensor, visit: Visit) -> None:
        """Go through all steps.

        Args:
            pixels: [B, 3, H, W] in 0..1.
            visit: called with the names of a step and of its law, its inputs [K, n] and samples
                less their base [n]; returns residuals [n].
        """
        red, green, blue = pixels.float().mul(255).round().unbind(1)
        planes = [green, red - green, blue - green]
        coarsest = green[:, :: 1 << self.levels, :: 1 << self.levels]
        errors = [torch.zeros_like(coarsest)] * CHANNELS
        for level in range(self.levels - 1, -1, -1):
            stride = 1 << level
            lattice = _Lattice([plane[:, ::stride, ::stride] for plane in planes], errors)
            for channel in range(CHANNELS):
                for phase in PHASES:
                    base = lattice.base(channel, phase)
                    whole = lattice.gather(channel, phase, base)
                    wanted = lattice.here(channel, phase) - base
                    step = _name(min(level, GROUPS - 1), channel, phase)
                    residual = visit(step, f"{channel}{phase}", whole, wanted.reshape(-1))
                    lattice.put(channel, phase, residual.detach().round().reshape(base.shape))
            errors = lattice.residuals

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the linear predictions that fit pictures [B, 3, H, W] in 0..1 best."""
        for _ in range(2):  # residuals are inputs of later steps
            sums: _Sums = {}

            def visit(
                step: str, law: str, whole: Tensor, wanted: Tensor, sums: _Sums = sums
            ) -> Tensor:
                net: _StepNet = self.steps[step]  # type: ignore[assignment]
                x = whole * net.units
                residual = wanted - (net.direct @ x)[0] * _UNIT
                weight = 1 / (x.abs().mean(0) * _UNIT + 1.5)
                x, y = x * weight, wanted / _UNIT * weight
                squares, right = (x @ x.T).double(), (x @ y).double()
                if step in sums:
                    squares, right = squares + sums[step][0], right + sums[step][1]
                sums[step] = squares, right
                return residual

            for start in range(0, len(pictures), _AT_ONCE):
                some = pictures[start : start + _AT_ONCE]
                self._walk(some, visit)
            for name, (squares, right) in sums.items():
                damped = squares + torch.diag(squares.diagonal() * 1e-3 + 1e-9)
                net: _StepNet = self.steps[name]  # type: ignore[assignment]
                net.direct[0] = torch.linalg.solve(damped, right).float()

    def frozen(self, tables: tuple[TableSet, ...] | None = None) -> LosslessModel:
        """Return the networks in whole numbers.

        Args:
            tables: of residuals, by channel; default: those of the trained laws.
        """
        steps = {}
        for group in range(GROUPS):
            for channel in range(CHANNELS):
                for phase in PHASES:
                    net: _StepNet = self.steps[_name(group, channel, phase)]  # type: ignore[assignment]
                    ranges = np.array([each.range for each in inputs(channel, phase)])
                    steps[group, channel, phase] = net.export(ranges)
        if tables is None:
            tables = tuple(tables_of(laws) for laws in self.laws())
        return LosslessModel(steps, tables, _change_tables(), logarithms())

    def laws(self) -> list[list[Tensor]]:
        """Return the laws of residuals by channel and table: the mean of those of its phases."""
        found = []
        for channel in range(CHANNELS):
            shapes: list[Shapes] = [self.shapes[f"{channel}{phase}"] for phase in PHASES]  # type: ignore[misc]
            phases = [shape.probabilities() for shape in shapes]
            found.append([torch.stack(each).mean(0) for each in zip(*phases, strict=True)])
        return found

    def take(self, model: LosslessModel) -> None:
        """Take the networks that frozen() turned into whole numbers."""
        for (group, channel, phase), step in model.steps.items():
            net: _StepNet = self.steps[_name(group, channel, phase)]  # type: ignore[assignment]
            net.take(step)


def _name(group: int, channel: int, phase: Phase) -> str:
    return f"{group}{channel}{phase}"


class _Lattice:
    """One level of pictures: the lattice of lattice.py for batches, all of whose samples are known.

    Args:
        planes: samples [B, H, W] of each channel, H and W even.
        errors: residuals of the level above [B, H / 2, W / 2].
    """

    def __init__(self, planes: list[Tensor], errors: list[Tensor]) -> None:
        self._planes = [F.pad(each[:, None], [_MARGIN] * 4, "reflect")[:, 0] for each in planes]
        self.residuals = [torch.zeros_like(each) for each in planes]
        for residual, coarse in zip(self.residuals, errors, strict=True):
            residual[:, ::2, ::2] = coarse
        self._wrong = [F.pad(each, [_MARGIN] * 4) for each in self.residuals]

    def _part(self, plane: Tensor, phase: Phase, row: int, column: int) -> Tensor:
        """Return the values at an offset from those of a phase [B, h, w]."""
        down, across = ORIGIN[phase]
        height, width = self.residuals[0].shape[1:]
        top, left = down + row + _MARGIN, across + column + _MARGIN
        return plane[:, top : top + height : 2, left : left + width : 2]

    def here(self, channel: int, phase: Phase) -> Tensor:
        """Return the samples of a phase [B, h, w]."""
        return self._part(self._planes[channel], phase, 0, 0)

    def base(self, channel: int, phase: Phase) -> Tensor:
        """Return the base of predictions [B, h, w]."""
        near = [self._part(self._planes[channel], phase, *offset) for offset in NEAREST[phase]]
        return ((torch.stack(near).sum(0) + 2) / 4).floor()

    def put(self, channel: int, phase: Phase, residual: Tensor) -> None:
        """Fill in the residuals of a phase [B, h, w]."""
        down, across = ORIGIN[phase]
        self.residuals[channel][:, down::2, across::2] = residual
        self._wrong[channel] = F.pad(self.residuals[channel], [_MARGIN] * 4)

    def gather(self, channel: int, phase: Phase, base: Tensor) -> Tensor:
        """Return the inputs of a step, whole numbers [K, n]."""
        found = [self._input(each, channel, phase, base) for each in inputs(channel, phase)]
        return torch.stack(found).reshape(len(found), -1)

    def _input(self, wanted: Input, channel: int, phase: Phase, base: Tensor) -> Tensor:
        kind, own = wanted.kind, wanted.channel
        if kind == "base":
            return base - (0 if channel else 128)
        if kind == "level":
            return self.here(0, phase) - 128
        if kind == "here":
            return self.here(1, phase)
        if kind == "activity":
            rows, columns = ACTIVITY[phase]
            down, across = ORIGIN[phase]
            parts = [
                self._part(self._wrong[own], phase, 2 * row - down, 2 * column - across).abs()
                for row in rows
                for column in columns
            ]
            return torch.stack(parts).sum(0)
        offset = (wanted.row, wanted.column)
        if kind in ("error", "residual"):
            found = self._part(self._wrong[own], phase, *offset)
            return found.abs() if kind == "error" else found
        found = self._part(self._planes[own], phase, *offset)
        return found - (base if kind == "own" else self.here(own, phase))
