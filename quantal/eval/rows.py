"""Rows of measurements, one per picture, codec and quality, and their tables as CSV and Parquet.

Both formats hold the same columns. Columns of metrics are named as in `quantal.eval.metrics`, with
underscores.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from quantal.errors import EvaluationError
from quantal.eval._optional import require
from quantal.eval.delimited import read_delimited
from quantal.eval.texts import as_text
from quantal.outputs import write_whole

__all__ = ["Row", "column", "read_table", "write_tables"]


@dataclass(frozen=True)
class Row:
    """The measurement of one picture, coded by one codec at one quality.

    Attributes:
        codec: Label of the codec.
        version: Its version.
        picture: Name of the picture.
        digest: Digest of the picture's file; for a clip, with the number of frames asked for.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        quality: Quality on the codec's scale.
        bytes: Size of the coded file.
        bpp: Bits per pixel of the coded file.
        encode_s: Wall-clock seconds of encoding.
        decode_s: Wall-clock seconds of decoding.
        encode_mb: Peak memory of encoding beyond what the process held before, in MB (10^6
            bytes). It is measured once per picture, at the highest quality; None if the system
            does not report it.
        decode_mb: Peak memory of decoding, likewise.
        metrics: Metric -> value; None where it is undefined for the picture.
        frames: Number of frames; 1 for a picture. Metrics are means over them.
        series: What is known of every frame, such as "bytes" or a metric -> values, for clips.
        error: Reason of a failure; the measured values are then None.
        run: Date, commit, machine and jobs of the run that measured this row.
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
    frames: int = 1
    series: Mapping[str, Sequence[float | None]] | None = None
    error: str | None = None
    run: str = ""

    def flat(self) -> dict[str, Any]:
        """Return the row as column -> value, with a column for each metric; without series."""
        nested = ("metrics", "series")
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in nested}
        last = {name: values.pop(name) for name in ("error", "run")}
        return values | {column(n): v for n, v in (self.metrics or {}).items()} | last


def column(metric: str) -> str:
    """Return the column of a metric: `ms_ssim` for `ms-ssim`."""
    return metric.replace("-", "_")


def write_tables(rows: Sequence[Mapping[str, Any]], stem: Path) -> tuple[Path, Path]:
    """Write rows to `stem`.csv and `stem`.parquet, with the columns of all rows.

    Returns:
        The two paths.

    Raises:
        OutputError: A file can't be written.
    """
    polars = require("polars", "Parquet tables")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text, binary = stem.with_suffix(".csv"), stem.with_suffix(".parquet")
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(text, lines.getvalue())
    table = {name: [row.get(name) for row in rows] for name in columns}
    content = io.BytesIO()
    polars.DataFrame(table, strict=False).write_parquet(content)
    write_whole(binary, content.getvalue())
    return text, binary


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a CSV or Parquet table, with numbers as float and empty fields as None.

    Raises:
        EvaluationError: There is no such file, or it is not a table.
    """
    if not path.exists() or path.is_dir():  # a pipe of the shell is a table too
        raise EvaluationError(
            f"there is no table {as_text(path)}; expected a .csv or .parquet file"
        )
    if path.suffix.lower() == ".parquet":
        polars = require("polars", "Parquet tables")
        try:
            content = io.BytesIO(path.read_bytes())
        except OSError as error:
            raise EvaluationError(f"{as_text(path)} can't be opened: {error.strerror}") from error
        try:
            rows: list[dict[str, Any]] = polars.read_parquet(content).to_dicts()
        except (OSError, polars.exceptions.PolarsError) as error:
            raise EvaluationError(f"{as_text(path)} is not a Parquet table: {error}") from error
        return rows
    return read_delimited(path)


def missing(values: Iterable[float | None]) -> list[float]:
    """Replace None by NaN."""
    return [math.nan if value is None else value for value in values]
