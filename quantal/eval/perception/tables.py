"""The tables of a report, as cells for Markdown and HTML.

figures.py and findings.py compute the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from quantal.eval.metrics import about
from quantal.eval.perception.figures import Interval
from quantal.eval.perception.findings import LOSSES, Comparison, Threshold
from quantal.eval.perception.result import Result

__all__ = ["Table", "tables"]

_FAILURES_SHOWN = 20
_NONE = "—"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: Title.
        note: One or two sentences about the content.
        head: Titles of columns.
        rows: Rows of cells.
    """

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(found: Result) -> list[Table]:
    """Return all tables of a report that have rows, in order."""
    makers: list[Callable[[Result], Table]] = [
        _originals,
        _thresholds,
        _equal_bytes,
        _points,
        _grid,
        _correlations,
        _comparisons,
        _failures,
    ]
    return [table for make in makers if (table := make(found)).rows]


def _originals(found: Result) -> Table:
    scores = found.study.task.scores
    return Table(
        "The originals",
        f"What {found.study.models[found.precision].label} makes of the pictures before any codec; "
        "in brackets the range of 95 % of bootstrap draws over pictures.",
        ("precision", *(f"{score.title}, %" for score in scores)),
        tuple(
            (precision, *(_spread(values[score.name]) for score in scores))
            for precision, values in found.figures.originals.items()
        ),
    )


def _thresholds(found: Result) -> Table:
    by_codec: dict[str, list[Threshold]] = {}
    for one in found.thresholds:
        by_codec.setdefault(one.codec, []).append(one)
    return Table(
        "Where points are lost",
        f"The rate, in bits per pixel, below which {_main(found)} is worse by so many points than "
        "on the originals: less is better. Losses are made to fall with the rate (isotonic "
        "regression), straight over its logarithm between measured ones.",
        ("codec", *(f"{points:g} point{'s'[: points != 1]}" for points in LOSSES)),
        tuple((codec, *map(_rate, row)) for codec, row in by_codec.items()),
    )


def _equal_bytes(found: Result) -> Table:
    return Table(
        "Lost at equal bytes",
        f"Points of {_main(found)} lost at a rate. A codec has a cell where it was measured both "
        "below and above.",
        ("bpp", *(curve.codec for curve in found.curves)),
        tuple(
            (f"{row.bpp:g}", *(_spread(one) if one else _NONE for _, one in row.lost))
            for row in found.at_rates
        ),
    )


def _points(found: Result) -> Table:
    main, *others = found.study.task.scores
    total = len(found.study.dataset.samples)
    metrics = found.study.metrics
    rows = []
    for curve in found.curves:
        for point in curve.points:
            rows.append(
                (
                    curve.codec,
                    f"{point.quality:g}",
                    f"{point.bpp:.3f}",
                    _spread(point.scores[main.name]),
                    _spread(point.lost[main.name]),
                    *(f"{point.scores[score.name].value:.1f}" for score in others),
                    *(_figure(point.metrics[name]) for name in metrics),
                    f"{point.pictures} of {total}",
                )
            )
    return Table(
        "Every point",
        "Means over the pictures that the codec and the model both managed at every quality: one "
        "that failed at a quality is left out at all. A metric's is over those that it is defined "
        "for.",
        (
            "codec",
            "quality",
            "bpp",
            f"{main.title}, %",
            "points lost",
            *(f"{score.title}, %" for score in others),
            *(_titled(name) for name in metrics),
            "pictures",
        ),
        tuple(rows),
    )


def _grid(found: Result) -> Table:
    """Return the scores of every codec and quality in every precision."""
    precisions = tuple(found.study.models)
    name = found.study.task.scores[0].name
    rows = []
    if len(precisions) > 1:
        originals = [found.figures.originals[p][name].value for p in precisions]
        rows.append(("original", _NONE, _NONE, *(f"{value:.1f}" for value in originals)))
        for codec in dict.fromkeys(curve.codec for curve in found.figures.curves):
            by_precision = {c.precision: c for c in found.figures.curves if c.codec == codec}
            for point in by_precision[found.precision].points:
                cells = []
                for precision in precisions:
                    same = [p for p in by_precision[precision].points if p.quality == point.quality]
                    cells.append(
                        _score_and_loss(same[0].scores[name], same[0].lost[name]) if same else _NONE
                    )
                rows.append((codec, f"{point.quality:g}", f"{point.bpp:.3f}", *cells))
    return Table(
        "Codec and precision of the model",
        f"{_main(found)}, %, and in brackets points lost against the originals at the same "
        "precision. int8 is dynamic quantisation of every convolution and linear layer, simulated.",
        ("codec", "quality", "bpp", *precisions),
        tuple(rows),
    )


def _correlations(found: Result) -> Table:
    codecs = dict.fromkeys(one.codec for one in found.correlations)
    rows = []
    for metric in found.study.metrics:
        cells = [
            f"{_signed(one.pearson)} / {_signed(one.spearman)} ({one.points})"
            for one in found.correlations
            if one.metric == metric
        ]
        rows.append((_titled(metric), *cells))
    return Table(
        "Correlation with metrics",
        f"Of {_main(found)} with the mean of a metric, both over the pictures that the metric is "
        "defined for, over the qualities of a codec and over all: Pearson / Spearman (points). "
        "With so few points a codec, only large differences mean anything.",
        ("metric", *(codec or "all" for codec in codecs)),
        tuple(rows),
    )


def _comparisons(found: Result) -> Table:
    return Table(
        f"BD-rate by {_main(found)}",
        "How much more rate the first codec needs for an equal score; negative is less. Curves "
        "that don't rise everywhere are thinned: points that cost more than another and score no "
        "higher are left out.",
        ("codec", "against", "BD-rate", "overlap", "curves"),
        tuple((one.test, one.anchor, *_compared(one)) for one in found.comparisons),
    )


def _compared(one: Comparison) -> tuple[str, str, str]:
    if one.percent is None:
        return _NONE, _NONE, one.refused or ""
    bounds = ""
    if math.isfinite(one.percent.low):
        bounds = f" [{one.percent.low:+.0f}, {one.percent.high:+.0f}]"
    state = "thinned" if one.thinned else "as measured"
    return f"{one.percent.value:+.1f} %{bounds}", f"{100 * one.overlap:.0f} %", state


def _failures(found: Result) -> Table:
    failed = found.study.failures
    return Table(
        "Failures",
        f"{len(failed)} answers are missing; their pictures are left out at all qualities of the "
        "codec." + (f" The first {_FAILURES_SHOWN}:" if len(failed) > _FAILURES_SHOWN else ""),
        ("codec", "quality", "picture", "precision", "reason"),
        tuple(
            (
                str(entry["codec"]),
                f"{entry['quality']:g}",
                str(entry["picture"]),
                str(entry["precision"]),
                str(entry["error"]),
            )
            for entry in failed[:_FAILURES_SHOWN]
        ),
    )


def _main(found: Result) -> str:
    return found.study.task.scores[0].title


def _titled(metric: str) -> str:
    known = about(metric)
    return f"{known.title}, {known.unit}" if known.unit else known.title


def _spread(one: Interval) -> str:
    if not math.isfinite(one.low):
        return f"{one.value:.1f}"
    return f"{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]"


def _score_and_loss(score: Interval, lost: Interval) -> str:
    return f"{score.value:.1f} ({round(-lost.value, 1) + 0:+.1f})"  # never -0.0


def _rate(one: Threshold) -> str:
    """Format a rate and its interval, which may exceed the measured rates."""

    def shown(bpp: float) -> str:
        if bpp < one.lowest:
            return f"under {one.lowest:.2f}"
        return f"over {one.highest:.2f}" if bpp > one.highest else f"{bpp:.2f}"

    value, low, high = shown(one.bpp.value), shown(one.bpp.low), shown(one.bpp.high)
    return value if value == low == high else f"{value} [{low}, {high}]"


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return _NONE if math.isnan(value) else "∞"
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else _NONE
