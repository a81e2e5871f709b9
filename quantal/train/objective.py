"""What a training run works towards: the losses of a step, and what stands beside the network.

The loop knows no more of a codec than this. rate_distortion.py is for codecs that estimate their
own bits, generative.py for those of codebooks, whose rate is given and whose pictures are judged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from quantal.train.recipe import Phase

__all__ = ["Objective"]


class Objective(ABC):
    """Of one run: net is what is trained, ema its average."""

    def __init__(self, net: nn.Module, ema: nn.Module) -> None:
        self.net, self.ema = net, ema

    def reseed(self, seed: int) -> None:  # noqa: B027, most draw nothing of their own
        """Draw other random numbers from here on; a resumed run must not repeat its first ones."""

    def prepare(self, phase: Phase, done: float) -> None:  # noqa: B027
        """Bring the networks into the way they are trained at a fraction `done` of the run."""

    @abstractmethod
    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Of pixels [B, 3, H, W]: `loss`, which is descended, and parts of it to be logged.

        net: the trained network, maybe compiled.
        """

    def learn(self) -> None:  # noqa: B027
        """After the network's own step: train what stands beside it."""

    @abstractmethod
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """How the average does on pictures uint8 [3, H, W]: a point a rate."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold of this."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Go on from what state() gave."""
