"""Rows into batches of about equal work: by pixels, the largest pictures first.

Pixels are those of headers. Stores answer some hundred times a second and may hold millions of
files, so that only a bounded number of headers is read; other pixels are estimated from bytes.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median

from quantal.engine.places import Place
from quantal.engine.rows import Batch, Row
from quantal.errors import QuantalError

__all__ = ["batched", "measured", "pixels_of"]

_BEGINNING = 1 << 16  # bytes that hold most headers
_HEADERS = 10_000  # that are read at most
_READERS = 16  # threads
_PIXELS_PER_BYTE = 4.0  # of files of whose kind no header could be read
_BATCH_PIXELS = 1 << 26  # some minutes of work for a core
_BATCH_ROWS = 256
_BATCHES_EACH = 16  # at least, of a worker: all end together, and a dead one loses little


def pixels_of(beginning: bytes) -> int | None:
    """Return the pixels of a picture by how its file begins; None if that does not say it."""
    from quantal import container

    try:
        header = container.probe(beginning, cut=True).header
        return header.width * header.height
    except QuantalError:
        pass
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(beginning)) as image:
                return image.width * image.height
    except Exception:  # whatever is wrong with it, who reads all of it will say
        return None


def measured(source: Place, rows: Sequence[Row], headers: int = _HEADERS) -> list[Row]:
    """Return rows with their pixels.

    Args:
        source: Where they lie.
        rows: In any order.
        headers: How many are read at most.
    """
    step = max(1, -(-len(rows) // headers))
    sample = range(0, len(rows), step)

    def look(place: int) -> int | None:
        row = rows[place]
        if row.column:  # whole groups of rows would be read
            return None
        end = row.offset + min(row.size, _BEGINNING)
        try:
            return pixels_of(source.read(row.path, row.offset, end))
        except QuantalError:
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        found = {place: n for place, n in zip(sample, pool.map(look, sample), strict=True) if n}
    ratios: dict[str, list[float]] = {}
    for place, pixels in found.items():
        ratios.setdefault(_kind(rows[place]), []).append(pixels / max(rows[place].size, 1))
    typical = {kind: median(values) for kind, values in ratios.items()}
    return [
        replace(
            row,
            pixels=found.get(place)
            or max(1, round(row.size * typical.get(_kind(row), _PIXELS_PER_BYTE))),
        )
        for place, row in enumerate(rows)
    ]


def _kind(row: Row) -> str:
    return os.path.splitext(row.name)[1].lower()


def batched(rows: Sequence[Row], workers: int) -> list[Batch]:
    """Divide rows into batches, the largest pictures first.

    Args:
        rows: With their pixels.
        workers: How many share the work.
    """
    total = sum(row.pixels for row in rows)
    shares = max(workers, 1) * _BATCHES_EACH
    pixels = min(_BATCH_PIXELS, total // shares)
    count = min(_BATCH_ROWS, max(1, len(rows) // shares))
    batches: list[Batch] = []
    waiting: list[Row] = []
    held = 0
    for row in sorted(rows, key=lambda row: -row.pixels):
        if waiting and (held + row.pixels > pixels or len(waiting) >= count):
            batches.append(Batch(len(batches), tuple(waiting)))
            waiting, held = [], 0
        waiting.append(row)
        held += row.pixels
    if waiting:
        batches.append(Batch(len(batches), tuple(waiting)))
    return batches
