"""A picture of several windows and several bands is coded as if there were neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import quantal
from quantal.codecs.pyramid.codec import STRIDE, PyramidCodec
from quantal.entropy import FrozenModel
from quantal.entropy.frozen import context, hyperprior
from quantal.entropy.walk import Writing

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, RATE = 2090, 2205, 150


@pytest.fixture(
    scope="module", params=[4, pytest.param(1, marks=pytest.mark.thorough)], ids=["quarter", "full"]
)
def smaller(request: pytest.FixtureRequest) -> Iterator[int]:
    """By how much a picture, its windows and its bands are smaller than those of large pictures.

    `make test-all` codes one of full size too, whose windows and bands are those of the format.
    """
    divisor: int = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PyramidCodec, "core", PyramidCodec.core // divisor)
        patch.setattr(FrozenModel, "core", FrozenModel.core // divisor)
        for module, name in ((hyperprior, "BAND_POSITIONS"), (context, "BAND_CELLS")):
            patch.setattr(module, name, getattr(module, name) // divisor**2)
        yield divisor


@pytest.fixture(scope="module")
def size(smaller: int) -> tuple[int, int]:
    """Width and height."""
    return WIDTH // smaller, HEIGHT // smaller


@pytest.fixture(scope="module")
def pixels(size: tuple[int, int]) -> np.ndarray:
    """Slopes, edges and grain: 131 x 138 latents or 33 x 35, which no core or band divides."""
    width, height = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    plane = 128 + 50 * np.sin(x / 37) * np.cos(y / 53) + 40 * ((x // 96 + y // 64) % 2)
    plane += np.random.default_rng(1).normal(0, 4, plane.shape)
    return np.stack([plane, 255 - plane, 40 + plane / 2], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=["hyperprior", "context-m"])
def codec(request: pytest.FixtureRequest) -> PyramidCodec:
    loaded = quantal.load(request.param, "cpu")
    assert isinstance(loaded, PyramidCodec)
    return loaded


@pytest.fixture(scope="module")
def latents(codec: PyramidCodec, pixels: np.ndarray) -> np.ndarray:
    assert min(pixels.shape[:2]) > PyramidCodec.core * STRIDE
    return codec.analyse(pixels)


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, a picture is one window."""

    def patch() -> None:
        monkeypatch.setattr(PyramidCodec, "core", 1 << 20)
        monkeypatch.setattr(FrozenModel, "core", 1 << 20)

    return patch


def test_windows_leave_no_seam_in_the_latents(codec, pixels, latents, one_window) -> None:
    one_window()
    whole = codec.analyse(pixels)
    assert np.allclose(latents, whole, rtol=0, atol=1e-4 * float(np.abs(whole).max()))


def test_every_symbol_comes_back(codec, latents, size) -> None:
    """They are written band by band, for each step of a context codec anew."""
    batches: list[np.ndarray] = []
    model = codec.entropy
    writing = Writing(model.latents(latents, RATE / 4), observer=lambda _, s: batches.append(s))
    model.walk(writing, *latents.shape[1:], RATE / 4)
    symbols = codec.parse(codec.encode(latents, RATE), *size, RATE)
    put = model.split(writing.symbols)
    assert all(np.array_equal(a, b) for a, b in zip(put, symbols, strict=True))
    assert len(batches) > len(symbols)
    assert sum(map(len, batches)) == sum(part.size for part in symbols)


def test_windows_leave_no_seam_in_the_picture(codec, latents, size, one_window) -> None:
    symbols = codec.parse(codec.encode(latents, RATE), *size, RATE)
    drawn = codec.synthesise(codec.dequantise(symbols, *size, RATE))
    one_window()
    whole = codec.synthesise(codec.dequantise(symbols, *size, RATE))
    assert drawn.shape == (*size[::-1], 3)
    difference = np.abs(drawn.astype(np.int16) - whole)
    # Sums taken in another order round another way now and then; a seam would be more.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
