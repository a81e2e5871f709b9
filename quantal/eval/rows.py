"""Measurements as rows: one picture coded by one codec at one quality, and their tables on disk.

CSV for people and spreadsheets, Parquet for programs; both hold the same columns. Metrics are
columns named as in `quantal.eval.metrics`, with underscores.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from quantal.errors import EvaluationError
from quantal.eval._optional import require

__all__ = ["Row", "column", "read_table", "write_tables"]


#: Columns that are never numbers.
_TEXTS = frozenset({"codec", "version", "picture", "digest", "error", "run"})


@dataclass(frozen=True)
class Row:
    """What one codec did to one picture at one quality.

    digest: of the picture's file. bytes: of the coded file. encode_s, decode_s: seconds by the
    wall clock. encode_mb, decode_mb: the most memory, in 10^6 bytes, that such a call takes beyond
    what the process held before, measured once a picture, at its highest quality; None where the
    system doesn't tell. metrics: None where a metric isn't defined for such a picture. error: why
    there is nothing else, if the codec failed. run: when, with which commit, on which machine and
    with how many jobs this was measured, for a run may go on elsewhere.
    """

    codec: str
    version: str
    picture: str
    digest: str
    width: int
    height: int
    quality: float
    bytes: int | None = None
    bpp: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    encode_mb: float | None = None
    decode_mb: float | None = None
    metrics: Mapping[str, float | None] | None = None
    error: str | None = None
    run: str = ""

    def flat(self) -> dict[str, Any]:
        """Columns and values, metrics among them."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "metrics"}
        last = {name: values.pop(name) for name in ("error", "run")}
        return values | {column(n): v for n, v in (self.metrics or {}).items()} | last


def column(metric: str) -> str:
    """What a metric is called as a column and as a key: `ms-ssim` is `ms_ssim`."""
    return metric.replace("-", "_")


def write_tables(rows: Sequence[Mapping[str, Any]], stem: Path) -> tuple[Path, Path]:
    """Write rows of equal meaning to `stem`.csv and `stem`.parquet; a column is any row's."""
    polars = require("polars", "Parquet tables")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text, binary = stem.with_suffix(".csv"), stem.with_suffix(".parquet")
    with text.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    table = {name: [row.get(name) for row in rows] for name in columns}
    polars.DataFrame(table, strict=False).write_parquet(binary)
    return text, binary


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV or Parquet table; numbers as numbers, empty fields as None."""
    if not path.is_file():
        raise EvaluationError(f"there is no table {path}; expected a .csv or .parquet file")
    if path.suffix == ".parquet":
        polars = require("polars", "Parquet tables")
        try:
            rows: list[dict[str, Any]] = polars.read_parquet(path).to_dicts()
        except (OSError, polars.exceptions.PolarsError) as error:
            raise EvaluationError(f"{path} is no Parquet table: {error}") from error
        return rows
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            return [{k: _value(k, v) for k, v in row.items() if k is not None} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path} is no CSV table: {error}") from error


def _value(name: str, text: str | None) -> float | str | None:
    if not text:
        return None
    if name in _TEXTS:  # a picture may be called 01, a digest 12e45678
        return text
    try:
        return float(text)
    except ValueError:
        return text


def missing(values: Iterable[float | None]) -> list[float]:
    """None as NaN, for arithmetic."""
    return [math.nan if value is None else value for value in values]
