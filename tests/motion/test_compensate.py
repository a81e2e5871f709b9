"""Motion compensation in numpy: what training does with tensors, at borders too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quantal.motion import compensated, interpolated
from quantal.transforms.warp import warp

#: Height and width: one block, one row or column of them, more than go through filters at once.
SIZES = ((8, 8), (8, 40), (48, 8), (40, 64), (264, 272))
#: The largest vector of a field, in quarter pixels: within a block, beyond a border, any.
REACHES = (3, 60, 32767)


def by_training(reference: np.ndarray, field: np.ndarray) -> np.ndarray:
    return warp(torch.from_numpy(reference)[None], torch.from_numpy(field)[None])[0].numpy()


def random_frame(height: int, width: int) -> np.ndarray:
    """Noise float32 [3, H, W] in 0..255: an error at any pixel shows."""
    return np.random.default_rng(height + width).uniform(0, 255, (3, height, width)).astype("f4")


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("size", SIZES)
def test_a_field_moves_a_frame_as_in_training(size, reach) -> None:
    frame = random_frame(*size)
    rng = np.random.default_rng(reach)
    shape = (2, size[0] // 8, size[1] // 8)
    field = rng.integers(-reach - 1, reach + 1, shape).astype(np.int16)
    found = compensated(frame, field)
    assert found.dtype == np.float32 and found.shape == frame.shape
    assert np.abs(found - by_training(frame, field)).max() < 1e-4


@pytest.mark.parametrize("dx, dy", [(x, y) for x in range(-1, 4) for y in (-6, 0, 1, 2, 3)])
def test_every_phase_is_that_of_training(dx: int, dy: int) -> None:
    frame = random_frame(24, 32)
    field = np.empty((2, 3, 4), np.int16)
    field[0], field[1] = dx, dy
    assert np.abs(compensated(frame, field) - by_training(frame, field)).max() < 1e-4


def test_what_does_not_move_is_copied() -> None:
    frame = random_frame(40, 64)
    assert np.array_equal(compensated(frame, np.zeros((2, 5, 8), np.int16)), frame)
    one = np.zeros((2, 5, 8), np.int16)
    one[:, 0, 0] = 5
    found = compensated(frame, one)
    assert np.array_equal(found[:, 16:, 16:], frame[:, 16:, 16:])
    assert not np.array_equal(found[:, :12, :12], frame[:, :12, :12])


def test_the_frame_is_left_as_it_was() -> None:
    frame = random_frame(16, 24)
    before = frame.copy()
    compensated(frame, np.full((2, 2, 3), 7, np.int16))
    assert np.array_equal(frame, before)


def test_planes_of_pixels_with_their_channels_last_are_taken() -> None:
    """Codecs pass pixels [H, W, 3] whose axes are turned, not copied."""
    frame = random_frame(24, 16)
    last = np.ascontiguousarray(frame.transpose(1, 2, 0)).transpose(2, 0, 1)
    field = np.random.default_rng(2).integers(-30, 30, (2, 3, 2)).astype(np.int16)
    assert np.array_equal(compensated(last, field), compensated(frame, field))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("phase", range(4))
def test_a_plane_between_its_pixels_is_that_of_an_even_field(phase: int, axis: int) -> None:
    frame = random_frame(40, 24)
    field = np.zeros((2, 5, 3), np.int16)
    field[1 - axis] = phase  # x comes first in a field
    moved = by_training(frame, field)
    for plane, expected in zip(frame, moved, strict=True):
        found = interpolated(plane, phase, axis)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-4
