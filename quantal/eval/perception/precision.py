"""Precisions of networks, after "Quantization robustness to input degradations".

float16 and bfloat16 are torch's. int8 is simulated dynamic quantisation of every convolution and
linear layer: values have 8 bits, arithmetic is float32, so accuracy is meaningful and speed is not.
(torch's dynamic int8 covers linear layers only.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["AS_EXPORTED", "PRECISIONS", "quantised", "to_precision"]

#: The precision of model files.
AS_EXPORTED = "as exported"
PRECISIONS = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.float32,
}


def to_precision(network: nn.Module, precision: str) -> torch.dtype:
    """Convert a network to a precision, in place; return the data type of its input."""
    dtype = PRECISIONS[precision]
    if precision == "int8":
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.data = _symmetric(layer.weight.data)
                layer.register_forward_pre_hook(_quantise_input)
    network.to(dtype)
    return dtype


def quantised(values: Tensor) -> Tensor:
    """Quantise values to 256 steps over their range, which includes 0."""
    low = values.amin().clamp(max=0)
    high = values.amax().clamp(min=0)
    step = (high - low).clamp(min=1e-12) / 255
    zero = torch.round(-low / step)
    return (torch.clamp(torch.round(values / step) + zero, 0, 255) - zero) * step


def _symmetric(weight: Tensor) -> Tensor:
    """Quantise weights to -127..127 steps, with a step size per output channel."""
    step = weight.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
    step = step.reshape(-1, *[1] * (weight.ndim - 1))
    return torch.round(weight / step) * step


def _quantise_input(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (quantised(inputs[0]), *inputs[1:])
