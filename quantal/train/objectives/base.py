"""What a training run minimises: the losses of a step, and what is trained beside the network.

The loop knows no more of a codec than this. rate_distortion.py is for codecs that estimate their
own bits; generative.py for those whose rate is given and whose pictures are judged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from quantal.train.recipe import Phase

__all__ = ["Objective", "middle"]

#: Pixels along a side of samples, at most.
_SHOWN = 256


class Objective(ABC):
    """The objective of one run.

    Args:
        net: the network that is trained.
        ema: its average over the steps.
    """

    def __init__(self, net: nn.Module, ema: nn.Module) -> None:
        self.net, self.ema = net, ema

    def start(self, crops: Tensor) -> None:  # noqa: B027
        """Prepare the untrained network by what the objective knows, after Trainer.start().

        Args:
            crops: [B, 3, H, W] in 0..1.
        """

    def reseed(self, seed: int) -> None:  # noqa: B027, most draw nothing of their own
        """Draw other random numbers from here on; a resumed run must not repeat its first ones."""

    def prepare(self, phase: Phase, done: float) -> None:  # noqa: B027
        """Set the networks' modes before a step.

        Args:
            phase: the phase in force.
            done: the fraction of the run that is over.
        """

    @abstractmethod
    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Return the losses of a step.

        Args:
            net: the network that is trained, maybe compiled.
            pixels: crops [B, 3, H, W] in 0..1.

        Returns:
            `loss`, which is minimised, and parts of it for the log, by name; scalars.
        """

    def learn(self) -> None:  # noqa: B027
        """Train what stands beside the network; called after the network's own step."""

    @abstractmethod
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Measure the average network.

        Args:
            pictures: uint8 [3, H, W] each.

        Returns:
            For each rate a point, such as {"rate": 31, "bpp": 0.5, "psnr": 33.1}.
        """

    def samples(self, picture: Any) -> list[Tensor]:
        """Return a picture and what the average network makes of it, for people to look at.

        Args:
            picture: one of those that evaluate() takes.

        Returns:
            The middle of it and of its reconstructions, from the coarsest on, uint8 [3, H, W];
            empty if nothing is drawn.
        """
        return []

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold of this objective."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Continue from what state() returned."""


def middle(picture: Tensor) -> Tensor:
    """Return the middle of a picture [3, H, W], 256 pixels a side at most."""
    height, width = picture.shape[1:]
    top, left = max(height - _SHOWN, 0) // 2, max(width - _SHOWN, 0) // 2
    return picture[:, top : top + _SHOWN, left : left + _SHOWN]
