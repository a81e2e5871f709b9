"""A codec does the same in whatever mode of torch it is called, whatever becomes of its file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal.codecs.contract import Codec

sys.path.insert(0, str(Path(__file__).parent))

from small import write_small


@pytest.fixture(params=["hyperprior", "context-m"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return quantal.load(request.param, "cpu")


@pytest.mark.parametrize("effort", [0, 1])
def test_files_are_the_same_in_inference_mode(codec, effort, small_photograph) -> None:
    plain = codec.compress(small_photograph, effort=effort)
    with torch.inference_mode():
        assert codec.compress(small_photograph, effort=effort) == plain


def test_autocast_around_a_codec_changes_nothing(codec, small_photograph) -> None:
    plain = codec.compress(small_photograph, quality=95)
    drawn = np.asarray(codec.decompress(plain))
    with torch.autocast("cpu", torch.bfloat16):
        assert codec.compress(small_photograph, quality=95) == plain
        assert np.array_equal(np.asarray(codec.decompress(plain)), drawn)


@pytest.mark.parametrize("size", [(64, 64), (70, 90)])
def test_models_can_be_trained_on_latents(codec, size, small_photograph) -> None:
    latents = codec.latents(codec.compress(small_photograph.crop((0, 0, *size))))
    for part in (latents.y_hat, latents.z_hat):
        layer = torch.nn.Conv2d(part.shape[0], 1, 1)
        layer(torch.from_numpy(part)[None]).sum().backward()
        assert layer.weight.grad is not None


def test_a_codec_outlives_its_file(tmp_path: Path, small_photograph: Image.Image) -> None:
    weights = write_small(tmp_path / "w.safetensors", "core", True)
    codec = quantal.load("context-s", "cpu", weights=weights)
    before = codec.compress(small_photograph)
    other = write_small(tmp_path / "other.safetensors", "places", True)
    shutil.copyfile(other, weights)
    weights.write_bytes(weights.read_bytes()[:100])
    assert codec.compress(small_photograph) == before
