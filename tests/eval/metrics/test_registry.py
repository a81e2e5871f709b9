"""Metrics by name, errors of invalid pictures, and means over pictures."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantal.errors import ArgumentError, EvaluationError
from quantal.eval.metrics import about, mean, metric, names, scale_for_bd, scaled_title

PICTURE = np.zeros((20, 30, 3), np.uint8)


def test_the_error_of_an_unknown_name_has_the_closest_one() -> None:
    for function in (metric, about):
        with pytest.raises(ArgumentError, match=r"'ms-sim'.*did you mean 'ms-ssim'"):
            function("ms-sim")


def test_every_metric_has_a_description() -> None:
    for name in names():
        known = about(name)
        assert known.name == name
        assert known.title
        assert known.definition


def test_names_are_known_without_torch() -> None:
    code = (
        "import sys; from quantal.eval.metrics import about, names; [about(n) for n in names()];"
        "assert not {'torch', 'lpips', 'piq'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_metric_is_made_once() -> None:
    assert metric("psnr") is metric("psnr")
    assert metric("psnr").title == about("psnr").title


def test_pictures_of_different_size_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"\[20, 30, 3\] and \[19, 30, 3\]"):
        metric("psnr")(PICTURE, PICTURE[1:])
    with pytest.raises(EvaluationError, match="expected two of the same size"):
        metric("psnr")(PICTURE[..., 0], PICTURE[..., 0])


@pytest.mark.parametrize("sample", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_errors(sample: float) -> None:
    decoded = PICTURE.astype(np.float32)
    decoded[3, 4, 1] = sample
    with pytest.raises(EvaluationError, match="not finite"):
        metric("psnr")(PICTURE, decoded)


def test_a_folder_of_weights_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is not a folder"):
        metric("psnr", tmp_path / "missing")


def test_a_missing_package_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(ArgumentError, match=r"'ssim' .*pytorch-msssim: pip install 'quantal\[eval"):
        metric("ssim", tmp_path)


def test_missing_values_are_not_counted() -> None:
    result = mean("ssim", [0.5, None, math.nan, 0.75])
    assert (result.value, result.counted, result.pictures) == (0.625, 2, 4)


def test_a_mean_of_no_values_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="none of 2 pictures has a value of PSNR-RGB"):
        mean("psnr", [None, None])


def test_an_infinite_psnr_counts_as_no_error() -> None:
    assert mean("psnr", [math.inf, 30.0]).value == math.inf
    assert mean("psnr", [math.inf, 30.0], "mse").value == pytest.approx(33.0103, abs=1e-4)
    assert mean("psnr", [math.inf, math.inf], "mse").value == math.inf


def test_only_psnr_has_a_mean_by_mse() -> None:
    assert mean("ssim", [0.5, 0.75], "mse") == mean("ssim", [0.5, 0.75])
    with pytest.raises(ArgumentError, match="did you mean 'mse'"):
        mean("psnr", [30.0], "mze")


@given(st.lists(st.integers(1, 60000), min_size=1, max_size=9))
def test_the_mean_by_mse_is_the_psnr_of_the_mean_mse(errors: list[int]) -> None:
    values = [10 * math.log10(255**2 / e) for e in errors]
    pooled = 10 * math.log10(255**2 * len(errors) / sum(errors))
    assert mean("psnr", values, "mse").value == pytest.approx(pooled, abs=1e-9)
    assert mean("psnr", values, "mse").value <= mean("psnr", values).value + 1e-9


def test_similarities_are_compared_in_decibels() -> None:
    assert scale_for_bd("ms-ssim", [0.9, 0.99]) == pytest.approx([10, 20])
    assert scale_for_bd("ssim", [1.0, 1 + 1e-9]).tolist() == [math.inf, math.inf]


def test_lower_is_better_is_negated_and_missing_stays_missing() -> None:
    assert scale_for_bd("psnr", [30, 31]).tolist() == [30, 31]
    assert scale_for_bd("dists", [0.3, 0.1]).tolist() == [-0.3, -0.1]
    assert np.isnan(scale_for_bd("lpips", [None])).all()


def test_titles_of_axes_state_the_scale() -> None:
    assert [scaled_title(n) for n in ("psnr", "ms-ssim", "lpips", "ssimulacra2")] == [
        "PSNR-RGB (dB)",
        "MS-SSIM (dB)",
        "-LPIPS (Alex)",
        "SSIMULACRA 2",
    ]
