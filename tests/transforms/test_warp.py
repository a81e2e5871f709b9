"""Motion compensation: whole and fractional vectors, borders, overlap."""

from __future__ import annotations

import pytest
import torch

from quantal.errors import ArgumentError
from quantal.transforms.warp import warp


def smooth(height: int = 48, width: int = 64, dx: float = 0.0, dy: float = 0.0) -> torch.Tensor:
    """A picture of slow waves, seen from a place that is moved by (dx, dy)."""
    rows = torch.arange(height)[:, None] + dy
    columns = torch.arange(width) + dx
    waves = torch.sin(columns / 5) * torch.cos(rows / 7) + torch.sin((columns + rows) / 9)
    return torch.stack((waves, waves.flip(0) * 0 + torch.cos(columns / 6 + rows / 8), waves * 0.5))


def constant(dx: int, dy: int, height: int = 48, width: int = 64) -> torch.Tensor:
    field = torch.empty(1, 2, height // 8, width // 8, dtype=torch.int16)
    field[:, 0], field[:, 1] = dx, dy
    return field


def test_no_motion_changes_nothing() -> None:
    picture = torch.rand(2, 3, 16, 24)
    assert torch.equal(warp(picture, torch.zeros(2, 2, 2, 3, dtype=torch.int16)), picture)


@pytest.mark.parametrize("whole", [(1, 0), (0, 2), (-3, 1), (5, -4)])
def test_whole_pixels_are_copied(whole) -> None:
    dx, dy = whole
    picture = torch.rand(1, 3, 48, 64)
    moved = warp(picture, constant(4 * dx, 4 * dy))
    expected = torch.roll(picture, (-dy, -dx), (2, 3))
    inside = (..., slice(5, -5), slice(5, -5))
    assert torch.equal(moved[inside], expected[inside])


@pytest.mark.parametrize("dx", range(4))
@pytest.mark.parametrize("dy", range(4))
def test_fractions_are_interpolated(dx, dy) -> None:
    moved = warp(smooth()[None], constant(dx, dy))[0]
    expected = smooth(dx=dx / 4, dy=dy / 4)
    inside = (..., slice(5, -5), slice(5, -5))
    assert (moved[inside] - expected[inside]).abs().max() < 0.01


def test_beyond_the_border_the_edge_goes_on() -> None:
    picture = torch.rand(1, 3, 16, 16)
    moved = warp(picture, constant(-4 * 1000, 0, 16, 16))
    assert torch.allclose(moved, picture[..., :1].expand_as(picture))
    assert torch.isfinite(warp(picture, constant(32767, -32768, 16, 16))).all()
    # Half inside: as if the picture had been larger from the beginning.
    larger = torch.nn.functional.pad(picture, (16,) * 4, mode="replicate")
    inside = warp(larger, constant(-37, 22, 48, 48))[..., 16:32, 16:32]
    assert torch.allclose(warp(picture, constant(-37, 22, 16, 16)), inside, atol=1e-6)


def test_autocast_changes_nothing() -> None:
    torch.manual_seed(2)
    picture, field = torch.rand(1, 3, 24, 32), torch.randint(-20, 20, (1, 2, 3, 4))
    expected = warp(picture, field)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(warp(picture, field), expected)


def test_each_of_a_batch_has_its_own_field() -> None:
    pictures = torch.rand(2, 3, 24, 24)
    field = torch.randint(-20, 20, (2, 2, 3, 3), dtype=torch.int16)
    both = warp(pictures, field)
    for number in range(2):
        part = slice(number, number + 1)
        assert torch.allclose(both[part], warp(pictures[part], field[part]), atol=1e-6)


def test_a_block_takes_part_in_its_neighbours() -> None:
    ramp = torch.arange(32.0).expand(1, 3, 24, 32)
    field = torch.zeros(1, 2, 3, 4, dtype=torch.int16)
    field[:, 0, :, 2:] = 16
    moved = warp(ramp, field)[0, 0, 12] - ramp[0, 0, 12]
    parts = torch.tensor([1.0, 3, 5, 7]) / 24
    assert torch.allclose(moved[12:16], 4 * parts)
    assert torch.allclose(moved[16:20], 4 * (1 - parts.flip(0)))
    assert torch.equal(moved[:12], torch.zeros(12)) and torch.allclose(
        moved[20:28], torch.tensor(4.0)
    )


def test_above_and_below_count_as_left_and_right() -> None:
    torch.manual_seed(1)
    picture, field = torch.rand(1, 3, 32, 24), torch.randint(-20, 20, (1, 2, 4, 3))
    turned = warp(picture.transpose(2, 3), field.flip(1).transpose(2, 3)).transpose(2, 3)
    assert torch.allclose(warp(picture, field), turned, atol=1e-5)


@pytest.mark.parametrize(
    ("picture", "field"), [((1, 3, 16, 16), (1, 2, 2, 3)), ((1, 3, 20, 16), (1, 2, 2, 2))]
)
def test_what_does_not_fit_is_refused(picture, field) -> None:
    with pytest.raises(ArgumentError, match="field"):
        warp(torch.zeros(picture), torch.zeros(field, dtype=torch.int16))
