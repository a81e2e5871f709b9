"""Analysis of curves with known results."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantal.eval.perception.base import Floats
from quantal.eval.perception.figures import Curve, Interval, Point, interval
from quantal.eval.perception.findings import (
    _compare,
    at_rates,
    crossing,
    falling,
    pearson,
    spearman,
    thresholds,
)

BPP = np.array([0.1, 0.2, 0.4, 0.8])


def curve(name: str, lost: Floats, bpp: Floats = BPP) -> Curve:
    """A curve whose resamples all equal the estimate."""
    points = tuple(
        Point(i, 9, rate, {"s": Interval(90 - x, 0, 0)}, {"s": Interval(x, 0, 0)}, {}, {})
        for i, (rate, x) in enumerate(zip(bpp.tolist(), lost.tolist(), strict=True))
    )
    many = [np.repeat(values[:, None], 21, 1) for values in (bpp, 90 - lost, lost)]
    return Curve(name, "float32", points, *many)


def test_thresholds_are_interpolated_over_log_rate() -> None:
    lost = np.array([9.0, 3.0, 0.0, -0.5])
    assert crossing(BPP, lost, 1.0) == pytest.approx(0.2 * 2 ** (2 / 3))
    assert crossing(BPP, lost, 3.0) == pytest.approx(0.2)
    assert crossing(BPP, lost, 10.0) == 0
    assert crossing(BPP, lost + 5, 1.0) == math.inf


def test_noise_does_not_change_a_threshold() -> None:
    lost = np.array([5.0, 0.0, 2.0, 0.0])  # as if 5, 1, 1, 0
    assert crossing(BPP, lost, 1.5) == pytest.approx(0.1 * 2 ** (3.5 / 4))
    assert crossing(BPP, np.array([5.0, 2.0, 0.0, 1.5]), 1.0) == pytest.approx(0.2 * 2**0.8)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9))
def test_values_made_to_fall_keep_their_mean_and_are_not_made_to_fall_twice(
    values: list[float],
) -> None:
    made = falling(np.array(values))
    assert (np.diff(made) <= 1e-9).all()
    assert made.mean() == pytest.approx(np.mean(values), abs=1e-9)
    np.testing.assert_allclose(falling(made), made)
    if values == sorted(values, reverse=True):
        np.testing.assert_array_equal(made, values)


def test_thresholds_have_intervals() -> None:
    one = curve("a", np.array([9.0, 3.0, 0.0, -0.5]))
    one.lost[:, 11:] += 8  # half of the draws lose more than any measured rate can save
    first, second = thresholds([one])
    assert first.bpp.value == pytest.approx(0.2 * 2 ** (2 / 3))
    assert first.bpp.low == pytest.approx(first.bpp.value) and math.isinf(first.bpp.high)
    assert second.points == 5.0 and second.bpp.value == pytest.approx(0.1 * 2 ** (4 / 6))
    assert (first.lowest, first.highest) == (0.1, 0.8)


def test_a_score_without_value_is_no_loss() -> None:
    assert crossing(BPP, np.array([0.0, math.nan, 0.0, 0.0]), 1.0) == 0
    assert crossing(BPP, np.array([3.0, math.nan, 0.0, math.nan]), 1.5) == pytest.approx(0.2)
    assert math.isnan(crossing(BPP, np.full(4, math.nan), 1.0))
    assert thresholds([curve("a", np.full(4, math.nan))]) == []


def test_losses_at_a_rate_are_not_extrapolated() -> None:
    rows = at_rates([curve("a", np.array([4.0, 2.0, 1.0, 0.0])), curve("b", np.zeros(4), BPP * 2)])
    assert [row.bpp for row in rows] == [0.2, 0.3, 0.5, 0.75]
    assert rows[0].lost[0][1] is not None and rows[0].lost[0][1].value == pytest.approx(2.0)
    alone = at_rates([curve("a", np.array([4.0, 2.0, 1.0, 0.0]))])
    assert [row.bpp for row in alone] == [0.1, 0.15, 0.2, 0.3, 0.5, 0.75]
    assert alone[1].lost[0][1] is not None
    assert alone[1].lost[0][1].value == pytest.approx(4 - 2 * math.log2(1.5))


def test_half_the_rate_is_a_bd_rate_of_minus_50_percent() -> None:
    lost = np.array([20.0, 8.0, 2.0, 0.5])
    result = _compare(curve("test", lost, BPP / 2), curve("anchor", lost), 1)
    assert result.percent is not None and result.percent.value == pytest.approx(-50)
    assert result.overlap == pytest.approx(1) and not result.thinned


def test_curves_that_do_not_rise_are_thinned_or_refused() -> None:
    rising = curve("anchor", np.array([20.0, 8.0, 2.0, 0.5]))
    bumpy = curve("test", np.array([20.0, 8.0, 2.0, 2.5]))
    assert _compare(bumpy, rising, 1).thinned
    flat = _compare(curve("test", np.zeros(4)), rising, 1)
    assert flat.percent is None and "different points" in str(flat.refused)
    apart = _compare(curve("test", np.array([90.0, 80.0, 70.0, 60.0])), rising, 1)
    assert "overlap too little" in str(apart.refused)


def test_correlations() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=30), random.normal(size=30)
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert spearman(x, np.exp(x)) == pytest.approx(1) and spearman(x, -(x**3)) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4.
    tied = spearman(np.array([1.0, 5, 5, 9]), np.array([1.0, 2, 3, 4]))
    assert tied == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert math.isnan(pearson(x[:2], y[:2])) and math.isnan(pearson(np.ones(5), x[:5]))


def test_intervals_contain_95_percent_of_the_resamples() -> None:
    values = np.concatenate([[50.0], np.arange(1001) / 10, [math.nan]])
    assert interval(values) == Interval(50.0, pytest.approx(2.5), pytest.approx(97.5))
    assert math.isnan(interval(np.array([3.0])).low)
