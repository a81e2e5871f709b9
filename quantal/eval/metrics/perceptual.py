"""LPIPS and DISTS: distances between features of two pictures in trained networks.

LPIPS is that of the package lpips; DISTS is implemented here after its paper. Both use pictures at
full size. weights.py finds the networks' weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from quantal.errors import ArgumentError
from quantal.eval._optional import require
from quantal.eval.metrics import weights as files
from quantal.eval.metrics.base import Measure

__all__ = ["dists", "lpips_alex", "lpips_vgg"]

#: Computes feature maps [1, C, H, W], one per stage, of pixels [H, W, 3].
Features: TypeAlias = Callable[[NDArray[Any]], Iterable[Tensor]]

_DISTS_URL = "https://github.com/photosynthesis-team/piq/releases/download/v0.4.1/dists_weights.pt"
#: The convolutions between two poolings of VGG-16, by their numbers in torchvision's `features`.
_VGG_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
#: Pixels of the largest picture whose features are cached: 1 GB with VGG-16.
_MOST_KEPT = 1 << 21
_IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
_IMAGENET_DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def lpips_alex(weights: Path | None = None) -> Measure:
    """Return the measure of LPIPS 0.1 with AlexNet (Zhang et al. 2018), 0 for equal pictures."""
    return _lpips("lpips", "alex", "alexnet", weights)


def lpips_vgg(weights: Path | None = None) -> Measure:
    """Return the measure of LPIPS 0.1 with VGG-16 (Zhang et al. 2018), 0 for equal pictures."""
    return _lpips("lpips-vgg", "vgg", "vgg16", weights)


def _lpips(name: str, net: str, backbone: str, folder: Path | None) -> Measure:
    purpose = f"metric {name!r}"
    package = require("lpips", purpose)
    heads = torch.load(
        Path(package.__file__).parent / "weights" / "v0.1" / f"{net}.pth",
        map_location="cpu",
        weights_only=True,
    )
    convolutions = files.convolutions(backbone, folder, purpose)
    # On "meta" nothing is allocated or initialised, not even VGG's classifier of 0.5 GB.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips uses a deprecated API of torchvision
        model = package.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    try:
        state = {
            f"net.{key}": convolutions[f"features.{key.partition('.')[2]}"]
            for key in model.net.state_dict()
        }
        model.load_state_dict(heads | state, strict=False, assign=True)
    except (KeyError, RuntimeError) as error:
        raise _misfit(purpose, backbone, error) from error
    model.requires_grad_(False).eval()

    def features(pixels: NDArray[Any]) -> Iterator[Tensor]:
        """Return the maps of each stage, normalised to length 1 over channels."""
        stages = model.net(model.scaling_layer(_tensor(pixels) / 127.5 - 1))
        return map(package.normalize_tensor, stages)

    known = _remembering(features)

    @torch.inference_mode()
    def measure(original: NDArray[Any], decoded: NDArray[Any]) -> float:
        pairs = zip(model.lins, known(original), features(decoded), strict=True)
        return float(sum(head((x - y) ** 2).mean((2, 3)) for head, x, y in pairs))

    return measure


def dists(weights: Path | None = None) -> Measure:
    """Return the measure of DISTS, 0 for equal pictures.

    Source: Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity"
    (2020). It needs VGG-16 and its own weights alpha and beta, a file dists*.pt.
    """
    purpose = "metric 'dists'"
    convolutions = files.convolutions("vgg16", weights, purpose)
    importance = files.load("dists", weights, _DISTS_URL, purpose)
    try:
        stages = [
            [(convolutions[f"features.{n}.weight"], convolutions[f"features.{n}.bias"]) for n in s]
            for s in _VGG_STAGES
        ]
        total = importance["alpha"].sum() + importance["beta"].sum()
        channels = [3, *(len(stage[-1][1]) for stage in stages)]
        alphas = (importance["alpha"] / total).flatten().split(channels)
        betas = (importance["beta"] / total).flatten().split(channels)
    except (KeyError, RuntimeError) as error:
        raise _misfit(purpose, "vgg16 and dists", error) from error

    def features(pixels: NDArray[Any]) -> Iterator[Tensor]:
        """Yield the picture itself, then the maps of each stage."""
        maps = _tensor(pixels) / 255
        yield maps
        maps = (maps - _IMAGENET_MEAN) / _IMAGENET_DEVIATION
        for number, stage in enumerate(stages):
            if number:
                maps = _l2_pool(maps)
            for weight, bias in stage:
                maps = F.conv2d(maps, weight, bias, padding=1).relu_()
            yield maps

    known = _remembering(features)

    @torch.inference_mode()
    def measure(original: NDArray[Any], decoded: NDArray[Any]) -> float:
        pairs = zip(known(original), features(decoded), alphas, betas, strict=True)
        return 1 - sum(_similarity(*each) for each in pairs)

    return measure


def _remembering(features: Features) -> Features:
    """Cache the features of the last picture, since many decoded pictures have one original.

    Features of large pictures are not cached.
    """
    last: tuple[NDArray[Any], tuple[Tensor, ...]] | None = None

    def known(picture: NDArray[Any]) -> Iterable[Tensor]:
        nonlocal last
        if last is None or not np.array_equal(last[0], picture):
            last = None  # frees memory before the next features are computed
            if picture.shape[0] * picture.shape[1] > _MOST_KEPT:
                return features(picture)
            last = picture.copy(), tuple(features(picture))
        return last[1]

    return known


def _similarity(x: Tensor, y: Tensor, alpha: Tensor, beta: Tensor) -> float:
    """Return the weighted similarity of two maps [1, C, H, W].

    alpha [C]: weights of means (texture); beta [C]: weights of correlations (structure).
    """
    c = 1e-6
    x, y = x[0].flatten(1), y[0].flatten(1)
    x_mean, y_mean = x.mean(1), y.mean(1)
    texture = (2 * x_mean * y_mean + c) / (x_mean.square() + y_mean.square() + c)
    x, y = x - x_mean[:, None], y - y_mean[:, None]
    variances = x.square().mean(1) + y.square().mean(1)
    structure = (2 * (x * y).mean(1) + c) / (variances + c)
    return float(alpha @ texture + beta @ structure)


def _l2_pool(x: Tensor) -> Tensor:
    """Downsample maps [1, C, H, W] by 2: L2 pooling with a 3x3 Hann window."""
    hann = torch.tensor([0.25, 0.5, 0.25])
    window = torch.outer(hann, hann).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1]).add_(1e-12).sqrt_()


def _misfit(purpose: str, network: str, error: Exception) -> ArgumentError:
    return ArgumentError(f"{purpose}: the weights {network} are not the expected ones: {error}")


def _tensor(pixels: NDArray[Any]) -> Tensor:
    """Return pixels [H, W, 3] as [1, 3, H, W], float32, 0..255."""
    return torch.tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float()[None]
