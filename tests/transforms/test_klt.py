"""The start of training is an orthonormal transform: nothing is lost that fits its channels."""

from __future__ import annotations

import pytest
import torch

from quantal.transforms import (
    PyramidAnalysis,
    PyramidSynthesis,
    initialise_with_klt,
    principal_components,
)


def test_components_are_orthonormal_and_ordered():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 9, 9) * torch.arange(1.0, 7)[:, None, None]
    rows, rms = principal_components(x, 6)
    torch.testing.assert_close(rows @ rows.T, torch.eye(6), atol=1e-5, rtol=0)
    assert (rms.diff() <= 0).all()
    assert rms.square().sum() == pytest.approx(float(x.square().mean((0, 2, 3)).sum()), rel=1e-4)


def test_rows_beyond_the_data_are_zero():
    rows, rms = principal_components(torch.randn(2, 3, 5, 5), 5)
    assert not rows[3:].any() and not rms[3:].any()


def test_without_blocks_the_start_reconstructs_smooth_pictures():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 64)
    across = ramp.expand(64, 64)
    x = torch.stack([across * ramp[:, None], across, 1 - across])
    x = x[None].repeat(4, 1, 1, 1) * torch.rand(4, 3, 1, 1)
    sizes = (48, 128, 320), (0, 0, 0)
    analysis, synthesis = PyramidAnalysis(*sizes), PyramidSynthesis(*sizes)
    initialise_with_klt(analysis, synthesis, x)
    with torch.inference_mode():
        torch.testing.assert_close(synthesis(analysis(x)), x, atol=2e-3, rtol=0)
