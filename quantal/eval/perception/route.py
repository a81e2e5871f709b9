"""The route "from latents": what a model is shown is not drawn.

A codec with the option `latents=STEM.safetensors` shows the model its latents: the stem stands for
the model's first layers (quantal.latents, docs/latents.md).
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


def answered(network: Any, name: str, dtype: torch.dtype, shown: Undrawn) -> Any:
    """Return the scores of a classifier of torchvision for latents, float32 [classes].

    Args:
        network: the classifier.
        name: of it.
        dtype: of its weights.
        shown: the latents.

    Raises:
        ArgumentError: If the stem is another classifier's.
    """
    config = shown.stem.config
    if config.backbone != name:
        raise ArgumentError(f"the stem stands for layers of {config.backbone}, the model is {name}")
    features: nn.Sequential = network.features
    with torch.inference_mode():
        given = shown.stem(shown.y_hat[None]).to(dtype)
        late = replace_stem(features, nn.Identity(), config.first)
        found = network.classifier(late(given).mean((2, 3)))[0]
        return found.float().numpy()
