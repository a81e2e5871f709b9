"""An analysis that begins as an existing classifier does: its first layers, then a few of its own.

The first layers of classifiers of torchvision are frozen: they are what a classifier sees, and what
is trained decides what of it is coded (after Matsubara et al., "Supervised compression for
resource-constrained edge computing systems", 2022).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from quantal.errors import ArgumentError, ModelError
from quantal.layers import GatedBlock
from quantal.transforms.klt import principal_components

__all__ = ["IMAGENET_MEAN", "IMAGENET_SPREAD", "ClassifierAnalysis", "folded"]

#: What torchvision's classifiers of ImageNet take off pixels in 0..1, and divide by.
IMAGENET_MEAN, IMAGENET_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: The root mean square of the first latent channel at the start.
_START = 0.3

Network = TypeVar("Network", bound=nn.Module)


def folded(network: Network, values: bool = True) -> Network:
    """Return a network whose batch normalisations are part of the convolutions before them.

    None of its layers changes what it is given any more.

    Args:
        network: is changed.
        values: whether weights follow; otherwise only what parameters there are, for a network
            whose weights are loaded later.
    """
    if hasattr(network, "inplace"):
        network.inplace = False  # type: ignore[assignment]
    for layer in network.children():
        folded(layer, values)
    for (name, layer), (after, norm) in pairwise(list(network.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            if values:
                setattr(network, name, fuse_conv_bn_eval(layer, norm))
            else:
                layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
            setattr(network, after, nn.Identity())
    return network


class ClassifierAnalysis(nn.Module):
    """Pixels [B, 3, H, W] in 0..1 to latents [B, M, H / 16, W / 16], H and W multiples of 16.

    Args:
        channels: M.
        backbone: name of a classifier of torchvision whose layers are its `features`.
        split: how many of them it begins with.
        blocks: gated blocks of M channels behind them.

    Attributes:
        stride: pixels per latent along each axis.
        seen: channels of the features.
        reach: how far a latent depends on its surroundings, in pixels; absent where layers look at
            the whole picture.

    Raises:
        ArgumentError: If there is no such classifier, or its layers don't fit.
    """

    stride = 16
    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int, backbone: str, split: int, blocks: int) -> None:
        super().__init__()
        layers = folded(_first_layers(backbone, split), values=False)
        convolutions = [each for each in layers.modules() if isinstance(each, nn.Conv2d)]
        jump, reach = _geometry(layers)
        if not convolutions or jump == 1 or self.stride % jump:
            raise ArgumentError(
                f"the first {split} layers of {backbone} give a feature for {jump} pixels, "
                "expected 2, 4, 8 or 16; take another `split`"
            )
        self.seen, self.fold = convolutions[-1].out_channels, self.stride // jump
        self.layers = _frozen(layers)
        for name, values in (("mean", IMAGENET_MEAN), ("spread", IMAGENET_SPREAD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.enter = nn.Conv2d(self.seen * self.fold**2, channels, 1)
        self.refine = nn.Sequential(*(GatedBlock(channels) for _ in range(blocks)))
        if reach is not None:
            self.reach = reach + self.stride * GatedBlock.reach * blocks

    def train(self, mode: bool = True) -> ClassifierAnalysis:
        """Set the mode of what is trained; the classifier's layers stay in evaluation mode."""
        super().train(mode)
        self.layers.eval()
        return self

    def features(self, pixels: Tensor) -> Tensor:
        """Return what the classifier's layers give for pixels.

        Raises:
            ModelError: If that has not the expected shape.
        """
        found: Tensor = self.layers((pixels - self.mean) / self.spread)
        rows, columns = (self.fold * side // self.stride for side in pixels.shape[-2:])
        if found.shape[1:] != (self.seen, rows, columns):
            raise ModelError(
                f"layers of a classifier give {[*found.shape[1:]]} for a picture of "
                f"{[*pixels.shape[1:]]}, expected {[self.seen, rows, columns]}"
            )
        return found

    def code(self, features: Tensor) -> Tensor:
        """Return latents for features() [B, C, h, w]."""
        latents: Tensor = self.refine(self.enter(F.pixel_unshuffle(features, self.fold)))
        return latents

    def forward(self, pixels: Tensor) -> Tensor:
        return self.code(self.features(pixels))

    @torch.no_grad()
    def start_from(self, features: Tensor) -> Tensor:
        """Start as the KLT of features() [B, C, h, w]; return root mean squares of latents [M]."""
        together = F.pixel_unshuffle(features, self.fold)
        # Features are far from zero on average, which a latent would have to say in each position.
        mean = together.mean((0, 2, 3), keepdim=True)
        rows, rms = principal_components(together - mean, self.enter.out_channels)
        scale = _START / float(rms[0].clamp_min(1e-6))
        rows = rows[:, :, None, None] * scale
        self.enter.weight.copy_(rows)
        if self.enter.bias is not None:
            self.enter.bias.copy_(-F.conv2d(mean, rows).flatten())
        for block in self.refine.modules():
            if isinstance(block, GatedBlock):
                block.start_as_identity()
        return rms * scale


def _first_layers(backbone: str, split: int) -> nn.Sequential:
    """Return the first layers of a classifier of torchvision, untrained."""
    from torchvision import models

    if backbone not in models.list_models(models):
        raise ArgumentError(f"torchvision has no classifier {backbone!r}")
    layers = getattr(models.get_model(backbone), "features", None)
    if not isinstance(layers, nn.Sequential):
        raise ArgumentError(f"{backbone} has no `features`; take a classifier such as mobilenet_v2")
    if not 0 < split < len(layers):
        raise ArgumentError(f"{backbone} has {len(layers)} layers, of which {split} were asked for")
    return layers[:split]


def _geometry(layers: nn.Module) -> tuple[int, int | None]:
    """Return the pixels for one feature along each axis, and an upper bound of the reach.

    Layers count as if each followed the one before; the reach is None if there is none.
    """
    jump, reach = 1, 0
    whole = False
    for layer in layers.modules():
        whole |= isinstance(layer, nn.AdaptiveAvgPool2d)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride = (
                value if isinstance(value, int) else value[0]
                for value in (layer.kernel_size, layer.stride)
            )
            reach += (kernel - 1) * jump
            jump *= stride
    return jump, None if whole else reach


def _frozen(network: Network) -> Network:
    """Turn the parameters of a network into buffers, which no optimiser changes."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.data)
    return network
