"""A picture of several windows and several bands is coded as if there were neither."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import quantal
from quantal.codecs._pyramid import STRIDE, PyramidCodec
from quantal.codecs.hyperprior import Hyperprior, bands

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, RATE = 2090, 2205, 150


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Slopes, edges and grain: 131 x 138 latents, which no stride, core or band divides."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    plane = 128 + 50 * np.sin(x / 37) * np.cos(y / 53) + 40 * ((x // 96 + y // 64) % 2)
    plane += np.random.default_rng(1).normal(0, 4, plane.shape)
    return np.stack([plane, 255 - plane, 40 + plane / 2], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def codec() -> Hyperprior:
    loaded = quantal.load(device="cpu")
    assert isinstance(loaded, Hyperprior)
    return loaded


@pytest.fixture(scope="module")
def latents(codec: Hyperprior, pixels: np.ndarray) -> torch.Tensor:
    assert max(pixels.shape) > PyramidCodec.core * STRIDE
    return codec.analyse(pixels)


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(PyramidCodec, "core", 1 << 20)
    yield


def test_windows_leave_no_seam_in_the_latents(
    codec: Hyperprior, pixels: np.ndarray, latents: torch.Tensor, one_window: None
) -> None:
    whole = codec.analyse(pixels)
    assert torch.allclose(latents, whole, rtol=0, atol=1e-4 * float(whole.abs().max()))


def test_every_symbol_comes_back_and_windows_leave_no_seam_in_the_picture(
    codec: Hyperprior, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(bands(*latents.shape[-2:]))) > 1
    written = [torch.from_numpy(symbols.copy()) for symbols, _, _ in codec._coded(latents, RATE)]
    z, y = codec.parse(codec.encode(latents, RATE), WIDTH, HEIGHT, RATE)
    assert torch.equal(z.flatten(), written[0])
    for band, symbols in zip(bands(*y.shape[1:]), written[1:], strict=True):
        assert torch.equal(y[:, slice(*band)].flatten(), symbols)

    drawn = codec.synthesise(codec.dequantise([z, y], WIDTH, HEIGHT, RATE))
    monkeypatch.setattr(PyramidCodec, "core", 1 << 20)
    whole = codec.synthesise(codec.dequantise([z, y], WIDTH, HEIGHT, RATE))
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    difference = np.abs(drawn.astype(np.int16) - whole)
    # Sums taken in another order round another way now and then; a seam would be more.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
