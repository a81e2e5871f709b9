"""Compiled loops and numpy's write the same bytes, and read each other's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from quantal.codecs.synthetic import decode_layer, encode_layer
from quantal.codecs.synthetic.logistic import compiled_loops


@contextmanager
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        patch.delitem(sys.modules, "quantal.codecs.synthetic.loops", raising=False)
        patch.delattr("quantal.codecs.synthetic.loops", raising=False)
        compiled_loops.cache_clear()
        assert compiled_loops() is None
        yield
    compiled_loops.cache_clear()


def screen() -> np.ndarray:
    """Return flat areas, repeats, and noise of many and of few colours, uint8 [176, 160, 3]."""
    random = np.random.default_rng(5)
    pixels = np.full((176, 160, 3), 240, np.uint8)
    letters = random.integers(0, 2, (4, 16, 8)) * np.uint8(200)
    for row in range(0, 64, 16):
        for column in range(0, 160, 8):
            pixels[row : row + 16, column : column + 8] = letters[random.integers(4)][..., None]
    pixels[80:112, :96] = random.integers(0, 256, (32, 96, 3))
    # So many decisions of a kind in a front that counters are halved.
    pixels[112:] = random.choice([0, 9, 200], (64, 160, 1), p=[0.9, 0.05, 0.05])
    pixels[112:, :60] += (np.arange(60) * 3).astype(np.uint8)[None, :, None]
    return pixels


@pytest.mark.parametrize("price", [0, 300])
def test_numpy_writes_and_reads_what_compiled_loops_do(
    monkeypatch: pytest.MonkeyPatch, price: float
) -> None:
    pytest.importorskip("numba", reason="compiled loops need Numba")
    pixels, tiles = screen(), np.ones((11, 10), np.bool_)
    assert compiled_loops() is not None
    data, drawn = encode_layer(pixels, tiles, price)
    with without_numba(monkeypatch):
        plain, _ = encode_layer(pixels, tiles, price)
        found = decode_layer(data, 160, 176)[1]
    assert plain == data
    assert (found == drawn).all()
    assert (decode_layer(data, 160, 176)[1] == drawn).all()
    assert price or (drawn == pixels).all()
