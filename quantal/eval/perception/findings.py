"""Analysis of curves of score over rate: thresholds, losses, correlations and BD-rate.

Curves are interpolated linearly over log rate and not extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantal.errors import EvaluationError
from quantal.eval.bdrate import bd
from quantal.eval.perception.base import Floats
from quantal.eval.perception.figures import Curve, Interval, interval
from quantal.eval.perception.run import Study

__all__ = [
    "LOSSES",
    "AtRate",
    "Comparison",
    "Correlation",
    "Threshold",
    "at_rates",
    "comparisons",
    "correlations",
    "crossing",
    "falling",
    "pearson",
    "spearman",
    "thresholds",
]

#: Losses whose rate is reported, in points.
LOSSES = (1.0, 5.0)
_RATES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
_BD_RESAMPLES = 200


@dataclass(frozen=True)
class Threshold:
    """The rate below which the score drops by a number of points.

    Attributes:
        codec: Label of the codec.
        points: The loss in points.
        bpp: The rate; 0 if the loss is smaller even at the lowest measured rate, inf if it is
            larger even at the highest.
        lowest: Lowest measured rate.
        highest: Highest measured rate.
    """

    codec: str
    points: float
    bpp: Interval
    lowest: float
    highest: float


@dataclass(frozen=True)
class AtRate:
    """Losses at a rate.

    Attributes:
        bpp: The rate in bits per pixel.
        lost: Pairs of codec and loss in points; None outside the measured rates.
    """

    bpp: float
    lost: tuple[tuple[str, Interval | None], ...]


@dataclass(frozen=True)
class Correlation:
    """The correlation of the main score with a metric.

    Attributes:
        metric: Name of the metric.
        codec: Label of the codec; None for the points of all codecs.
        points: Number of points.
        pearson: Correlation of values.
        spearman: Correlation of ranks.
    """

    metric: str
    codec: str | None
    points: int
    pearson: float
    spearman: float


@dataclass(frozen=True)
class Comparison:
    """The BD-rate of a test against an anchor, with the main score as quality.

    Attributes:
        test: Label of the test.
        anchor: Label of the anchor.
        percent: BD-rate in percent; None if there is none.
        overlap: Fraction of the shorter curve's range, 0..1.
        thinned: Whether points were left out, because another with a lower rate scores as high.
        refused: Reason why there is no BD-rate.
    """

    test: str
    anchor: str
    percent: Interval | None = None
    overlap: float = 0.0
    thinned: bool = False
    refused: str | None = None


def crossing(bpp: Floats, lost: Floats, points: float) -> float:
    """Return the rate below which the loss is at least `points`.

    Losses are first made non-increasing (`falling`), since otherwise noise of one or two pictures
    could decide. Points with a loss of NaN are ignored.

    >>> crossing(np.array([0.1, 1.0]), np.array([2.0, 0.0]), 1.0)
    0.316227766016838

    Args:
        bpp: Rates [Q], in ascending order.
        lost: Losses [Q] in points.
        points: The loss to find.

    Returns:
        The rate; 0 if the loss is smaller everywhere, inf if it is as large at the highest rate,
        NaN if there are no losses.
    """
    known = ~np.isnan(lost)
    if not known.any():
        return math.nan
    bpp, lost = bpp[known], falling(lost[known])
    worse = np.flatnonzero(lost >= points)
    if not len(worse):
        return 0.0
    last = int(worse[-1])
    if last == len(lost) - 1:
        return math.inf
    share = (lost[last] - points) / (lost[last] - lost[last + 1])
    low, high = math.log(bpp[last]), math.log(bpp[last + 1])
    return math.exp(low + share * (high - low))


def falling(values: Floats) -> Floats:
    """Return the non-increasing least-squares fit: isotonic regression (Ayer et al. 1955).

    >>> falling(np.array([5.0, 0.0, 2.0, 0.0]))
    array([5., 1., 1., 0.])
    """
    blocks: list[tuple[float, int]] = []  # mean and length
    for value in values.tolist():
        length = 1
        while blocks and blocks[-1][0] < value:
            mean, before = blocks.pop()
            value = (mean * before + value * length) / (before + length)
            length += before
        blocks.append((value, length))
    return np.repeat([mean for mean, _ in blocks], [length for _, length in blocks])


def thresholds(curves: Sequence[Curve]) -> list[Threshold]:
    """Return the rate of every loss in LOSSES, for every curve."""
    found = []
    for curve in curves:
        for points in LOSSES:
            resamples = np.array(
                [crossing(curve.bpp[:, b], curve.lost[:, b], points) for b in _usable(curve)]
            )
            if math.isnan(resamples[0]):  # nothing was scored
                continue
            low, high = np.quantile(resamples, (0.025, 0.975), method="nearest")
            measured = curve.points[0].bpp, curve.points[-1].bpp
            where = Interval(float(resamples[0]), float(low), float(high))
            found.append(Threshold(curve.codec, points, where, *measured))
    return found


def _usable(curve: Curve) -> list[int]:
    """Return the resamples in which every point has a value, after the estimate, 0."""
    whole = np.isfinite(curve.lost).all(0) & (curve.bpp > 0).all(0)
    return [0, *(int(b) for b in np.flatnonzero(whole) if b)]


def at_rates(curves: Sequence[Curve]) -> list[AtRate]:
    """Return losses at common rates that at least two codecs (or the only one) cover."""
    rows = []
    for rate in _RATES:
        lost = tuple((curve.codec, _lost_at(curve, rate)) for curve in curves)
        if sum(value is not None for _, value in lost) >= min(2, len(curves)):
            rows.append(AtRate(rate, lost))
    return rows


def _lost_at(curve: Curve, rate: float) -> Interval | None:
    if len(curve.points) < 2 or not curve.points[0].bpp <= rate <= curve.points[-1].bpp:
        return None
    # Resamples have other rates; beyond the end of a resampled curve, its end is used.
    values = [
        np.interp(math.log(rate), np.log(curve.bpp[:, b]), curve.lost[:, b]) for b in _usable(curve)
    ]
    return interval(np.array(values))


def correlations(study: Study, curves: Sequence[Curve]) -> list[Correlation]:
    """Return the correlation of the main score with each metric, by codec and over all codecs.

    Both are means over the pictures that the metric is defined for.
    """
    found = []
    for metric in study.metrics:
        pairs = {
            curve.codec: [
                (point.metrics[metric], point.paired[metric])
                for point in curve.points
                if math.isfinite(point.metrics[metric]) and math.isfinite(point.paired[metric])
            ]
            for curve in curves
        }
        everything = [pair for rows in pairs.values() for pair in rows]
        for codec, rows in [*pairs.items(), (None, everything)]:
            x, y = np.array(rows).reshape(-1, 2).T
            found.append(Correlation(metric, codec, len(rows), pearson(x, y), spearman(x, y)))
    return found


def pearson(x: Floats, y: Floats) -> float:
    """Return the correlation of values; NaN for fewer than three values, or constant ones.

    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])), 4)
    0.9934
    """
    if len(x) < 3:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0 else math.nan


def spearman(x: Floats, y: Floats) -> float:
    """Return the correlation of ranks; equal values have the mean of their ranks."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return ((last - count + last - 1) / 2)[place.reshape(-1)]


def comparisons(study: Study, curves: Sequence[Curve]) -> list[Comparison]:
    """Return the BD-rate of every codec against every other."""
    sign = study.task.scores[0].sign
    return [
        _compare(test, anchor, sign) for anchor in curves for test in curves if test is not anchor
    ]


def _compare(test: Curve, anchor: Curve, sign: int) -> Comparison:
    def once(b: int, pareto: bool) -> tuple[float, float]:
        sides = (anchor.bpp, sign * anchor.score, test.bpp, sign * test.score)
        result = bd(*(side[:, b] for side in sides), pareto=pareto)
        return result.percent, result.overlap

    thinned = False
    try:
        percent, overlap = once(0, pareto=False)
    except EvaluationError:
        thinned = True
        try:
            percent, overlap = once(0, pareto=True)
        except EvaluationError as error:
            return Comparison(test.codec, anchor.codec, refused=str(error))
    resamples = [percent]
    asked = min(_BD_RESAMPLES, test.score.shape[1] - 1)
    for b in range(1, 1 + asked):
        try:
            resamples.append(once(b, pareto=True)[0])
        except EvaluationError:  # the curve of this resample has too few rising points
            continue
    if len(resamples) < 1 + asked / 2:
        resamples = [percent]
    return Comparison(test.codec, anchor.codec, interval(np.array(resamples)), overlap, thinned)
