"""Trainable layers that export to integer layers: rounded as they train, integers as they code."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.entropy.exact import ExactLayer
from quantal.entropy.rounding import round_through
from quantal.errors import ModelError

__all__ = ["FixedPoint", "quantise_layers"]


class FixedPoint(nn.Module):
    """A convolution whose weights and outputs are rounded to fixed point as it trains.

    Inputs are in fixed point already. If `quantised` is off, this is an ordinary convolution.

    Args:
        inputs: channels in.
        outputs: channels out, before the shuffle.
        kernel: size of the kernel, odd.
        groups: 1, or `inputs` for a depthwise convolution.
        shuffle: factor of a pixel shuffle after the convolution.
        relu: whether negative outputs become 0.
        weight_bits: fractional bits of weights.
        value_bits: fractional bits of outputs.
        high: outputs are clamped to this magnitude.
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

    @classmethod
    def depthwise(cls, channels: int) -> FixedPoint:
        """Return a depthwise 3x3 layer that starts as the identity.

        ReLUs in a row then lose nothing.
        """
        layer = cls(channels, channels, kernel=3, groups=channels)
        nn.init.dirac_(layer.conv.weight, groups=channels)
        nn.init.zeros_(layer._bias())
        return layer

    def forward(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        """Map [B, I, h, w] to [B, O, H, W].

        Args:
            x: the input.
            offset: is added to the bias, per sample [B, O].
        """
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
        """Return the integer layer.

        Args:
            offsets: a bias row for each rate index [R, O].
            output_bits: fractional bits kept at the output; default `value_bits`.
        """
        kept = self.value_bits if output_bits is None else output_bits
        sum_bits = self.weight_bits + self.value_bits
        weight = (self.conv.weight.double() * 2.0**self.weight_bits).round().to(torch.int32)
        bias = self._bias().double()[None]
        if offsets is not None:
            bias = bias + offsets.double()
        top = int(self.high * 2**kept)
        return ExactLayer(
            weight=weight.cpu().numpy(),
            bias=(bias * 2.0**sum_bits).round().long().cpu().numpy(),
            shift=sum_bits - kept,
            low=0 if self.relu else -top,
            high=top,
            groups=self.conv.groups,
            shuffle=self.shuffle,
        )

    def exported_weight(self, layer: ExactLayer) -> Tensor:
        """Return the weight that export() turned into an integer layer's, float32."""
        return torch.from_numpy(layer.weight.astype("float32")) * 2.0**-self.weight_bits


def quantise_layers(modules: Iterable[nn.Module], on: bool) -> None:
    """Switch the rounding of weights and activations of all fixed-point layers among modules."""
    for module in modules:
        if isinstance(module, FixedPoint):
            module.quantised = on
