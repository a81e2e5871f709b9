"""Distortions: each is zero for the same picture, and MS-SSIM is what others say it is."""

from __future__ import annotations

import pytest
import torch

from quantal.errors import ArgumentError
from quantal.train.objectives.losses import distortion, ms_ssim


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    one = torch.rand(2, 3, 24, 20, generator=generator)
    one = torch.nn.functional.interpolate(one, (192, 176), mode="bicubic").clamp(0, 1)
    noise = torch.randn(one.shape, generator=generator)
    return one, (one + 0.05 * noise * torch.tensor([1.0, 2.0])[:, None, None, None]).clamp(0, 1)


@pytest.mark.parametrize("name", ["rgb", "ycbcr", "ms-ssim"])
def test_the_same_picture_has_none_and_a_worse_one_more(name, pair):
    pixels, drawn = pair
    measure = distortion(name, 192)
    assert measure(pixels, pixels).abs().max() < 1e-6
    near, far = measure(drawn, pixels)
    assert 0 < near < far


def test_ms_ssim_agrees_with_another_implementation(pair):
    others = pytest.importorskip("pytorch_msssim", reason="comes with the extra `eval`")
    expected = others.ms_ssim(*pair, data_range=1.0, size_average=False)
    torch.testing.assert_close(ms_ssim(*pair), expected, rtol=1e-4, atol=1e-5)


def test_chroma_counts_less_than_luma():
    grey = torch.full((1, 3, 8, 8), 0.5)
    brighter = grey + 0.1
    bluer = grey + torch.tensor([0.0, 0.0, 0.1])[:, None, None] * 3**0.5
    measure, plain = distortion("ycbcr", 64), distortion("rgb", 64)
    torch.testing.assert_close(plain(brighter, grey), plain(bluer, grey))
    assert measure(bluer, grey) < 0.3 * measure(brighter, grey)


def test_what_is_too_small_or_unknown_is_named():
    with pytest.raises(ArgumentError, match="176"):
        ms_ssim(torch.rand(1, 3, 128, 256), torch.rand(1, 3, 128, 256))
    with pytest.raises(ArgumentError, match="ms-ssim"):
        distortion("lpips", 64)
