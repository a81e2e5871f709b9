"""A picture of several windows and several bands is coded as if there were neither."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import quantal
from quantal.codecs import context, hyperprior
from quantal.codecs.hyperprior import Hyperprior
from quantal.codecs.pyramid.codec import STRIDE, PyramidCodec

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, RATE = 2090, 2205, 150


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Slopes, edges and grain: 131 x 138 latents, which no stride, core or band divides."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    plane = 128 + 50 * np.sin(x / 37) * np.cos(y / 53) + 40 * ((x // 96 + y // 64) % 2)
    plane += np.random.default_rng(1).normal(0, 4, plane.shape)
    return np.stack([plane, 255 - plane, 40 + plane / 2], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=["hyperprior", "context-m"])
def codec(request: pytest.FixtureRequest) -> PyramidCodec:
    loaded = quantal.load(request.param, "cpu")
    assert isinstance(loaded, PyramidCodec)
    return loaded


@pytest.fixture(scope="module")
def latents(codec: PyramidCodec, pixels: np.ndarray) -> torch.Tensor:
    assert max(pixels.shape) > PyramidCodec.core * STRIDE
    return codec.analyse(pixels)


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, a picture is one window."""
    return lambda: monkeypatch.setattr(PyramidCodec, "core", 1 << 20)


def test_windows_leave_no_seam_in_the_latents(codec, pixels, latents, one_window) -> None:
    one_window()
    whole = codec.analyse(pixels)
    assert torch.allclose(latents, whole, rtol=0, atol=1e-4 * float(whole.abs().max()))


def test_every_symbol_comes_back(codec, latents) -> None:
    """They are written band by band, for each step of a context codec anew."""
    written = [torch.from_numpy(symbols.copy()) for symbols, _, _ in codec._coded(latents, RATE)]
    symbols = codec.parse(codec.encode(latents, RATE), WIDTH, HEIGHT, RATE)
    assert torch.equal(symbols[0].flatten(), written[0])
    if isinstance(codec, Hyperprior):
        cuts = [hyperprior.bands(*latents.shape[-2:])]
    else:
        cuts = [context.bands(*part.shape[1:]) for part in symbols[1:]]
    taken = [
        part[:, band].flatten()
        for part, bands in zip(symbols[1:], cuts, strict=True)
        for band in bands
    ]
    assert len(taken) > len(cuts)
    assert all(torch.equal(a, b) for a, b in zip(taken, written[1:], strict=True))


def test_windows_leave_no_seam_in_the_picture(codec, latents, one_window) -> None:
    symbols = codec.parse(codec.encode(latents, RATE), WIDTH, HEIGHT, RATE)
    drawn = codec.synthesise(codec.dequantise(symbols, WIDTH, HEIGHT, RATE))
    one_window()
    whole = codec.synthesise(codec.dequantise(symbols, WIDTH, HEIGHT, RATE))
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    difference = np.abs(drawn.astype(np.int16) - whole)
    # Sums taken in another order round another way now and then; a seam would be more.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
