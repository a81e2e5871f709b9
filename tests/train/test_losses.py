"""Distortions: each is zero for the same picture, and MS-SSIM is what others say it is."""

from __future__ import annotations

import pytest
import torch

from quantal.errors import ArgumentError
from quantal.train.objectives.losses import Distortion, DistortionSettings, ms_ssim


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    one = torch.rand(2, 3, 24, 20, generator=generator)
    one = torch.nn.functional.interpolate(one, (192, 176), mode="bicubic").clamp(0, 1)
    noise = torch.randn(one.shape, generator=generator)
    return one, (one + 0.05 * noise * torch.tensor([1.0, 2.0])[:, None, None, None]).clamp(0, 1)


def measured(drawn: torch.Tensor, pixels: torch.Tensor, **weights: float) -> torch.Tensor:
    """The error by a mixture."""
    return sum(Distortion(DistortionSettings(**weights), 192)(drawn, pixels).values())


@pytest.mark.parametrize("name", ["rgb", "ycbcr", "ms_ssim"])
def test_the_same_picture_has_none_and_a_worse_one_more(name, pair):
    pixels, drawn = pair
    assert measured(pixels, pixels, **{name: 1.0}).abs().max() < 1e-6
    near, far = measured(drawn, pixels, **{name: 1.0})
    assert 0 < near < far


def test_a_mixture_is_the_weighed_sum_of_its_parts(pair):
    pixels, drawn = pair
    mixed = measured(drawn, pixels, rgb=0.4, ms_ssim=0.6)
    parts = measured(drawn, pixels, rgb=1), measured(drawn, pixels, ms_ssim=1)
    torch.testing.assert_close(mixed, 0.4 * parts[0] + 0.6 * parts[1])


def test_lpips_takes_part_and_has_a_gradient(pair, perceptual):
    pixels, drawn = pair
    drawn.requires_grad_()
    files = {f"lpips_{kind}": file for kind, file in perceptual.items()}
    settings = DistortionSettings(rgb=0.5, lpips=0.5, **files)
    errors = Distortion(settings, 192)(drawn, pixels)
    assert errors.keys() == {"rgb", "lpips"}
    assert 0 < errors["lpips"][0] < errors["lpips"][1]
    errors["lpips"].sum().backward()
    assert drawn.grad.abs().sum() > 0


def test_ms_ssim_agrees_with_another_implementation(pair):
    others = pytest.importorskip("pytorch_msssim", reason="comes with the extra `eval`")
    expected = others.ms_ssim(*pair, data_range=1.0, size_average=False)
    torch.testing.assert_close(ms_ssim(*pair), expected, rtol=1e-4, atol=1e-5)


def test_chroma_counts_less_than_luma():
    grey = torch.full((1, 3, 8, 8), 0.5)
    brighter = grey + 0.1
    bluer = grey + torch.tensor([0.0, 0.0, 0.1])[:, None, None] * 3**0.5
    torch.testing.assert_close(measured(brighter, grey, rgb=1), measured(bluer, grey, rgb=1))
    assert measured(bluer, grey, ycbcr=1) < 0.3 * measured(brighter, grey, ycbcr=1)


def test_what_is_too_small_is_named():
    with pytest.raises(ArgumentError, match="176"):
        ms_ssim(torch.rand(1, 3, 128, 256), torch.rand(1, 3, 128, 256))
    with pytest.raises(ArgumentError, match="176"):
        Distortion(DistortionSettings(rgb=1, ms_ssim=1), 128)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "one is above"),
        ({"rgb": 1.0, "ycbcr": -0.5}, r"\[1.0, -0.5, 0.0, 0.0\]"),
        ({"lpips": 1.0}, "distortion.lpips_heads"),
    ],
)
def test_a_mixture_that_can_not_be_is_refused(weights, message):
    with pytest.raises(ArgumentError, match=message):
        DistortionSettings(**weights)
