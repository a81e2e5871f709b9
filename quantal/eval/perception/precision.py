"""The same network in other number formats, after "Quantization robustness to input degradations".

float16 and bfloat16 are torch's own. int8 is dynamic quantisation of every convolution and linear
layer, simulated: the numbers are those of 8 bits, the arithmetic is float32, so it says what
accuracy becomes and nothing about speed. (torch's own dynamic int8 covers linear layers alone,
which in a convolutional network is next to nothing.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["AS_EXPORTED", "PRECISIONS", "quantised", "to_precision"]

#: What models of a file of their own come in.
AS_EXPORTED = "as exported"
PRECISIONS = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.float32,
}


def to_precision(network: nn.Module, precision: str) -> torch.dtype:
    """Bring a network to a precision, in place; the type that its input has to be of."""
    dtype = PRECISIONS[precision]
    if precision == "int8":
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.data = _symmetric(layer.weight.data)
                layer.register_forward_pre_hook(_quantise_input)
    network.to(dtype)
    return dtype


def quantised(values: Tensor) -> Tensor:
    """Values on a grid of 256 steps over their own range, which always holds 0."""
    low = values.amin().clamp(max=0)
    high = values.amax().clamp(min=0)
    step = (high - low).clamp(min=1e-12) / 255
    zero = torch.round(-low / step)
    return (torch.clamp(torch.round(values / step) + zero, 0, 255) - zero) * step


def _symmetric(weight: Tensor) -> Tensor:
    """Weights on -127..127 steps, the step an output channel's own."""
    step = weight.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
    step = step.reshape(-1, *[1] * (weight.ndim - 1))
    return torch.round(weight / step) * step


def _quantise_input(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (quantised(inputs[0]), *inputs[1:])
