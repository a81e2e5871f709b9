"""Wavelet packets can be undone, and transforms around them keep to their reach."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal.errors import ArgumentError
from quantal.transforms.wavelet import (
    WaveletAnalysis,
    WaveletSynthesis,
    initialise_with_packets,
    packets,
    unpacked,
)


@settings(max_examples=30)
@given(levels=st.integers(0, 4), rows=st.integers(1, 5), columns=st.integers(1, 5))
def test_packets_can_be_undone(levels: int, rows: int, columns: int) -> None:
    torch.manual_seed(levels)
    x = torch.randn(2, 3, rows << levels, columns << levels, dtype=torch.double)
    before = x.clone()
    found = packets(x, levels)
    assert torch.equal(x, before)
    assert found.shape == (2, 3 * 4**levels, rows, columns)
    torch.testing.assert_close(unpacked(found, levels), x)


def test_packets_are_nearly_orthonormal_and_gather_energy() -> None:
    torch.manual_seed(0)
    noise = torch.randn(1, 1, 128, 128)
    assert float(packets(noise, 3).square().sum() / noise.square().sum()) == pytest.approx(
        1, abs=0.15
    )
    ramp = torch.linspace(0, 1, 128).expand(1, 1, 128, 128)
    found = packets(ramp, 3).square().sum((0, 2, 3))
    assert float(found[0] / found.sum()) > 0.999  # four vanishing moments: a ramp is all low


def test_a_constant_has_constant_low_packets_up_to_the_border() -> None:
    found = packets(torch.ones(1, 1, 64, 64), 2)
    low = found[0, 0]
    torch.testing.assert_close(low, torch.full_like(low, float(low[5, 5])))
    assert float(found[0, 1:].abs().max()) < 1e-5


def test_the_gradient_of_joining_is_its_transpose() -> None:
    x = torch.randn(2, 48, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: unpacked(given, 2), x)
    pixels = torch.randn(1, 3, 8, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: packets(given, 2), pixels)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ArgumentError, match="multiples of 8"):
        packets(torch.zeros(1, 3, 12, 16), 3)
    with pytest.raises(ArgumentError, match="no packets of 2 levels"):
        unpacked(torch.zeros(1, 24, 4, 4), 2)
    with pytest.raises(ArgumentError, match="counts of blocks"):
        WaveletSynthesis(4, 8, (1, 1, 1), levels=2)


def test_transforms_keep_to_their_reach() -> None:
    torch.manual_seed(0)
    analysis, synthesis = WaveletAnalysis(8, 12, 1, levels=2), WaveletSynthesis(8, 12, (1, 1), 2)
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 96, 96)
        changed = pixels.clone()
        changed[..., 48, 48] += 1
        moved = (analysis(changed) - analysis(pixels)).abs().amax((0, 1)) > 1e-6
        places = moved.nonzero() * 4
        assert 0 < analysis.reach < 40
        assert places.min() + 3 >= 48 - analysis.reach and places.max() <= 48 + analysis.reach
        latents = torch.randn(1, 8, 24, 24)
        other = latents.clone()
        other[..., 12, 12] += 1
        drawn = (synthesis(other) - synthesis(latents)).abs().amax((0, 1)) > 1e-6
        places = drawn.nonzero()
        assert places.min() >= 48 - synthesis.reach and places.max() <= 51 + synthesis.reach


def test_the_start_is_a_klt_of_packets() -> None:
    torch.manual_seed(0)
    analysis, synthesis = WaveletAnalysis(48, 48, 0, levels=2), WaveletSynthesis(48, 8, (0,), 2)
    pictures = torch.rand(4, 3, 32, 32)
    rms = initialise_with_packets(analysis, synthesis, pictures)
    assert (rms.diff() <= 1e-6).all()
    with torch.inference_mode():
        torch.testing.assert_close(synthesis(analysis(pictures)), pictures, atol=1e-4, rtol=0)
