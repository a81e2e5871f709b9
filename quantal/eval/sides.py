"""Curves for BD-rate from files: tables of `quantal eval rd`, tables of points, or JSON.

A table of points has a column `bpp` and one named after the metric. A table with columns `codec`
and `picture` is read as one of `quantal eval rd`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantal.errors import ArgumentError, EvaluationError
from quantal.eval._optional import unknown
from quantal.eval.curves import Curve, Sheet, published, sheets
from quantal.eval.metrics import about
from quantal.eval.plans import place
from quantal.eval.rows import column, missing, read_table
from quantal.eval.texts import as_text

__all__ = ["read_side"]


def read_side(
    path: str | Path, metric: str = "psnr", codec: str | None = None, mean: str = "picture"
) -> Sheet | Curve:
    """Read a codec's curve from a file.

    Args:
        path: A .csv or .parquet table, or a .json file in CompressAI's layout.
        metric: Name of the metric.
        codec: Label of the codec, if the table holds several.
        mean: How values will be averaged over pictures, one of `quantal.eval.metrics.MEANS`.

    Returns:
        A sheet if the file has values of every picture, else a curve.

    Raises:
        ArgumentError: The metric or codec is unknown, or the table holds several codecs.
        EvaluationError: The file holds no curve.
    """
    about(metric)  # ArgumentError if there is no such metric
    path = place("path", path)
    if path.suffix.lower() == ".json":
        (curve,) = published([path]).values()
        return curve
    rows = read_table(path)
    if not rows:
        raise EvaluationError(f"{path} has no rows; expected a point a row")
    if "codec" in rows[0]:
        rows = _of_codec(rows, path, codec)
    if "picture" in rows[0] and "codec" in rows[0]:
        return _sheet(rows, path, metric, mean)
    return _points(rows, path, metric)


def _of_codec(
    rows: Sequence[Mapping[str, Any]], path: Path, codec: str | None
) -> list[dict[str, Any]]:
    there = sorted({str(row["codec"]) for row in rows})
    if codec is None and len(there) > 1:
        raise ArgumentError(
            f"{path} holds several codecs: {', '.join(there)}; choose one with --test-codec or "
            "--anchor-codec"
        )
    chosen = as_text(codec or there[0])  # tables hold names as texts
    if chosen not in there:
        raise unknown(f"codec in {path}:", chosen, there)
    return [dict(row) for row in rows if str(row["codec"]) == chosen]


def _sheet(rows: list[dict[str, Any]], path: Path, metric: str, mean: str) -> Sheet:
    if all(row.get(column(metric)) is None for row in rows):
        raise _no_column(rows, path, metric)
    try:
        (sheet,) = sheets(rows, [metric], mean).values()
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"{path} is not a table of measurements: {error!r}") from error
    if not sheet.pictures:
        raise EvaluationError(f"{path}: {sheet.codec} failed on every picture")
    return sheet


def _points(rows: list[dict[str, Any]], path: Path, metric: str) -> Curve:
    key = next((k for k in (column(metric), metric) if k in rows[0]), None)
    if key is None or "bpp" not in rows[0]:
        raise _no_column(rows, path, metric)
    for row in rows:
        for name in ("bpp", key):
            if not isinstance(row[name], float | int | None) or isinstance(row[name], bool):
                raise EvaluationError(
                    f"{as_text(path)}: {name} holds something else than numbers: {row[name]!r:.60}"
                )
    points = sorted(zip(*(missing(row[k] for row in rows) for k in ("bpp", key)), strict=True))
    bpp, values = zip(*points, strict=True)
    return Curve(
        name=as_text(path.stem),
        quality=(math.nan,) * len(bpp),
        bpp=tuple(bpp),
        values={metric: tuple(values)},
        pictures=0,
        source=as_text(path.name),
    )


def _no_column(rows: Sequence[Mapping[str, Any]], path: Path, metric: str) -> EvaluationError:
    return EvaluationError(
        f"{path} has no values in a column {column(metric)!r} beside `bpp`; its columns are "
        f"{', '.join(map(str, rows[0]))}"
    )
