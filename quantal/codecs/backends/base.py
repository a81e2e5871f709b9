"""What a codec knows of the library that runs its floating-point networks, on arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from quantal.codecs.weights import WeightsFile
from quantal.entropy.exact import ExactNet
from quantal.entropy.walk import FloatArray, Networks

if TYPE_CHECKING:
    import torch

__all__ = ["Backend", "NamedNetworks", "Transform"]


@dataclass(frozen=True)
class Transform:
    """A network between pixels and latents, and how it may be cut into windows.

    Attributes:
        run: maps float32 [C, h, w] to float32 [C', h', w']. Pixels are in 0..255. May be given the
            position on the rate axis too, by which a backend may choose a precision.
        reach: how far a result depends on its surroundings, in pixels; None: a picture has to go
            through it in one piece.
        alignment: windows begin at multiples of this many pixels; None means the stride.
    """

    run: Callable[..., FloatArray]
    reach: int | None = None
    alignment: int | None = None


class NamedNetworks(Networks, Protocol):
    """The floating-point networks of a codec by name; see quantal.entropy.walk.Networks."""

    def transform(self, name: str) -> Transform:
        """Return a network that takes no rate as a Transform."""
        ...

    def prepare(self, *but: str) -> None:
        """Begin to load all networks, in the background, but those of some names.

        Networks work without it; the first call of each is sooner done.
        """
        ...


class Backend(Protocol):
    """A library that runs networks.

    Attributes:
        name: "torch", "onnx" or "openvino".
    """

    name: str

    @property
    def device(self) -> str | torch.device:
        """Where networks run."""
        ...

    def networks(self, file: WeightsFile, kind: str) -> NamedNetworks:
        """Return the networks of a weights file.

        Args:
            file: the file.
            kind: "module:class" of the networks in torch, whose method of() takes the file.

        Raises:
            ModelError: If the file is damaged, or this library can't run its networks.
        """
        ...

    def accelerate(self, nets: Iterable[ExactNet]) -> None:
        """Let integer networks run as fast as this library can, without a changed bit."""
        ...
