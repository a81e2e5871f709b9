"""The objective of classifiers: cross-entropy with smoothed labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.errors import ArgumentError
from quantal.latents.recognisers import Classifier, indices_of
from quantal.train.examples import Example, Examples, as_input
from quantal.train.objectives.base import Objective

__all__ = ["Recognition", "RecognitionSettings"]

#: Examples that are evaluated at a time.
_AT_ONCE = 64


@dataclass(frozen=True)
class RecognitionSettings:
    """The `objective` section of a recipe.

    Attributes:
        smoothing: the part of a label that is spread over all classes.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ArgumentError(f"smoothing is at least 0 and below 1, not {self.smoothing}")


class Recognition(Objective):
    """Cross-entropy of a Classifier.

    Args:
        net: the network that is trained.
        ema: its average.
        settings: of the objective.
    """

    def __init__(self, net: Classifier, ema: Classifier, settings: RecognitionSettings) -> None:
        super().__init__(net, ema)
        self.settings, self.config = settings, net.config

    def losses(self, net: Any, examples: Any) -> dict[str, Tensor]:
        """Return the loss of a batch of examples."""
        wanted = indices_of(examples.labels, self.config.names)
        scores = net(examples.values).float()
        target = torch.tensor(wanted, device=scores.device)
        loss = F.cross_entropy(scores, target, label_smoothing=self.settings.smoothing)
        return {"loss": loss}

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the accuracy on whole examples, in percent."""
        net = self.ema.eval()
        device = next(net.parameters()).device
        right = 0
        for _, same in groupby(sorted(pictures, key=_size), _size):
            members: list[Example] = list(same)
            for start in range(0, len(members), _AT_ONCE):
                part = members[start : start + _AT_ONCE]
                scores = net(as_input(torch.stack([each.values for each in part])).to(device))
                wanted = indices_of([each.label for each in part], self.config.names)
                right += int((scores.argmax(1).cpu() == torch.tensor(wanted)).sum())
        return [{"accuracy": 100 * right / len(pictures), "pictures": len(pictures)}]


def check_source(source: str, examples: Example | Examples) -> None:
    """Raise ArgumentError unless examples are what a network was made for."""
    if examples.source != source:
        raise ArgumentError(
            f"the data are {examples.source}, the recipe is for {source}; set `model.source` and "
            "`model.channels`, or name other data"
        )


def _size(example: Example) -> tuple[int, ...]:
    return tuple(example.values.shape)
