"""The result as one JSON document, as rows for a table, and written to a folder.

What numbers mean is said where they are made (figures.py, findings.py); for people there are
markdown.py, plots.py and page.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantal.eval.perception.figures import Curve, Figures, Interval, figures
from quantal.eval.perception.findings import (
    AtRate,
    Comparison,
    Correlation,
    Threshold,
    at_rates,
    comparisons,
    correlations,
    thresholds,
)
from quantal.eval.perception.run import Plan, Study
from quantal.eval.provenance import Provenance, provenance
from quantal.eval.rows import column, write_tables

__all__ = ["Result", "document", "result", "rows", "write"]


@dataclass(frozen=True)
class Result:
    """Everything that a table or a picture shows; findings are those of the first precision."""

    plan: Plan
    study: Study
    figures: Figures
    thresholds: Sequence[Threshold]
    at_rates: Sequence[AtRate]
    correlations: Sequence[Correlation]
    comparisons: Sequence[Comparison]
    provenance: Provenance

    @property
    def precision(self) -> str:
        """The precision that curves are told by."""
        return next(iter(self.study.models))

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Those of that precision."""
        return self.figures.of(self.precision)


def result(plan: Plan, study: Study) -> Result:
    """Make all figures of a finished measurement."""
    made = figures(study)
    curves = made.of(next(iter(study.models)))
    return Result(
        plan,
        study,
        made,
        thresholds(curves),
        at_rates(curves),
        correlations(study, curves),
        comparisons(study, curves),
        provenance(),
    )


def write(found: Result) -> list[Path]:
    """Write tables, document, report and plots to the plan's folder; the paths."""
    from quantal.eval.perception.markdown import report
    from quantal.eval.perception.page import page
    from quantal.eval.perception.plots import plot

    out = found.plan.out
    written = list(write_tables(rows(found), out / "perception"))
    texts = {
        "perception.json": json.dumps(document(found), indent=2) + "\n",
        "report.md": report(found),
        "report.html": page(found),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
        written.append(out / name)
    written += plot(found, out / "perception")
    return written


def rows(found: Result) -> list[dict[str, Any]]:
    """A row per precision, codec and quality."""
    table = []
    for curve in found.figures.curves:
        for point in curve.points:
            row: dict[str, Any] = {
                "codec": curve.codec,
                "version": found.study.versions[curve.codec],
                "model": found.study.models[curve.precision].label,
                "precision": curve.precision,
                "quality": point.quality,
                "pictures": point.pictures,
                "bpp": point.bpp,
            }
            for kind, values in (("", point.scores), ("_lost", point.lost)):
                for name, one in values.items():
                    row[f"{name}{kind}"] = _number(one.value)
                    row[f"{name}{kind}_low"] = _number(one.low)
                    row[f"{name}{kind}_high"] = _number(one.high)
            row |= {column(name): _number(value) for name, value in point.metrics.items()}
            table.append(row)
    return table


def document(found: Result) -> dict[str, Any]:
    """The whole result in JSON's types; what has no value is null."""
    study, plan = found.study, found.plan
    return {
        "task": study.task.name,
        "data": str(plan.data),
        "pictures": len(study.dataset.samples),
        "classes": len(study.dataset.classes),
        "model": study.models[found.precision].label,
        "precisions": list(study.models),
        "score": study.task.scores[0].name,
        "original": {
            precision: {name: _interval(one) for name, one in scores.items()}
            for precision, scores in found.figures.originals.items()
        },
        "codecs": {
            codec: {
                "version": study.versions[codec],
                "points": [
                    {
                        "quality": point.quality,
                        "precision": curve.precision,
                        "pictures": point.pictures,
                        "bpp": point.bpp,
                        "scores": {name: _interval(one) for name, one in point.scores.items()},
                        "lost": {name: _interval(one) for name, one in point.lost.items()},
                        "metrics": {
                            column(name): _number(value) for name, value in point.metrics.items()
                        },
                    }
                    for curve in found.figures.curves
                    if curve.codec == codec
                    for point in curve.points
                ],
                "bpp_at_loss": {
                    f"{one.points:g}": _interval(one.bpp)
                    for one in found.thresholds
                    if one.codec == codec
                },
            }
            for codec in _codecs(found.figures.curves)
        },
        "lost_at_bpp": [
            {"bpp": row.bpp, "lost": {c: _interval(one) if one else None for c, one in row.lost}}
            for row in found.at_rates
        ],
        "correlation": [
            {
                "metric": column(one.metric),
                "codec": one.codec,
                "points": one.points,
                "pearson": _number(one.pearson),
                "spearman": _number(one.spearman),
            }
            for one in found.correlations
        ],
        "bd_rate": [
            {
                "test": one.test,
                "anchor": one.anchor,
                "percent": _interval(one.percent) if one.percent else None,
                "overlap": one.overlap,
                "thinned": one.thinned,
                "refused": one.refused,
            }
            for one in found.comparisons
        ],
        "failures": [
            {key: entry[key] for key in ("codec", "quality", "picture", "precision", "error")}
            for entry in study.failures
        ],
        "provenance": vars(found.provenance),
    }


def _codecs(curves: Iterable[Curve]) -> list[str]:
    return list(dict.fromkeys(curve.codec for curve in curves))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(one: Interval) -> dict[str, float | None]:
    return {"value": _number(one.value), "low": _number(one.low), "high": _number(one.high)}
