"""BD-rate: values of curves with known deltas, and errors of invalid curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quantal.errors import ArgumentError, EvaluationError
from quantal.eval.bdrate import METHODS, bd, compare
from quantal.eval.curves import Curve, Sheet

BPP = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
DB = np.array([28.0, 31.0, 34.0, 37.0, 40.0])


def sheet(
    bpp: np.ndarray,
    psnr: np.ndarray,
    pictures: tuple[str, ...] | None = None,
    name: str = "x",
    digest: str = "",
) -> Sheet:
    pictures = pictures or tuple(f"p{i}" for i in range(len(bpp)))
    return Sheet(
        codec=name,
        version="1",
        pictures=pictures,
        digests=(digest,) * len(pictures),
        quality=tuple(float(i) for i in range(bpp.shape[1])),
        bpp=bpp,
        values={"psnr": psnr},
        costs={},
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.25])
def test_a_constant_factor_of_rate_is_the_bd_rate(method: str, factor: float) -> None:
    found = bd(BPP, DB, BPP * factor, DB, method=method)  # type: ignore[arg-type]
    assert found.percent == pytest.approx(100 * (factor - 1), abs=1e-9)
    assert (found.low, found.high, found.overlap) == (28.0, 40.0, 1.0)
    # These curves gain 3 dB a doubling.
    assert found.quality == pytest.approx(-3 * math.log2(factor), abs=1e-6)


def test_against_the_integral_by_hand() -> None:
    """Straight lines in log rate, over the part that both reach: 31 to 37 dB."""
    test_bpp, test_db = np.array([0.15, 0.3, 0.6]), np.array([31.0, 34.0, 37.0])
    found = bd(BPP, DB, test_bpp, test_db)
    assert found.percent == pytest.approx(-25.0)
    assert (found.low, found.high, found.overlap) == (31.0, 37.0, 1.0)


def test_cubic_is_bjontegaards_own() -> None:
    """His fit of 2001, log rate as a polynomial of quality, integrated here by numpy."""
    anchor = np.array([9487.76, 4593.60, 2486.44, 1358.24]), np.array([40.04, 38.62, 36.85, 34.85])
    test = np.array([9787.80, 4469.00, 2451.52, 1356.24]), np.array([40.12, 38.65, 36.97, 34.99])
    low, high = 34.99, 40.04
    means = []
    for rate, quality in (anchor, test):
        integral = np.polyint(np.polyfit(quality, np.log10(rate), 3))
        means.append((np.polyval(integral, high) - np.polyval(integral, low)) / (high - low))
    found = bd(*anchor, *test, method="cubic")
    assert found.percent == pytest.approx(100 * (10 ** (means[1] - means[0]) - 1), abs=1e-6)


@given(
    st.lists(st.floats(0.02, 4.0), min_size=4, max_size=10, unique=True),
    st.lists(st.floats(20.0, 45.0), min_size=4, max_size=10, unique=True),
    st.floats(0.3, 3.0),
)
def test_scaling_any_curve(rates: list[float], decibels: list[float], factor: float) -> None:
    n = min(len(rates), len(decibels))
    bpp, db = np.sort(rates[:n]), np.sort(decibels[:n])
    assume(np.diff(bpp).min() > 1e-3 and np.diff(db).min() > 1e-2)
    there = bd(bpp, db, bpp * factor, db).percent
    back = bd(bpp * factor, db, bpp, db).percent
    assert there == pytest.approx(100 * (factor - 1), rel=1e-6, abs=1e-6)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1.0)


def test_order_and_repetition_of_points_do_not_matter() -> None:
    shuffled = np.array([3, 0, 4, 1, 2, 0, 3])
    found = bd(BPP, DB, (BPP * 0.8)[shuffled], DB[shuffled])
    assert found.percent == pytest.approx(-20.0)


@pytest.mark.parametrize(
    ("bpp", "db", "message"),
    [
        ([0.5], [33.0], "has 1 different points, expected at least 3"),
        ([0.5] * 5, [33.0] * 5, "has 1 different points"),
        ([], [], "has 0 different points"),
        ([0.1, 0.2, 0.4, math.nan], [28.0, 31.0, 34.0, 37.0], r"the point \(nan bpp, 37\)"),
        ([0.1, 0.2, 0.4, 0.8], [28.0, 31.0, math.inf, 37.0], r"\(0.4 bpp, inf\)"),
        ([0.0, 0.2, 0.4, 0.8], [28.0, 31.0, 34.0, 37.0], "a rate above 0"),
        ([0.1, 0.2, 0.4, 0.8], [28.0, 31.0, 30.5, 37.0], "doesn't rise: quality 31 at 0.2 bpp"),
        ([0.1, 0.2, 0.2, 0.8], [28.0, 31.0, 32.0, 37.0], "doesn't rise"),
        ([0.1, 0.2, 0.4], [28.0, 31.0], "3 rates and 2 qualities"),
        ([0.1, 0.2, 0.4], [10.0, 12.0, 14.0], "overlap too little"),
        ([0.1, 0.2, 0.4], [20.0, 24.0, 29.0], r"share 11 % of the shorter, expected at least 50 %"),
    ],
)
def test_curves_that_are_refused(bpp: list[float], db: list[float], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        bd(BPP, DB, bpp, db)


def test_a_point_that_falls_can_be_left_out() -> None:
    bpp, db = [0.1, 0.2, 0.3, 0.4, 0.8, 1.6], [28.0, 31.0, 30.9, 34.0, 37.0, 40.0]
    assert bd(BPP, DB, bpp, db, pareto=True).percent == pytest.approx(0.0, abs=1e-9)


def test_wrong_options() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'pchip'"):
        bd(BPP, DB, BPP, DB, method="pchipp")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected 0 to 1"):
        bd(BPP, DB, BPP, DB, min_overlap=1.5)


def test_ms_ssim_is_compared_in_decibels() -> None:
    similarity = 1 - 10 ** (-DB / 20)
    values = {"ms-ssim": tuple(similarity)}
    anchor = Curve("a", (math.nan,) * 5, tuple(BPP), values, 0)
    test = Curve("b", (math.nan,) * 5, tuple(BPP / 2), values, 0)
    found = compare(test, anchor, "ms-ssim")
    assert found.percent == pytest.approx(-50.0)
    assert found.low == pytest.approx(14.0)
    assert found.interval is None


def test_intervals_contain_the_estimate_and_are_reproducible() -> None:
    random = np.random.default_rng(3)
    psnr = DB + random.normal(0, 2, (24, 1))
    factors = 0.8 + random.normal(0, 0.05, (24, 1))
    anchor = sheet(np.tile(BPP, (24, 1)), psnr, name="anchor")
    test = sheet(BPP * factors, psnr, name="test")
    found = compare(test, anchor, resamples=300)
    assert found.interval is not None
    assert found.interval[0] < found.percent < found.interval[1]
    assert found.interval[1] - found.interval[0] < 8
    assert found.pictures == 24
    assert compare(test, anchor, resamples=300) == found
    # With the same factor on every picture, all resamples have the same value.
    certain = compare(sheet(BPP * np.full((24, 1), 0.7), psnr), anchor, resamples=50)
    assert certain.interval == pytest.approx((-30.0, -30.0))


def test_only_pictures_that_both_coded_count() -> None:
    """The test failed on the difficult picture, which is then excluded for the anchor too."""
    easy, hard = DB + 3, DB - 8
    anchor = sheet(np.stack((BPP, BPP)), np.stack((easy, hard)), ("easy", "hard"))
    test = sheet(BPP[None] / 2, easy[None], ("easy",))
    found = compare(test, anchor)
    assert found.percent == pytest.approx(-50.0)
    assert found.pictures == 1
    with pytest.raises(EvaluationError, match="no picture in common"):
        compare(sheet(BPP[None], easy[None], ("other",)), anchor)


def test_pictures_of_one_name_must_be_one_picture() -> None:
    one = sheet(BPP[None], DB[None], ("0.png",), digest="aaaa")
    other = sheet(BPP[None], DB[None], ("0.png",), digest="bbbb")
    with pytest.raises(EvaluationError, match=r"different pictures called '0\.png'"):
        compare(one, other)
    assert compare(one, one).percent == pytest.approx(0)
    unknown = sheet(BPP[None], DB[None], ("0.png",))
    assert compare(unknown, one).percent == pytest.approx(0)


def test_bd_quality_needs_shared_rates_too() -> None:
    found = bd([0.1, 0.2, 0.4], [28.0, 31.0, 34.0], [0.39, 0.6, 0.8], [28.0, 31.0, 34.0])
    assert found.percent > 100 and math.isnan(found.quality)


def test_no_interval_with_few_pictures() -> None:
    few = sheet(np.tile(BPP, (4, 1)), np.tile(DB, (4, 1)))
    assert compare(few, few).interval is None


def test_the_two_means_of_psnr_differ() -> None:
    psnr = np.stack((DB + 6, DB - 6))
    curve = sheet(np.stack((BPP, BPP)), psnr)
    assert curve.curve("picture").values["psnr"] == pytest.approx(tuple(DB))
    lower = -10 * np.log10((10 ** (-(DB + 6) / 10) + 10 ** (-(DB - 6) / 10)) / 2)
    assert curve.curve("mse").values["psnr"] == pytest.approx(tuple(lower))
