"""Gated blocks without gradients: in pieces and in place, and still what they were trained as."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from quantal import layers
from quantal.layers import GatedBlock


@pytest.fixture
def block() -> GatedBlock:
    torch.manual_seed(0)
    return GatedBlock(8).eval().requires_grad_(False)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", [(1, 8, 9, 7), (2, 8, 16, 5), (1, 8, 1, 1), (3, 8, 2, 40)])
def test_pieces_change_nothing(shape, channels_last, block, monkeypatch) -> None:
    monkeypatch.setattr(layers, "_PIECE", 11)
    x = torch.randn(shape)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    before = x.clone()
    expected = block(x)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(x, before)


def test_a_part_of_a_plane_is_not_written_to(block) -> None:
    plane = torch.randn(1, 8, 12, 12).contiguous(memory_format=torch.channels_last)
    before = plane.clone()
    with torch.inference_mode():
        block(plane[..., 2:9, 3:])
    assert torch.equal(plane, before)


def test_lower_precision_keeps_its_sums(block) -> None:
    """Under autocast a branch is bfloat16 and what it is added to is not."""
    x = torch.randn(1, 8, 6, 6)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert block(x).dtype == torch.float32


def test_threads_share_a_block(block) -> None:
    pictures = [torch.randn(1, 8, 20 + k, 30 - k) for k in range(8)]
    expected = [block(x) for x in pictures]

    @torch.inference_mode()
    def run(x: torch.Tensor) -> torch.Tensor:
        return block(x)

    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(run, pictures * 5), expected * 5, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
