"""What tests of CompressAI's models share: a picture, codecs of ours, and CompressAI itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal import media
from quantal.codecs.compressai.codec import CompressaiCodec
from quantal.codecs.compressai.weights import read
from quantal.files import Target, encode_picture

Weights = Callable[[str], Path]
HYPER = "mbt2018-mean"
SEQUENTIAL = "mbt2018"


def load(architecture: str, weights: Weights) -> CompressaiCodec:
    codec = quantal.load(f"compressai/{architecture}", "cpu", weights(architecture))
    assert isinstance(codec, CompressaiCodec)
    return codec


def coded(codec: CompressaiCodec, picture: media.Picture, quality: int = 3) -> bytes:
    return encode_picture(picture, codec, Target(quality=quality)).data


@pytest.fixture(scope="session")
def picture(small_photograph: Image.Image) -> media.Picture:
    return media.from_image(small_photograph)


class CompressAI:
    """The same weights in CompressAI's own hands."""

    def __init__(self, architecture: str, weights: Weights, quality: int = 3) -> None:
        self.network = read(weights(architecture)).network
        self._options = {}
        if architecture.endswith("-vbr"):
            self._options = {"s": quality - 1}
            scale = self.network.Gain[quality - 1].detach().abs()
            self.network.update(force=True, scale=scale)

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> tuple[int, np.ndarray]:
        """Bytes of the strings, and the picture, float32 in 0..255."""
        height, width = pixels.shape[:2]
        multiple = self.network.downsampling_factor
        edges = ((0, -height % multiple), (0, -width % multiple), (0, 0))
        padded = torch.from_numpy(np.pad(pixels, edges, mode="edge"))
        x = padded.permute(2, 0, 1)[None].float() / 255
        out = self.network.compress(x, **self._options)
        drawn = self.network.decompress(out["strings"], out["shape"], **self._options)["x_hat"]
        size = sum(len(group[0]) for group in out["strings"])
        return size, drawn[0, :, :height, :width].permute(1, 2, 0).clamp(0, 1).numpy() * 255
