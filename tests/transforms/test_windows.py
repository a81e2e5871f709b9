"""A plane done window by window is the plane done at once."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from quantal.layers import GatedBlock
from quantal.transforms import PyramidAnalysis, PyramidSynthesis, apply_in_windows


@pytest.mark.parametrize("size", [(64, 64), (80, 208), (16, 16), (176, 96)])
def test_analysis_has_no_seams(size):
    torch.manual_seed(0)
    net = PyramidAnalysis((8, 12, 16), (2, 3, 1)).eval()
    x = torch.rand(1, 3, *size)
    with torch.inference_mode():
        whole = net(x)
        tiled = apply_in_windows(net, x, 64, 48, Fraction(1, 16))
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(4, 4), (5, 13), (1, 1), (11, 6)])
def test_synthesis_has_no_seams(size):
    torch.manual_seed(0)
    net = PyramidSynthesis((8, 12, 16), (2, 3, 1)).eval()
    y = torch.randn(1, 16, *size)
    with torch.inference_mode():
        whole = net(y)
        tiled = apply_in_windows(net, y, 4, 3, 16)
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)


def test_a_halo_too_narrow_shows():
    """The test above can fail: without a halo the windows do differ."""
    torch.manual_seed(0)
    net = GatedBlock(4).eval()
    x = torch.randn(1, 4, 12, 12)
    with torch.inference_mode():
        assert not torch.allclose(apply_in_windows(net, x, 6, 0), net(x), atol=1e-4)


def test_reach_is_what_the_blocks_reach():
    torch.manual_seed(0)
    net = PyramidAnalysis((8, 12, 16), (2, 3, 1)).eval()
    x = torch.rand(1, 3, 256, 256)
    y = x.clone()
    y[..., 128, 128] += 1
    with torch.inference_mode():
        moved = (net(x) != net(y)).any(1)[0].nonzero()
    spread = (moved.float() * 16 + 8 - 128).abs().max()
    assert spread <= net.reach + 16
