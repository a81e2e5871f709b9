"""PSNR, SSIM and MS-SSIM agree with other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from quantal.errors import EvaluationError
from quantal.eval.metrics import metric

Pixels = NDArray[np.uint8]
LUMA = {"psnr-y": [0.299, 0.587, 0.114], "psnr-y709": [0.2126, 0.7152, 0.0722]}


def planes(pixels: Pixels) -> torch.Tensor:
    return torch.tensor(pixels.transpose(2, 0, 1).copy())[None].double()


def test_psnr_is_that_of_scikit_image(original: Pixels, decoded: Pixels) -> None:
    theirs = peak_signal_noise_ratio(original, decoded, data_range=255)
    assert metric("psnr")(original, decoded) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", LUMA)
def test_psnr_of_luma_is_that_of_luma_planes(name: str, original: Pixels, decoded: Pixels) -> None:
    theirs = peak_signal_noise_ratio(original @ LUMA[name], decoded @ LUMA[name], data_range=255)
    assert metric(name)(original, decoded) == pytest.approx(theirs, abs=1e-9)


def test_an_error_of_one_level_in_one_channel_has_the_exact_psnr() -> None:
    grey = np.full((5, 7, 3), 100, np.uint8)
    redder = grey + np.array([1, 0, 0], np.uint8)
    assert metric("psnr")(grey, redder) == pytest.approx(10 * math.log10(255**2 * 3))
    assert metric("psnr-y")(grey, redder) == pytest.approx(20 * math.log10(255 / 0.299))


def test_a_tall_picture_is_measured_completely() -> None:
    tall = np.zeros((1000, 2, 3), np.uint8)
    changed = tall.copy()
    changed[-1] = 255
    assert metric("psnr")(tall, changed) == pytest.approx(30)


@pytest.mark.parametrize("name", ["psnr", "psnr-y", "psnr-y709"])
def test_equal_pictures_have_infinite_psnr(name: str, original: Pixels) -> None:
    assert metric(name)(original, original.copy()) == math.inf


def test_float_pictures_are_not_rounded(original: Pixels) -> None:
    assert metric("psnr")(original, original + np.float32(0.5)) == pytest.approx(54.151, abs=1e-3)


def test_ssim_is_that_of_scikit_image(original: Pixels, decoded: Pixels) -> None:
    theirs = structural_similarity(
        original,
        decoded,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metric("ssim")(original, decoded) == pytest.approx(theirs, abs=1e-9)


def test_ms_ssim_is_that_of_piq(original: Pixels, decoded: Pixels) -> None:
    piq = pytest.importorskip("piq")
    theirs = piq.multi_scale_ssim(planes(original), planes(decoded), data_range=255)
    assert metric("ms-ssim")(original, decoded) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("name", ["ssim", "ms-ssim"])
def test_equal_pictures_are_wholly_similar(name: str, original: Pixels) -> None:
    assert metric(name)(original, original.copy()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("name", "side"), [("ssim", 11), ("ms-ssim", 161)])
def test_pictures_smaller_than_the_smallest_are_errors(name: str, side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side, side + 9, 3), np.uint8)
    assert 0 <= metric(name)(noise, noise // 2) <= 1
    with pytest.raises(EvaluationError, match=f"from {side} pixels a side"):
        metric(name)(noise[1:], noise[1:])
