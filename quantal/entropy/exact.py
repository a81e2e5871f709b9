"""Networks that give the same integers on every machine: they decide how bits are read.

Weights, activations and sums are integers, held in floating point and run as ordinary
convolutions. A bound on every partial sum is proven when the network is built; below 2^53 float64
holds all of them exactly (below 2^24 float32 does), so order of summation, threads, memory layout,
instruction set and device can't matter (after Balle et al., "Integer networks for data
compression with latent-variable models", 2019).

A trainable network is described once (ScaleNet) and run two ways: forward() with straight-through
rounding, for training, and export() into an ExactNet of integers, for coding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.quantise import round_through
from quantal.entropy.rates import RATE_INDICES
from quantal.errors import ModelError

__all__ = ["ExactLayer", "ExactNet"]

_FIELDS = ("shift", "low", "high", "groups", "shuffle")
#: Whole numbers up to here are exact.
_LIMITS = {torch.float32: 2**24, torch.float64: 2**53}


@dataclass(frozen=True)
class ExactLayer:
    """One integer convolution, then rescaling by a power of two, then a clamp.

    weight: int32 [O, I / groups, k, k]; bias: int64 [R, O], a row for every rate index, or one
    row for all. out = clamp((conv(x) + bias + half) >> shift, low, high), and then, if shuffle is
    more than 1, pixel_shuffle(out, shuffle).
    """

    weight: Tensor
    bias: Tensor
    shift: int
    low: int
    high: int
    groups: int = 1
    shuffle: int = 1

    @property
    def inputs(self) -> int:
        """Channels in."""
        return self.weight.shape[1] * self.groups

    @property
    def outputs(self) -> int:
        """Channels out."""
        return self.weight.shape[0] // self.shuffle**2

    @property
    def largest_output(self) -> int:
        """The largest magnitude of an output element."""
        return max(-self.low, self.high)

    def check(self, inputs: int) -> None:
        """Raise ModelError unless this is a layer of integers that takes so many channels."""
        weight, bias = self.weight, self.bias
        integers = not (weight.is_floating_point() or bias.is_floating_point())
        if not integers or weight.ndim != 4 or bias.ndim != 2 or self.groups < 1:
            raise ModelError("an integer layer's tensors are not whole numbers in 4 and 2 axes")
        if self.inputs != inputs or bias.shape[1] != len(weight) or len(weight) % self.groups:
            raise ModelError(f"an integer layer does not take the {inputs} channels before it")
        if self.shuffle < 1 or len(weight) % self.shuffle**2:
            raise ModelError(f"an integer layer can't shuffle by {self.shuffle}")
        if bias.shape[0] not in (1, RATE_INDICES):
            raise ModelError(f"an integer layer has {bias.shape[0]} biases, not 1 or one a rate")
        if not (self.low <= 0 <= self.high and 0 <= self.shift < 48):
            raise ModelError("an integer layer's clamp or shift is out of range")

    def bound(self, largest: int) -> int:
        """The largest magnitude that any partial sum can take for inputs up to `largest`."""
        # In Python's integers: what proves that nothing overflows must not overflow itself.
        weights = self.weight.long().abs().flatten(1).sum(1).tolist()
        biases = [max(map(abs, rows)) for rows in self.bias.T.tolist()]
        sums = [w * largest + b for w, b in zip(weights, biases, strict=True)]
        return max(sums) + (1 << self.shift)


class ExactNet:
    """A chain of ExactLayers, proven exact when built.

    largest_input: the largest magnitude an input element may have; the caller keeps to it.
    Raises ModelError if no floating-point type can hold the sums.
    """

    def __init__(self, layers: Sequence[ExactLayer], largest_input: int) -> None:
        if not layers:
            raise ModelError("an integer network needs at least one layer; the weights are damaged")
        self.layers = tuple(layers)
        self.largest_input = largest_input
        worst = largest = largest_input
        inputs = self.inputs
        for layer in self.layers:
            layer.check(inputs)
            worst = max(worst, layer.bound(largest))
            largest, inputs = layer.largest_output, layer.outputs
        #: The types in which this network is exact.
        self.proven = frozenset(dtype for dtype, limit in _LIMITS.items() if worst < limit)
        if not self.proven:
            raise ModelError(
                f"an integer network's sums reach {worst}, and float64 is exact only below 2^53; "
                "export it with fewer fractional bits"
            )
        self._prepared: dict[torch.dtype, list[tuple[Tensor, Tensor]]] = {}

    @property
    def inputs(self) -> int:
        """Channels in."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Channels out."""
        return self.layers[-1].outputs

    @property
    def largest_output(self) -> int:
        """The largest magnitude of an output element."""
        return self.layers[-1].largest_output

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """All integers by name, as a weights file holds them."""
        found = {}
        for place, layer in enumerate(self.layers):
            found[f"{prefix}.{place}.weight"] = layer.weight
            found[f"{prefix}.{place}.bias"] = layer.bias
            fields = [getattr(layer, name) for name in _FIELDS]
            found[f"{prefix}.{place}.fields"] = torch.tensor(fields, dtype=torch.int32)
        return found

    @classmethod
    def from_tensors(cls, found: Mapping[str, Tensor], prefix: str, largest_input: int) -> ExactNet:
        """The reverse of tensors(); raises KeyError, ValueError or ModelError for anything else."""
        layers: list[ExactLayer] = []
        while f"{prefix}.{len(layers)}.weight" in found:
            name = f"{prefix}.{len(layers)}"
            values = dict(zip(_FIELDS, found[f"{name}.fields"].tolist(), strict=True))
            layers.append(ExactLayer(found[f"{name}.weight"], found[f"{name}.bias"], **values))
        return cls(layers, largest_input)

    def _weights(self, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
        if dtype not in self._prepared:
            self._prepared[dtype] = [(e.weight.to(dtype), e.bias.to(dtype)) for e in self.layers]
        return self._prepared[dtype]

    def __call__(self, x: Tensor, rate_index: int, dtype: torch.dtype | None = None) -> Tensor:
        """Map integers [B, I, h, w] to integers [B, O, H, W] (int32, on the CPU).

        dtype: one of `proven`; the result is the same. By default float64, also where float32
        would do: torch has global switches that let oneDNN compute float32 with fewer bits
        (TF32, bfloat16), and none that touches float64.
        """
        dtype = dtype or torch.float64
        if dtype not in self.proven:
            raise ModelError(f"this integer network is not proven exact in {dtype}")
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            x = x.cpu().to(dtype)
            for layer, (weight, bias) in zip(self.layers, self._weights(dtype), strict=True):
                row = bias[min(rate_index, bias.shape[0] - 1)]
                pad = weight.shape[-1] // 2
                # The bias is added apart: a convolution that fuses it may do so in any order,
                # which is fine for integers, but so the code says what the proof says.
                sums = F.conv2d(x, weight, padding=pad, groups=layer.groups)
                sums += (row + (1 << layer.shift >> 1))[:, None, None]
                x = sums.mul_(2.0**-layer.shift).floor_().clamp_(layer.low, layer.high)
                if layer.shuffle > 1:
                    x = F.pixel_shuffle(x, layer.shuffle)
            return x.to(torch.int32)


class FixedPoint(nn.Module):
    """A convolution whose weights and outputs are rounded to fixed point as it trains.

    weight_bits, value_bits: fractional bits of weights and of activations. Inputs are taken to be
    in fixed point already. `quantised` switches the rounding; without it this is a convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        groups: int = 1,
        shuffle: int = 1,
        relu: bool = True,
        weight_bits: int = 10,
        value_bits: int = 8,
        high: float = 256.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
        self.shuffle, self.relu = shuffle, relu
        self.weight_bits, self.value_bits, self.high = weight_bits, value_bits, high
        self.quantised = False

    def forward(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        """offset: added to the bias, per sample [B, O]."""
        weight = self.conv.weight
        if self.quantised:
            unit = 2.0**self.weight_bits
            weight = round_through(weight * unit) / unit
        x = F.conv2d(x, weight, self.conv.bias, 1, self.conv.padding, 1, self.conv.groups)
        if offset is not None:
            x = x + offset[:, :, None, None]
        if self.quantised:
            unit = 2.0**self.value_bits
            x = round_through(x * unit) / unit
        if self.relu:
            x = x.relu()
        x = x.clamp(-self.high, self.high)
        return F.pixel_shuffle(x, self.shuffle) if self.shuffle > 1 else x

    def _bias(self) -> Tensor:
        if self.conv.bias is None:
            raise ModelError("an integer layer without a bias can't be exported")
        return self.conv.bias

    @torch.no_grad()
    def export(self, offsets: Tensor | None = None, output_bits: int | None = None) -> ExactLayer:
        """Return the integer layer; offsets: a bias row for each rate index [R, O].

        output_bits: fractional bits kept at the output (value_bits unless told).
        """
        kept = self.value_bits if output_bits is None else output_bits
        sum_bits = self.weight_bits + self.value_bits
        weight = (self.conv.weight.double() * 2.0**self.weight_bits).round().to(torch.int32)
        bias = self._bias().double()[None]
        if offsets is not None:
            bias = bias + offsets.double()
        top = int(self.high * 2**kept)
        return ExactLayer(
            weight=weight.cpu(),
            bias=(bias * 2.0**sum_bits).round().long().cpu(),
            shift=sum_bits - kept,
            low=0 if self.relu else -top,
            high=top,
            groups=self.conv.groups,
            shuffle=self.shuffle,
        )

    @torch.no_grad()
    def restore(self, layer: ExactLayer) -> None:
        """Take the weights of an exported layer over: the reverse of export(), but for the bias."""
        self.conv.weight.copy_(layer.weight * 2.0**-self.weight_bits)
