"""torch as the library that runs a codec's networks, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from quantal.codecs.backends.base import Transform
from quantal.codecs.family import resolve
from quantal.codecs.weights import WeightsFile
from quantal.entropy.exact import ExactNet
from quantal.entropy.models.base import Shape
from quantal.entropy.models.exact_runtime import TorchLayers
from quantal.entropy.models.runtime import TorchNetworks, as_batch
from quantal.entropy.walk import FloatArray
from quantal.layers import undisturbed

__all__ = ["CodecNet", "TorchBackend", "TorchCodecNetworks", "transform_of"]


class CodecNet(Protocol):
    """What the networks of a family offer to a backend."""

    @classmethod
    def of(cls, file: WeightsFile) -> Any:
        """Return the networks of a weights file, on the CPU, in evaluation mode.

        Raises:
            ModelError: If the file is damaged.
        """
        ...

    def networks(self) -> Mapping[str, Callable[..., Tensor]]:
        """Return the networks by name: from tensors [B, C, h, w] and rates [B] to a tensor."""
        ...

    def shapes(self) -> Mapping[str, Sequence[Shape]]:
        """Return the sizes of what each network takes, beside the rate."""
        ...

    def stored_names(self) -> Mapping[str, str]:
        """Return what files call each tensor of the networks' state."""
        ...

    def transforms(self) -> Mapping[str, Any]:
        """Return what has the `reach` and the `alignment` of those networks that are transforms."""
        ...


class TorchCodecNetworks(TorchNetworks):
    """The networks of a CodecNet; a NamedNetworks.

    Args:
        net: all networks.
        device: where they run.

    Attributes:
        net: see above.
    """

    def __init__(self, net: Any, device: torch.device) -> None:
        super().__init__(net.networks(), device)
        self.net = net

    def transform(self, name: str) -> Transform:
        found = self.net.transforms()[name]
        reach, alignment = getattr(found, "reach", None), getattr(found, "alignment", None)

        def run(plane: FloatArray, rate: float = 0.0) -> FloatArray:
            return self(name, rate, plane)

        return Transform(run, reach, alignment)

    def prepare(self, *but: str) -> None:
        """Do nothing: all networks are loaded."""


class TorchBackend:
    """Runs networks by torch; a Backend.

    Args:
        device: where they run.
    """

    name = "torch"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def networks(self, file: WeightsFile, kind: str) -> TorchCodecNetworks:
        # The codec is cached: the next caller may need gradients.
        with torch.inference_mode(False):
            net: nn.Module = resolve(kind).of(file)
            net.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TorchCodecNetworks(net, self.device)

    def accelerate(self, nets: Iterable[ExactNet]) -> None:
        for net in nets:
            net.run_by(TorchLayers(net))


def transform_of(
    network: Callable[[Tensor], Tensor], device: str | torch.device, *, draws: bool = False
) -> Transform:
    """Return a network of torch, between pixels in 0..1 and latents, as a Transform.

    Args:
        network: maps tensors [1, C, h, w]; may have attributes `reach` and `alignment`, in pixels.
        device: where it is.
        draws: whether it maps to pixels, not from pixels.
    """

    def run(plane: FloatArray, rate: float = 0.0) -> FloatArray:
        with undisturbed():
            x = as_batch(plane).to(device)
            found = network(x).mul(255) if draws else network(x.div(255))
            result: FloatArray = found[0].cpu().numpy()
            return result

    return Transform(run, getattr(network, "reach", None), getattr(network, "alignment", None))
