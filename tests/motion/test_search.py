"""The search for motion: sign, units and sizes of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from quantal.errors import ArgumentError
from quantal.motion import Search, crf_of
from quantal.motion._search import _fill

RNG = np.random.default_rng(3)


def texture(height: int, width: int, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    """A picture of waves in many directions, seen from a place that is moved by (dx, dy)."""
    rows, columns = np.arange(height)[:, None] + dy, np.arange(width) + dx
    rng = np.random.default_rng(1)
    waves = np.zeros((height, width))
    for _ in range(24):
        across, down = rng.uniform(-0.7, 0.7, 2)
        waves += np.sin(across * columns + down * rows + rng.uniform(0, 6))
    grey = np.clip(128 + 12 * waves, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("move", [(0, 0), (3, 0), (0, -2), (1.5, 0.5), (-0.25, 0.75)])
def test_the_motion_of_a_shifted_picture_is_found(move) -> None:
    dx, dy = move
    with Search(96, 64, 20) as search:
        first = search.next(texture(64, 96))
        second = search.next(texture(64, 96, dx, dy))
    assert not first.any()
    inside = second[:, 1:-1, 1:-1].reshape(2, -1)
    near = (np.abs(inside - np.array([[4 * dx], [4 * dy]])) <= 1).all(0)
    assert near.mean() > 0.8


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 16), (33, 50), (175, 143)])
def test_any_size_has_a_vector_for_every_block(size) -> None:
    width, height = size
    with Search(width, height) as search:
        for _ in range(3):
            field = search.next(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))
            assert field.dtype == np.int16
            assert field.shape == (2, -(-height // 8), -(-width // 8))


def test_the_same_frames_have_the_same_motion() -> None:
    frames = [texture(48, 64, k * 0.7, k * 0.3) for k in range(4)]
    found = []
    for _ in range(2):
        with Search(64, 48, 30) as search:
            found.append(np.stack([search.next(frame) for frame in frames]))
    assert np.array_equal(*found)


def test_the_crf_follows_the_rate() -> None:
    values = [crf_of(rate) for rate in range(0, 253, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] <= 40 and values[-1] >= 16


def test_a_frame_of_another_size_is_refused() -> None:
    with Search(32, 32) as search, pytest.raises(ArgumentError, match="expected uint8"):
        search.next(np.zeros((32, 40, 3), np.uint8))


def test_blocks_without_a_vector_take_those_around() -> None:
    field = np.zeros((2, 5, 20), np.int16)
    field[:, :, :2] = np.array([12, -7]).reshape(2, 1, 1)
    field[:, 0, 0] = 500
    known = np.zeros((5, 20), np.bool_)
    known[:, :2] = True
    _fill(field, known)
    assert (field[:, :, 2:6] == np.array([12, -7]).reshape(2, 1, 1)).all()
    assert not field[:, :, 6:].any()


def test_a_scene_cut_has_vectors() -> None:
    with Search(64, 48) as search:
        for _ in range(3):
            frame = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            assert np.abs(search.next(frame)).max() < 1 << 13


def test_a_closed_search_is_refused() -> None:
    search = Search(32, 32)
    search.close()
    with pytest.raises(ArgumentError, match="closed"):
        search.next(np.zeros((32, 32, 3), np.uint8))
