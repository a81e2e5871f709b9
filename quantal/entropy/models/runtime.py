"""torch as the runtime of a frozen model's networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from quantal.entropy.walk import FloatArray
from quantal.layers import undisturbed

__all__ = ["TorchNetworks", "as_batch"]


def _writable(array: FloatArray) -> FloatArray:
    """Return an array that torch takes without a warning: a copy, if it can't be written to."""
    return array if array.flags.writeable else array.copy()


def as_batch(array: FloatArray) -> Tensor:
    """Return an array [C, h, w] as a tensor [1, C, h, w] of the same memory and layout.

    A plain new axis would have a stride that hides from torch that channels lie together, and
    convolutions would add up in another order.
    """
    tensor = torch.from_numpy(_writable(array))
    steps = [size * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    return tensor.as_strided((1, *tensor.shape), (max(steps), *tensor.stride()))


#: Positions of inputs that a network takes at a time on the CPU, so that its activations stay in
#: the cache.
_POSITIONS = 768


class TorchNetworks:
    """Networks by name, run by torch; see quantal.entropy.walk.Networks.

    Args:
        networks: each maps tensors [1, C, h, w] and the rate [1] to a tensor [1, ...].
        device: where they run; arrays come from and go to the CPU.
    """

    def __init__(self, networks: Mapping[str, Callable[..., Tensor]], device: torch.device) -> None:
        self._networks, self._device = networks, device

    def __call__(self, name: str, rate: float, *inputs: FloatArray) -> FloatArray:
        """Run a network on float32 arrays [C, h, w] or [B, C, h, w] at a position 0..63."""
        several = inputs[0].shape[0] if inputs and inputs[0].ndim == 4 else None
        if several is None:
            return self._run(name, rate, [as_batch(array) for array in inputs])[0]
        found: FloatArray | None = None
        height, width = inputs[0].shape[-2:]
        count = max(_POSITIONS // (height * width), 1) if self._device.type == "cpu" else several
        for start in range(0, several, count):
            part = slice(start, start + count)
            some = [torch.from_numpy(_writable(array[part])) for array in inputs]
            made = self._run(name, rate, some)
            if found is None:
                found = np.empty((several, *made.shape[1:]), np.float32)
            found[part] = made
        if found is None:
            raise ValueError("there is no plane to run a network on")
        return found

    def _run(self, name: str, rate: float, inputs: Sequence[Tensor]) -> FloatArray:
        with undisturbed():
            tensors = (each.to(self._device) for each in inputs)
            position = torch.tensor([rate], device=self._device)
            found: FloatArray = self._networks[name](*tensors, position).cpu().numpy()
            return found
