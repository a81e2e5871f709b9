"""The routes "from latents" and "from features": what a model is shown is not drawn.

A codec with the option `latents=STEM.safetensors` shows the model its latents: the stem stands for
the model's first layers (docs/learning.md). Codec `features` codes what the first layers make of a
picture (docs/features.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.latents.adapters import replace_stem

__all__ = ["Undrawn", "answered"]


@dataclass(frozen=True, eq=False)
class Undrawn:
    """Features of a picture, in place of its pixels.

    Attributes:
        features: [C, h, w], as layer `first` takes them.
        backbone: name of the classifier of torchvision whose features they are.
        teacher: its fingerprint().
        first: the first layer that is still to be run.
    """

    features: Tensor
    backbone: str
    teacher: Tensor
    first: int


def answered(
    network: nn.Module, name: str, print_of: Tensor, dtype: torch.dtype, shown: Undrawn
) -> Any:
    """Return the scores of a classifier of torchvision for features, float32 [classes].

    Args:
        network: the classifier.
        name: of it.
        print_of: its fingerprint() as its weights were loaded.
        dtype: of its weights.
        shown: the features.

    Raises:
        ArgumentError: If they are those of another classifier.
    """
    if shown.backbone != name:
        raise ArgumentError(f"the features are those of {shown.backbone}, the model is {name}")
    if not torch.equal(shown.teacher.to(torch.uint8), print_of):
        raise ArgumentError(
            f"the features are those of {name} with other weights; name the same, by --weights "
            "FILE or NAME:WEIGHTS"
        )
    with torch.inference_mode():
        late = replace_stem(network, nn.Identity(), shown.first)
        found: Tensor = late(shown.features[None].to(dtype))[0]
        return found.float().numpy()
