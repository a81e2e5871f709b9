"""torch as the runtime of a frozen model's networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from quantal.entropy.walk import FloatArray
from quantal.layers import undisturbed

__all__ = ["TorchNetworks", "as_batch"]


def as_batch(array: FloatArray) -> Tensor:
    """Return an array [C, h, w] as a tensor [1, C, h, w] of the same memory and layout.

    A plain new axis would have a stride that hides from torch that channels lie together, and
    convolutions would add up in another order.
    """
    tensor = torch.from_numpy(array)
    steps = [size * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    return tensor.as_strided((1, *tensor.shape), (max(steps), *tensor.stride()))


class TorchNetworks:
    """Networks by name, run by torch; see quantal.entropy.walk.Networks.

    Args:
        networks: each maps tensors [1, C, h, w] and the rate [1] to a tensor [1, ...].
        device: where they run; arrays come from and go to the CPU.
    """

    def __init__(self, networks: Mapping[str, Callable[..., Tensor]], device: torch.device) -> None:
        self._networks, self._device = networks, device

    def __call__(self, name: str, rate: float, *inputs: FloatArray) -> FloatArray:
        """Run a network on float32 arrays [C, h, w] at a position 0..63 on the rate axis."""
        with undisturbed():
            tensors = (as_batch(array).to(self._device) for array in inputs)
            position = torch.tensor([rate], device=self._device)
            found: FloatArray = self._networks[name](*tensors, position)[0].cpu().numpy()
            return found
