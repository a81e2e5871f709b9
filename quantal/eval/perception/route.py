"""The routes "from latents" and "from features": what a model is shown is not drawn.

A codec with the option `latents=STEM.safetensors` shows the model its latents: the stem stands for
the model's first layers (docs/tutorials/learning.md). Codec `features` codes the
output of the first layers (docs/how-to/features.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.latents.adapters import replace_stem
from quantal.latents.recognisers import fingerprint

__all__ = ["Joint", "Late", "Undrawn"]


@dataclass(frozen=True, eq=False)
class Joint:
    """Where features enter a classifier of torchvision.

    Attributes:
        backbone: name of the classifier whose features they are.
        teacher: its fingerprint(), uint8 [4].
        first: the first layer that is still to be run.
    """

    backbone: str
    teacher: Tensor
    first: int


@dataclass(frozen=True, eq=False)
class Undrawn:
    """Features of a picture, in place of its pixels.

    Attributes:
        features: [C, h, w], as the layer at the joint takes them.
        joint: where they enter a classifier.
    """

    features: Tensor
    joint: Joint


class Late:
    """The layers of a classifier behind any joint: features to scores, float32 [classes].

    Args:
        network: the classifier, as its weights were loaded.
        name: of it.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self._network, self._name = network, name
        # Before another precision changes the weights.
        self._teacher = fingerprint(network)

    def check(self, joint: Joint) -> None:
        """Raise ArgumentError unless features of a joint are those of this classifier."""
        if joint.backbone != self._name:
            raise ArgumentError(
                f"the features are those of {joint.backbone}, the model is {self._name}"
            )
        if not torch.equal(joint.teacher.to(torch.uint8), self._teacher):
            raise ArgumentError(
                f"the features are those of {self._name} with other weights; name the same, by "
                "--weights FILE or NAME:WEIGHTS"
            )

    def __call__(self, shown: Undrawn) -> Any:
        self.check(shown.joint)
        with torch.inference_mode():
            late = replace_stem(self._network, nn.Identity(), shown.joint.first)
            dtype = next(self._network.parameters()).dtype
            found: Tensor = late(shown.features[None].to(dtype))[0]
            return found.float().numpy()
