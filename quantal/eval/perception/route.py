"""The route "from latents": what a model is shown is not drawn.

A codec with the option `latents=STEM.safetensors` shows the model its latents: the stem stands for
the model's first layers (docs/learning.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.latents.adapters import replace_stem
from quantal.latents.recognisers import StemNet

__all__ = ["Undrawn", "answered"]


@dataclass(frozen=True, eq=False)
class Undrawn:
    """Latents of a picture, in place of its pixels.

    Attributes:
        y_hat: the latents [M, h, w].
        stem: the first layers that read them.
    """

    y_hat: Tensor
    stem: StemNet


def answered(
    network: nn.Module, name: str, print_of: Tensor, dtype: torch.dtype, shown: Undrawn
) -> Any:
    """Return the scores of a classifier of torchvision for latents, float32 [classes].

    Args:
        network: the classifier.
        name: of it.
        print_of: its fingerprint() as its weights were loaded.
        dtype: of its weights.
        shown: the latents.

    Raises:
        ArgumentError: If the stem was trained for another classifier.
    """
    stem = shown.stem
    if stem.config.backbone != name:
        raise ArgumentError(
            f"the stem stands for layers of {stem.config.backbone}, the model is {name}"
        )
    if not torch.equal(stem.teacher.to(torch.uint8), print_of):
        raise ArgumentError(
            f"the stem was trained for {name} with other weights; name those of its training, by "
            "--weights FILE or NAME:WEIGHTS"
        )
    with torch.inference_mode():
        late = replace_stem(network, nn.Identity(), stem.config.first)
        found: Tensor = late(stem(shown.y_hat[None]).to(dtype))[0]
        return found.float().numpy()
