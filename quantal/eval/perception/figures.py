"""Scores, and what is lost of them, with confidence: the bootstrap over pictures.

The same thousand draws of pictures serve every codec, quality and precision, so differences
between them are paired (Efron 1979; percentile intervals of 95 %). What follows from the curves
stands in findings.py.
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

_DRAWS = 1000


@dataclass(frozen=True)
class Interval:
    """A value and the range that 95 % of the bootstrap's draws fall in."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A codec at a quality, as a model of a precision sees it; means over pictures.

    pictures: how many gave an answer, which all figures here rest on. scores, lost: by score, in
    percent and in points; lost against the originals of those same pictures, positive for worse.
    metrics: by name, nan where undefined.
    """

    quality: float
    pictures: int
    bpp: float
    scores: Mapping[str, Interval]
    lost: Mapping[str, Interval]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """A codec's points by rising rate. bpp, score, lost: of the main score, [Q, 1 + draws].

    The first column is the estimate itself, the others are the bootstrap's.
    """

    codec: str
    precision: str
    points: tuple[Point, ...]
    bpp: Floats
    score: Floats
    lost: Floats


@dataclass(frozen=True)
class Figures:
    """originals: by precision and score, of all pictures that gave an answer uncoded.

    curves: by codec, then precision, as they were asked for; without points that no picture
    reached.
    """

    originals: Mapping[str, Mapping[str, Interval]]
    curves: tuple[Curve, ...]

    def of(self, precision: str) -> tuple[Curve, ...]:
        """The curves of a precision that have points."""
        return tuple(c for c in self.curves if c.precision == precision and c.points)


def figures(study: Study) -> Figures:
    """All scores of a study; EvaluationError if the model answered no original."""
    names = [sample.name for sample in study.dataset.samples]
    count = len(names)
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _DRAWS)
    weights: Floats = np.concatenate([np.ones((1, count)), draws])
    originals = {}
    curves = []
    for precision in study.models:
        seen = _Seen(study, ORIGINAL, 0.0, precision, weights)
        if not seen.answered.any():
            reasons = [entry["error"] for entry in seen.entries if entry.get("error")]
            raise EvaluationError(
                f"the model answered for none of {count} originals; the first failed with: "
                f"{reasons[0]}"
            )
        originals[precision] = {
            name: interval(values) for name, values in seen.scores(seen.answered).items()
        }
        for codec, qualities in study.qualities.items():
            if codec != ORIGINAL:
                curves.append(_curve(study, codec, qualities, precision, seen))
    return Figures(originals, tuple(curves))


class _Seen:
    """What a model said of the pictures of one codec at one quality."""

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
        """Scores over all draws [B] if only the kept pictures [P] count, which must be answered."""
        key = kept.tobytes()
        if key not in self._scores:
            self._scores[key] = self._tally((self.weights * kept)[:, self._places])
        return self._scores[key]


def _curve(
    study: Study,
    codec: str,
    qualities: tuple[float, ...],
    precision: str,
    original: _Seen,
) -> Curve:
    main = study.task.scores[0]
    rows = []
    for quality in qualities:
        seen = _Seen(study, codec, quality, precision, original.weights)
        both = seen.answered & original.answered
        if not both.any():
            continue
        shared = original.weights * both
        scores = seen.scores(both)
        before = original.scores(both)
        lost = {s.name: s.sign * (before[s.name] - scores[s.name]) for s in study.task.scores}
        rates = np.array([entry.get("bpp") or 0.0 for entry in seen.entries])
        with np.errstate(invalid="ignore"):
            bpp = shared @ rates / shared.sum(1)
        kept = [entry for entry, counts in zip(seen.entries, both, strict=True) if counts]
        point = Point(
            quality,
            int(both.sum()),
            float(bpp[0]),
            {name: interval(values) for name, values in scores.items()},
            {name: interval(values) for name, values in lost.items()},
            {
                name: _mean(name, [entry["metrics"].get(name) for entry in kept])
                for name in study.metrics
            },
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


def _mean(name: str, values: list[float | None]) -> float:
    """The mean over those pictures that the metric is defined for."""
    there = [value for value in values if value is not None]
    return mean(name, there).value if there else float("nan")


def interval(values: Floats) -> Interval:
    """From the estimate, then the draws; draws without a value are left out."""
    draws = values[1:][np.isfinite(values[1:])]
    if not len(draws):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(float(values[0]), float(low), float(high))
