"""Frozen classifiers of torchvision that training asks about pictures.

Their weights are the user's own files, as torchvision publishes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from quantal.arguments import choice
from quantal.errors import ArgumentError, ModelError
from quantal.names import shown
from quantal.transforms.classifier import IMAGENET_MEAN, IMAGENET_SPREAD, folded

__all__ = ["FeatureDistance", "classifier", "normalisation"]

#: Mean squares below this count as this.
_LEAST_POWER = 1e-4


def classifier(name: str, weights: str, key: str = "objective.weights") -> nn.Module:
    """Return a classifier of torchvision with weights, in evaluation mode, without gradients.

    Args:
        name: of it, as "mobilenet_v2".
        weights: path to the file of its weights.
        key: the key of the recipe that names the file.

    Raises:
        ArgumentError: If there is no such classifier or no such file.
        ModelError: If the file holds something else.
    """
    from torchvision import models

    choice("classifier", name, models.list_models(models))
    net: nn.Module = models.get_model(name)
    if not weights:
        raise ArgumentError(f"a classifier needs weights; set `{key}` to those of {name}")
    path = Path(weights)
    if not path.is_file():
        raise ArgumentError(f"there is no file {shown(path)} of a classifier's weights")
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # pickles fail in many ways
        line = " ".join(str(error).split())[:200]
        raise ModelError(f"{shown(path)} holds no weights of {name}: {line}") from error
    return net.eval().requires_grad_(False)


def normalisation(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what is taken off pixels in 0..1, and by what they are divided, [3, 1, 1] each."""
    mean, spread = (
        torch.tensor(each, device=device)[:, None, None]
        for each in (IMAGENET_MEAN, IMAGENET_SPREAD)
    )
    return mean, spread


class FeatureDistance:
    """How far pictures are apart for a frozen classifier: the error of its features.

    It is the squared error of the features of some layers, of each in relation to its mean square
    over the batch (after the identity-preserving loss of learned codecs for faces, and Johnson et
    al., "Perceptual losses for real-time style transfer", 2016).

    Args:
        network: the classifier; its layers are its `features`.
        layers: whose outputs are compared.
        device: where it runs.

    Raises:
        ArgumentError: If it has no such layers.
    """

    def __init__(self, network: nn.Module, layers: Sequence[int], device: torch.device) -> None:
        features = getattr(network, "features", None)
        if not isinstance(features, nn.Sequential):
            raise ArgumentError(
                f"a {type(network).__name__} has no `features` in a row; name another classifier"
            )
        if not layers or any(not 0 <= layer < len(features) for layer in layers):
            raise ArgumentError(
                f"layers {[*layers]} of a classifier asked for, expected some of 0 to "
                f"{len(features) - 1}"
            )
        self.layers = frozenset(layers)
        self._layers: nn.Sequential = folded(deepcopy(features[: max(layers) + 1])).to(device)
        self._mean, self._spread = normalisation(device)

    def _features(self, pixels: Tensor) -> list[Tensor]:
        """Return the features of pixels [B, 3, H, W], in the order of layers."""
        x = (pixels - self._mean) / self._spread
        found = []
        for number, layer in enumerate(self._layers):
            x = layer(x)
            if number in self.layers:
                found.append(x)
        return found

    def __call__(self, drawn: Tensor, pixels: Tensor) -> Tensor:
        """Return distances [B], 0 for equal pictures and about 1 for unrelated ones.

        Args:
            drawn: pictures [B, 3, H, W] in about 0..1; gradients reach them.
            pixels: what they should be.
        """
        with torch.no_grad():
            known = self._features(pixels)
        total = torch.zeros(len(drawn), device=drawn.device)
        for found, true in zip(self._features(drawn), known, strict=True):
            # Over all channels and pictures: what is hardly used would outweigh all else.
            power = true.float().square().mean().clamp_min(_LEAST_POWER)
            total = total + (found - true).float().square().mean((1, 2, 3)) / power
        return total / len(known)
