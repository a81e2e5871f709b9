"""Bjøntegaard deltas: the average difference in rate, or quality, between two codecs.

Source: G. Bjøntegaard, VCEG-M33 (2001), with the interpolations studied by Herglotz et al., "The
Bjøntegaard Bible" (arXiv 2304.12852), whose package `bjontegaard` is used here. A result includes
the range of quality that was compared. Curves that can't be compared raise an error.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from quantal.arguments import flag, whole
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval._optional import require, unknown
from quantal.eval.curves import Curve, Sheet
from quantal.eval.infinite import why_infinite
from quantal.eval.metrics import MEANS, about, scale_for_bd
from quantal.eval.plans import fraction

__all__ = ["BD", "METHODS", "Method", "bd", "compare"]

Method: TypeAlias = Literal["pchip", "akima", "cubic"]
METHODS: tuple[Method, ...] = ("pchip", "akima", "cubic")
#: A third-order polynomial needs four points; interpolation through two points is a line.
_LEAST_POINTS = {"pchip": 3, "akima": 3, "cubic": 4}
_RESAMPLES = 1000
#: With fewer pictures most resamples are the same, and their spread is meaningless.
_LEAST_PICTURES = 5

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BD:
    """The Bjøntegaard deltas of a test curve against an anchor.

    Attributes:
        percent: BD-rate in percent: the additional rate of the test at equal quality; negative
            if it needs less.
        quality: BD-quality: the additional quality of the test at equal rate, on the metric's BD
            scale; NaN if the rates overlap too little.
        low: Lower end of the compared range of quality.
        high: Upper end of the compared range of quality.
        overlap: The compared range as a fraction of the shorter curve's range, 0..1.
        interval: 95 % bootstrap interval of `percent` over pictures; None with a published curve
            or fewer than five pictures.
        pictures: Number of pictures that both codecs were measured on; 0 with a published curve.
        note: What makes the figure doubtful, such as rates that don't overlap; "" if nothing does.
    """

    percent: float
    quality: float
    low: float
    high: float
    overlap: float
    interval: tuple[float, float] | None = None
    pictures: int = 0
    note: str = ""


def bd(
    anchor_bpp: Sequence[float] | Array,
    anchor_quality: Sequence[float] | Array,
    test_bpp: Sequence[float] | Array,
    test_quality: Sequence[float] | Array,
    *,
    method: Method = "pchip",
    min_overlap: float = 0.5,
    pareto: bool = False,
) -> BD:
    """Compute BD-rate and BD-quality of two curves, given as points in any order.

    Args:
        anchor_bpp: Rates of the anchor [N], in bits per pixel.
        anchor_quality: Qualities of the anchor [N], higher is better, such as PSNR in dB. They
            should be close to linear in log rate.
        test_bpp: Rates of the test [M].
        test_quality: Qualities of the test [M].
        method: Interpolation. pchip and akima pass through every point; cubic is the polynomial
            fit of 2001.
        min_overlap: Fraction of the shorter curve's range of quality that both curves must share.
        pareto: Leave out points with more rate and no more quality than another point, instead of
            raising an error.

    Raises:
        EvaluationError: A curve has too few points, has values that are not finite or does not
            rise, or the curves overlap too little.
    """
    if method not in METHODS:
        raise unknown("method of interpolation", method, METHODS)
    min_overlap, pareto = fraction("min_overlap", min_overlap), flag("pareto", pareto)
    least = _LEAST_POINTS[method]
    anchor = _checked("anchor", anchor_bpp, anchor_quality, least, pareto)
    test = _checked("test", test_bpp, test_quality, least, pareto)
    low, high = max(anchor[1][0], test[1][0]), min(anchor[1][-1], test[1][-1])
    shorter = min(np.ptp(anchor[1]), np.ptp(test[1]))
    overlap = max(high - low, 0.0) / shorter
    if overlap < min_overlap:
        raise EvaluationError(
            f"the curves overlap too little: the anchor spans quality {anchor[1][0]:.4g} to "
            f"{anchor[1][-1]:.4g}, the test {test[1][0]:.4g} to {test[1][-1]:.4g}, which share "
            f"{100 * overlap:.0f} % of the shorter, expected at least {100 * min_overlap:.0f} %; "
            "measure both over a common range"
        )
    percent, quality = _deltas(anchor, test, method, min_overlap)
    note = _note_on_rates(anchor[0], test[0])
    return BD(percent, quality, float(low), float(high), float(overlap), note=note)


def _note_on_rates(anchor: Array, test: Array) -> str:
    """Return a note if no rate of one curve is within the other's; a better codec may cause it."""
    if max(anchor[0], test[0]) <= min(anchor[-1], test[-1]):
        return ""
    return (
        f"the rates of the two curves don't overlap: {test[0]:.4g} to {test[-1]:.4g} against "
        f"{anchor[0]:.4g} to {anchor[-1]:.4g} of the anchor; are they in the same unit?"
    )


def _deltas(
    anchor: tuple[Array, Array], test: tuple[Array, Array], method: Method, min_overlap: float
) -> tuple[float, float]:
    package = require("bjontegaard", "BD-rate")
    settings = {"method": method, "require_matching_points": False, "min_overlap": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about overlap, which is checked above
        percent = float(package.bd_rate(*anchor, *test, **settings))
        one, other = np.log(anchor[0]), np.log(test[0])
        shared = min(one[-1], other[-1]) - max(one[0], other[0])
        enough = shared >= min_overlap * min(np.ptp(one), np.ptp(other))
        quality = float(package.bd_psnr(*anchor, *test, **settings)) if enough else float("nan")
    return percent, quality


def _numbers(what: str, given: Sequence[float] | Array) -> Array:
    try:
        found = np.asarray(given)
    except (TypeError, ValueError, RuntimeError):  # of torch, on a GPU or with a gradient
        found = np.asarray("")
    if found.size and found.dtype.kind not in "iuf":
        raise ArgumentError(f"the {what} must be numbers, not {given!r:.60}")
    return found.astype(np.float64)


def _checked(
    role: str,
    bpp: Sequence[float] | Array,
    quality: Sequence[float] | Array,
    least: int,
    pareto: bool,
) -> tuple[Array, Array]:
    """Return the distinct points by rate; EvaluationError if they are not a valid curve."""
    rates, values = _numbers(f"{role}'s rates", bpp), _numbers(f"{role}'s qualities", quality)
    if rates.shape != values.shape or rates.ndim != 1:
        raise EvaluationError(
            f"the {role}'s curve has {rates.size} rates and {values.size} qualities, expected as "
            "many of each"
        )
    bad = ~(np.isfinite(rates) & np.isfinite(values) & (rates > 0))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise EvaluationError(
            f"the {role}'s curve has the point ({rates[at]:g} bpp, {values[at]:g}), expected "
            "finite numbers and a rate above 0; a lossless or failed point can't be compared"
        )
    points = sorted(set(zip(rates.tolist(), values.tolist(), strict=True)))
    if pareto:
        points = [p for i, p in enumerate(points) if all(p[1] > q[1] for q in points[:i])]
    if len(points) < least:
        raise EvaluationError(
            f"the {role}'s curve has {len(points)} different points, expected at least {least}; "
            "measure more qualities"
        )
    for (rate, value), (more, less) in itertools.pairwise(points):
        if less <= value or more <= rate:
            raise EvaluationError(
                f"the {role}'s curve doesn't rise: quality {value:.4g} at {rate:.4g} bpp is "
                f"followed by {less:.4g} at {more:.4g} bpp; leave such points out (--pareto) or "
                "measure on more pictures"
            )
    ordered = np.array(points)
    return ordered[:, 0], ordered[:, 1]


def compare(
    test: Sheet | Curve,
    anchor: Sheet | Curve,
    metric: str = "psnr",
    *,
    method: Method = "pchip",
    mean: str = "picture",
    min_overlap: float = 0.5,
    pareto: bool = False,
    resamples: int = _RESAMPLES,
) -> BD:
    """Compare a codec with an anchor by a metric, with a confidence interval over pictures.

    Two measured codecs are compared on the pictures that both coded.

    Args:
        test: The codec to compare: its measurements, or a published curve.
        anchor: The codec to compare it with.
        metric: Name of the metric.
        method: Interpolation, see `bd`.
        mean: How values are averaged over pictures, one of `quantal.eval.metrics.MEANS`.
        min_overlap: See `bd`.
        pareto: See `bd`.
        resamples: Number of bootstrap resamples over pictures; 0 for no interval. Both codecs are
            resampled alike (paired bootstrap).

    Raises:
        EvaluationError: The codecs share no picture, a codec was not measured by the metric, or
            the curves can't be compared.
    """
    pictures = 0
    resamples = whole("resamples", resamples, 0)
    if mean not in MEANS:
        raise unknown("mean", mean, MEANS)
    if isinstance(test, Sheet) and isinstance(anchor, Sheet):
        test, anchor = _on_common_pictures(test, anchor)
        pictures = len(test.pictures)

    def once(index: npt.NDArray[np.intp] | None) -> BD:
        sides: list[Array] = []
        for role, side in (("anchor", anchor), ("test", test)):
            if isinstance(side, Sheet) and index is not None:
                side = side.at(index)
            sides += _points(role, side, metric, mean)
        return bd(*sides, method=method, min_overlap=min_overlap, pareto=pareto)

    estimate = replace(once(None), pictures=pictures)
    # A published mean can't be resampled: its pictures are not known.
    if resamples == 0 or pictures < _LEAST_PICTURES:
        return estimate
    random = np.random.default_rng(0)  # a fixed seed makes results reproducible
    percents = []
    for _ in range(resamples):
        try:
            percents.append(once(random.integers(pictures, size=pictures)).percent)
        except EvaluationError:  # the mean curve of this resample does not rise
            continue
    if len(percents) < resamples / 2:
        return estimate
    low, high = np.percentile(percents, (2.5, 97.5))
    return replace(estimate, interval=(float(low), float(high)))


def _points(role: str, side: Sheet | Curve, metric: str, mean: str) -> tuple[Array, Array]:
    """Return rates and qualities [N] of a curve, or of the means of a sheet; the latter scaled."""
    curve = side.curve(mean) if isinstance(side, Sheet) else side
    if metric not in curve.values:
        raise EvaluationError(f"{curve.name} was not measured by {metric!r}")
    title = about(metric).title
    if np.isnan(curve.values[metric]).all():
        raise EvaluationError(
            f"{title} is not defined for the pictures of {curve.name}; it needs "
            f"{about(metric).smallest} pixels a side"
        )
    values = scale_for_bd(metric, np.array(curve.values[metric]))
    if np.isinf(values).any():
        at = int(np.flatnonzero(np.isinf(values))[0])
        exact: list[str] = []
        if isinstance(side, Sheet):
            place = side.quality.index(curve.quality[at])
            own = np.isinf(scale_for_bd(metric, side.values[metric][:, place]))
            exact = [side.pictures[i] for i in np.flatnonzero(own)]
        what = f"the {role}'s curve has an infinite {title} at {curve.bpp[at]:.4g} bpp"
        raise EvaluationError(why_infinite(what, exact, curve.pictures))
    return np.array(curve.bpp), values


def _on_common_pictures(test: Sheet, anchor: Sheet) -> tuple[Sheet, Sheet]:
    """Return both sheets on their common pictures, whose digests must agree."""
    digests = dict(zip(anchor.pictures, anchor.digests, strict=True))
    common = [name for name in test.pictures if name in digests]
    if not common:
        raise EvaluationError(
            f"{test.codec} and {anchor.codec} have no picture in common that both coded"
        )
    for name, digest in zip(test.pictures, test.digests, strict=True):
        other = digests.get(name, digest)
        if digest and other and digest != other:
            raise EvaluationError(
                f"{test.codec} and {anchor.codec} were measured on different pictures called "
                f"{name!r}; measure both on the same"
            )
    return test.only(common), anchor.only(common)
