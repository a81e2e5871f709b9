"""Window attention is what it says, position by position: nobody sees past a window's edge."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from quantal.errors import ArgumentError
from quantal.transforms.attention import NORM_START, DistanceBias, WindowAttentionBlock


def block(channels=8, heads=2, window=4, shift=2, seed=0) -> WindowAttentionBlock:
    """A block whose branches are as large as its input, so that what it does shows."""
    torch.manual_seed(seed)
    made = WindowAttentionBlock(channels, heads, window, shift).eval()
    made.start_at(torch.full((channels,), 1 / NORM_START))
    nn.init.uniform_(made.log_factor, 0, 6)
    return made


@torch.no_grad()
def one_by_one(made: WindowAttentionBlock, x: Tensor) -> Tensor:
    """The block's result for x [C, H, W], one position and one head at a time."""
    channels, height, width = x.shape
    size = channels // made.heads
    bias = made.bias()
    result = torch.empty_like(x)

    def place(a: int, b: int) -> tuple[int, int]:
        return (a - made.shift) // made.window, (b - made.shift) // made.window

    def within(a: int, b: int) -> int:
        return (a - made.shift) % made.window * made.window + (b - made.shift) % made.window

    everywhere = [(a, b) for a in range(height) for b in range(width)]
    parts = {p: made.enter(x[:, p[0], p[1]]).view(3, made.heads, size) for p in everywhere}
    for p in everywhere:
        seen = [q for q in everywhere if place(*q) == place(*p)]
        gathered = []
        for head in range(made.heads):
            factor = min(float(made.log_factor[head].exp()), 100)
            likeness = [
                factor * torch.cosine_similarity(parts[p][0, head], parts[q][1, head], dim=0)
                + bias[head, within(*p), within(*q)]
                for q in seen
            ]
            weights = torch.stack(likeness).softmax(0)
            gathered.append(weights @ torch.stack([parts[q][2, head] for q in seen]))
        y = x[:, p[0], p[1]]
        y = y + made.leave_norm(made.leave(torch.cat(gathered)))
        mixed = made.project(made.activation(made.expand(y)))
        result[:, p[0], p[1]] = y + made.project_norm(mixed)
    return result


@given(
    st.integers(1, 11),
    st.integers(1, 11),
    st.sampled_from([(4, 0), (4, 1), (4, 2), (3, 2), (1, 0)]),
    st.integers(0, 9),
)
def test_it_is_what_one_position_at_a_time_gives(height, width, grid, seed):
    made = block(window=grid[0], shift=grid[1], seed=seed)
    x = torch.randn(2, 8, height, width)
    with torch.inference_mode():
        result = made(x)
    for sample in range(2):
        torch.testing.assert_close(result[sample], one_by_one(made, x[sample]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_a_change_stays_in_its_window(shift):
    made = block(shift=shift)
    nn.init.constant_(made.log_factor, 0)  # so that nobody's weight is too small to show
    x = torch.randn(1, 8, 10, 14)
    for row, column in ((0, 0), (9, 13), (5, 6), (1, 13)):
        y = x.clone()
        y[..., row, column] += 1
        with torch.inference_mode():
            moved = (made(x) != made(y)).any(1)[0]
        rows = (torch.arange(10) - shift).div(4, rounding_mode="floor") == (row - shift) // 4
        columns = (torch.arange(14) - shift).div(4, rounding_mode="floor") == (column - shift) // 4
        assert torch.equal(moved, rows[:, None] & columns)


def test_reach_is_a_window_less_one():
    made = block(window=4, shift=0)
    x = torch.randn(1, 8, 4, 4)
    y = x.clone()
    y[..., 0, 0] += 1
    with torch.inference_mode():
        moved = (made(x) != made(y)).any(1)[0].nonzero()
    assert int(moved.max()) == made.reach == 3


def test_bias_follows_the_offset_alone():
    torch.manual_seed(0)
    made = DistanceBias(heads=3, window=4)
    bias = made()
    assert bias.shape == (3, 16, 16)
    # From (0, 1), looking at (2, 2): two up and one to the left.
    offset = torch.tensor([-math.log(3), -math.log(2)])
    torch.testing.assert_close(bias[:, 1, 10], made.network(offset))
    # (0, 1) to (2, 2) lies as (1, 0) to (3, 1) does; the way back does not.
    assert torch.equal(bias[:, 1, 10], bias[:, 4, 13])
    assert not torch.equal(bias[:, 1, 10], bias[:, 10, 1])


def test_offsets_are_on_a_logarithmic_scale():
    offsets = DistanceBias(heads=1, window=3).offsets
    assert sorted(set(offsets[:, 0].tolist())) == pytest.approx(
        [-math.log(3), -math.log(2), 0, math.log(2), math.log(3)]
    )


def test_tables_are_not_weights():
    names = block().state_dict()
    assert not [name for name in names if name.endswith(("offsets", "pairs"))]


def test_branches_start_small_beside_the_features():
    torch.manual_seed(0)
    made = WindowAttentionBlock(8, 2, 4, 2)
    size = torch.logspace(-3, 1, 8)
    made.start_at(size)
    x = torch.randn(2, 8, 12, 12) * size[:, None, None]
    rms = (made(x) - x).square().mean((0, 2, 3)).sqrt()
    assert (rms < 0.03 * size).all() and (rms > 0).all()


def test_every_weight_gets_a_gradient():
    made = block()
    nn.init.constant_(made.log_factor, math.log(10))
    made(torch.randn(2, 8, 9, 7)).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_bfloat16_is_near_float32():
    made = block()
    nn.init.constant_(made.log_factor, math.log(10))
    x = torch.randn(1, 8, 9, 7)
    with torch.inference_mode():
        exact = made(x)
        with torch.autocast("cpu", torch.bfloat16):
            from_float, from_half = made(x), made(x.bfloat16())
    assert from_float.dtype == torch.float32 and from_half.dtype == torch.bfloat16
    torch.testing.assert_close(from_float, exact, atol=0.15, rtol=0)
    torch.testing.assert_close(from_half.float(), exact, atol=0.15, rtol=0)


def test_memory_layout_changes_nothing_but_last_bits():
    made = block()
    x = torch.randn(2, 8, 9, 7)
    with torch.inference_mode():
        other = made(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(other, made(x))


def test_cost_is_what_the_docstring_says():
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        block(channels=32, heads=2, window=4)(torch.randn(1, 32, 16, 24))
    # The bias' network has a cost of its own, the same for every plane.
    offsets, width, heads = 7 * 7, 64, 2
    expected = (8 * 32**2 + 2 * 16 * 32) * 16 * 24 + offsets * width * (2 + heads)
    assert counter.get_total_flops() == 2 * expected


def test_a_head_s_factor_ends_at_a_hundred():
    made, capped = block(), block()
    nn.init.constant_(made.log_factor, 9)
    nn.init.constant_(capped.log_factor, math.log(100))
    x = torch.randn(1, 8, 9, 7)
    with torch.inference_mode():
        assert torch.equal(made(x), capped(x))


@pytest.mark.parametrize(
    "arguments", [(8, 3, 4, 0), (8, 2, 4, 4), (8, 2, 4, -1), (8, 2, 0, 0), (8, 0, 4, 0)]
)
def test_impossible_sizes_are_refused(arguments):
    with pytest.raises(ArgumentError, match="heads must divide"):
        WindowAttentionBlock(*arguments)
