"""A rate-distortion result as a JSON document, as printed by `quantal eval rd --json`."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from typing import Any

from quantal.eval.bdrate import BD
from quantal.eval.curves import Curve
from quantal.eval.exact import exact_codecs
from quantal.eval.metrics import about
from quantal.eval.rd import RDResult
from quantal.eval.rows import column
from quantal.eval.texts import as_text

__all__ = ["comparisons", "document"]

RESAMPLES = 1000


def comparisons(result: RDResult) -> dict[str, dict[str, BD | str]]:
    """Compare every curve with the anchor, with confidence intervals.

    Returns:
        Metric -> name of a curve -> Bjøntegaard deltas, or the reason why there are none.
    """
    anchor = result.anchor
    if anchor is None:
        return {metric: {} for metric in result.plan.metrics}
    return {
        metric: {
            name: result.compare(name, anchor, metric, RESAMPLES)
            for name in result.curves
            if name != anchor
        }
        for metric in result.plan.metrics
    }


def document(
    result: RDResult, deltas: dict[str, dict[str, BD | str]] | None = None
) -> dict[str, Any]:
    """Return a result as JSON types, without rows; numbers that are not finite become None.

    Args:
        result: The result.
        deltas: The result of `comparisons`, if it was computed before.
    """
    deltas = comparisons(result) if deltas is None else deltas
    plan = result.plan
    names = [*result.sheets, *(name for name in result.curves if name not in result.sheets)]
    return {
        "data": as_text(os.path.basename(os.path.realpath(plan.data))),
        "images": len(result.pictures),
        "anchor": result.anchor,
        "codecs": {name: _codec(result, name, deltas) for name in names},
        "lossless": {
            name: {key: _finite(value) for key, value in asdict(exact).items()}
            for name, exact in exact_codecs(result.rows).items()
        },
        "failures": [
            {"codec": r.codec, "picture": r.picture, "quality": r.quality, "error": r.error}
            for r in result.failures
        ],
        "notes": list(result.notes),
        "definitions": {
            "mean": plan.mean,
            "method": plan.method,
            "metrics": {column(name): about(name).definition for name in plan.metrics},
        },
        "provenance": asdict(result.provenance)
        | {"runs": list(dict.fromkeys(row.run for row in result.rows if row.run))},
    }


def _codec(result: RDResult, name: str, deltas: dict[str, dict[str, BD | str]]) -> dict[str, Any]:
    sheet, curve = result.sheets.get(name), result.curves.get(name)
    entry: dict[str, Any] = {
        "version": sheet.version if sheet else curve.source if curve else "",
        "images": curve.pictures if curve else 0,
        "left_out": dict(sheet.left_out) if sheet else {},
        "points": _points(curve) if curve else [],
    }
    for metric, by_name in deltas.items():
        key = column(metric)
        found = by_name.get(name)
        entry[f"bd_rate_{key}"] = _finite(found.percent) if isinstance(found, BD) else None
        if isinstance(found, BD):
            entry[f"bd_{key}"] = _finite(found.quality)
            entry[f"bd_rate_{key}_interval"] = found.interval
            entry[f"bd_rate_{key}_range"] = [found.low, found.high]
            entry[f"bd_rate_{key}_overlap"] = found.overlap
            entry[f"bd_rate_{key}_images"] = found.pictures
            entry[f"bd_rate_{key}_note"] = found.note or None
        elif found is not None:
            entry[f"bd_rate_{key}_reason"] = found
    return entry


def _points(curve: Curve) -> list[dict[str, float | None]]:
    return [
        {"quality": _finite(curve.quality[i]), "bpp": curve.bpp[i]}
        | {column(metric): _finite(values[i]) for metric, values in curve.values.items()}
        | {cost: _finite(values[i]) for cost, values in curve.costs.items()}
        for i in range(len(curve.bpp))
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
