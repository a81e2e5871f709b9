"""Pairs of pictures, and random weights of networks with a fixed seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

SHARED = Path(__file__).parents[4] / "shared" / "data" / "perceptual"
VGG_CONVOLUTIONS = (  # number in torchvision's `features`, channels in and out
    *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256)),
    *((14, 256, 256), (17, 256, 512), *((n, 512, 512) for n in (19, 21, 24, 26, 28))),
)


@pytest.fixture(scope="session")
def original() -> NDArray[np.uint8]:
    """A photograph [256, 320, 3]."""
    return np.ascontiguousarray(data.astronaut()[:256, 80:400])


@pytest.fixture(scope="session")
def decoded(original: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same with 16 levels a channel and its columns smeared."""
    coarse = original // 16 * 16 + 8
    return ((coarse.astype(np.uint16) + np.roll(coarse, 1, axis=1)) // 2).astype(np.uint8)


@pytest.fixture(scope="session")
def alexnet_weights() -> Path:
    """A folder with the real AlexNet."""
    if not SHARED.exists():
        pytest.skip("needs ../shared/data/perceptual, the weights of AlexNet")
    return SHARED


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights for VGG-16 and DISTS, in the form of the real ones."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    vgg: dict[str, Any] = {"classifier.0.weight": normal(1)}  # not a convolution
    for number, channels_in, channels_out in VGG_CONVOLUTIONS:
        weight = normal(channels_out, channels_in, 3, 3) * (2 / (9 * channels_in)) ** 0.5
        vgg[f"features.{number}.weight"] = weight
        vgg[f"features.{number}.bias"] = normal(channels_out) * 0.1
    save_file(vgg, folder / "vgg16_random.safetensors")
    importance = {name: normal(1, 1475, 1, 1).abs() for name in ("alpha", "beta")}
    torch.save(importance, folder / "dists_random.pt")
    return folder
