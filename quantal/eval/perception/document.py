"""A result as a JSON document and as rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from quantal.eval.perception.figures import Curve, Interval
from quantal.eval.perception.result import Result
from quantal.eval.rows import column
from quantal.eval.texts import as_text

__all__ = ["document", "rows"]


def rows(found: Result) -> list[dict[str, Any]]:
    """Return a row for each precision, codec and quality."""
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
    """Return a result as JSON types; missing values are None."""
    study, plan = found.study, found.plan
    return {
        "task": study.task.name,
        "data": as_text(plan.data),
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
