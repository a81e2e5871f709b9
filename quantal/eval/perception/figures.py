"""Scores and losses with bootstrap intervals over pictures.

The same thousand resamples are used for every codec, quality and precision, so differences between
them are paired (Efron 1979; 95 % percentile intervals). findings.py analyses the curves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantal.errors import EvaluationError
from quantal.eval.metrics import mean
from quantal.eval.perception.base import Floats
from quantal.eval.perception.look import ORIGINAL
from quantal.eval.perception.run import Study

__all__ = ["Curve", "Figures", "Interval", "Point", "figures", "interval"]

_RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % bootstrap interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval; NaN if there is none.
        high: Upper end of the interval; NaN if there is none.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """The scores of a model on pictures of one codec at one quality; means over pictures.

    Attributes:
        quality: The quality.
        pictures: Number of pictures with predictions at all qualities of the codec; rates and
            scores are means over them.
        bpp: Bits per pixel.
        scores: Score -> value in percent.
        lost: Score -> loss in points against the originals of the same pictures; positive if
            worse.
        metrics: Metric -> mean over the pictures that have it at all qualities; NaN if none has.
        paired: Metric -> main score over the pictures that have the metric.
    """

    quality: float
    pictures: int
    bpp: float
    scores: Mapping[str, Interval]
    lost: Mapping[str, Interval]
    metrics: Mapping[str, float]
    paired: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """The points of a codec in order of rate.

    Arrays are [Q, 1 + resamples]: the estimate, then the bootstrap resamples.

    Attributes:
        codec: Label of the codec.
        precision: Precision of the model.
        points: The points [Q].
        bpp: Bits per pixel.
        score: Main score.
        lost: Loss of the main score.
    """

    codec: str
    precision: str
    points: tuple[Point, ...]
    bpp: Floats
    score: Floats
    lost: Floats


@dataclass(frozen=True)
class Figures:
    """The scores of a study.

    Attributes:
        originals: Precision -> score -> value over all original pictures with a prediction.
        curves: A curve for each precision and codec; points without a score are left out.
    """

    originals: Mapping[str, Mapping[str, Interval]]
    curves: tuple[Curve, ...]

    def of(self, precision: str) -> tuple[Curve, ...]:
        """Return the curves of a precision that have points."""
        return tuple(c for c in self.curves if c.precision == precision and c.points)


def figures(study: Study) -> Figures:
    """Compute all scores of a study.

    Raises:
        EvaluationError: The model failed on all originals, or their labels have nothing to score.
    """
    names = [sample.name for sample in study.dataset.samples]
    count = len(names)
    resamples = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    weights: Floats = np.concatenate([np.ones((1, count)), resamples])
    originals = {}
    curves = []
    for precision in study.models:
        seen = _Seen(study, ORIGINAL, 0.0, precision, weights)
        if not seen.answered.any():
            reasons = [entry["error"] for entry in seen.entries if entry.get("error")]
            raise EvaluationError(
                f"the model failed on all {count} originals; the first error: {reasons[0]}"
            )
        originals[precision] = {
            name: interval(values) for name, values in seen.scores(seen.answered).items()
        }
        main = study.task.scores[0]
        if not np.isfinite(originals[precision][main.name].value):
            raise EvaluationError(
                f"the labels of the {seen.answered.sum()} originals that the model processed "
                f"have nothing to score: {main.title} is undefined"
            )
        for codec, qualities in study.qualities.items():
            if codec != ORIGINAL:
                curves.append(_curve(study, codec, qualities, precision, seen))
    return Figures(originals, tuple(curves))


class _Seen:
    """The predictions of a model for one codec at one quality."""

    def __init__(
        self, study: Study, codec: str, quality: float, precision: str, weights: Floats
    ) -> None:
        self.weights = weights
        self._scores: dict[bytes, Mapping[str, Floats]] = {}
        rows = study.entries[codec, quality, precision]
        samples = study.dataset.samples
        self.entries = [rows[sample.name] for sample in samples]
        self.answered = np.array([not entry.get("error") for entry in self.entries])
        self._places = np.flatnonzero(self.answered)
        if len(self._places):
            self._tally = study.task.tally(
                study.dataset,
                [samples[i] for i in self._places],
                [self.entries[i]["prediction"] for i in self._places],
            )

    def scores(self, kept: NDArray[np.bool_]) -> Mapping[str, Floats]:
        """Return scores of all resamples [B] over the kept pictures [P], which have predictions."""
        key = kept.tobytes()
        if key not in self._scores:
            self._scores[key] = self._tally((self.weights * kept)[:, self._places])
        return self._scores[key]

    def score(self, name: str, kept: NDArray[np.bool_]) -> float:
        """Return a score over the kept pictures, without resamples; NaN for no pictures."""
        if not kept.any():
            return float("nan")
        known = self._scores.get(kept.tobytes())
        found = known or self._tally(kept[None, self._places].astype(np.float64))
        return float(found[name][0])

    def metric(self, name: str) -> Floats:
        """Return a metric of every picture [P]; NaN where it is undefined."""
        values = [(entry.get("metrics") or {}).get(name) for entry in self.entries]
        return np.array([np.nan if value is None else value for value in values])


def _curve(
    study: Study,
    codec: str,
    qualities: tuple[float, ...],
    precision: str,
    original: _Seen,
) -> Curve:
    main = study.task.scores[0]
    tried = [_Seen(study, codec, q, precision, original.weights) for q in qualities]
    reached = {q: seen for q, seen in zip(qualities, tried, strict=True) if seen.answered.any()}
    # All points use the same pictures; otherwise failures would bend the curve.
    kept = original.answered.copy()
    for seen in reached.values():
        kept &= seen.answered
    defined = {
        name: kept
        & _defined(
            np.reshape([seen.metric(name) for seen in reached.values()], (-1, len(kept))), kept
        )
        for name in study.metrics
    }
    rows = []
    for quality, seen in reached.items() if kept.any() else ():
        shared = original.weights * kept
        scores = seen.scores(kept)
        if not np.isfinite(scores[main.name][0]):
            continue
        before = original.scores(kept)
        lost = {s.name: s.sign * (before[s.name] - scores[s.name]) for s in study.task.scores}
        rates = np.array([entry.get("bpp") or 0.0 for entry in seen.entries])
        with np.errstate(invalid="ignore"):
            bpp = shared @ rates / shared.sum(1)
        point = Point(
            quality,
            int(kept.sum()),
            float(bpp[0]),
            {name: interval(values) for name, values in scores.items()},
            {name: interval(values) for name, values in lost.items()},
            {name: _mean(name, seen.metric(name)[there]) for name, there in defined.items()},
            {name: seen.score(main.name, there) for name, there in defined.items()},
        )
        rows.append((point, bpp, scores[main.name], lost[main.name]))
    rows.sort(key=lambda row: row[0].bpp)
    shape = len(rows), len(original.weights)
    return Curve(
        codec,
        precision,
        tuple(row[0] for row in rows),
        np.reshape([row[1] for row in rows], shape),
        np.reshape([row[2] for row in rows], shape),
        np.reshape([row[3] for row in rows], shape),
    )


def _defined(values: Floats, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pictures [P] have values [Q, P] that a mean can be made of.

    An infinite PSNR makes the mean infinite. Blank pictures have it, and are left out; where most
    pictures have it, the quality is lossless.
    """
    infinite = np.isinf(values) & kept
    few = infinite.sum(1, keepdims=True) <= kept.sum() / 2
    lacking = np.isnan(values) | (infinite & few)
    return ~lacking.any(0)


def _mean(name: str, values: Floats) -> float:
    return mean(name, values.tolist()).value if len(values) else float("nan")


def interval(values: Floats) -> Interval:
    """Return the interval of an estimate and its resamples [1 + B]; NaN resamples are ignored."""
    resamples = values[1:][np.isfinite(values[1:])]
    if not len(resamples):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.percentile(resamples, (2.5, 97.5))
    return Interval(float(values[0]), float(low), float(high))
