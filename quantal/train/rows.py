"""Pictures in the rows of a data set of Hugging Face, named as "hf:NAME" or "hf:NAME:SPLIT".

NAME is one of the hub, or a folder: of what save_to_disk() wrote, or of files that load_dataset()
reads. Rows are read one after the other, without holding them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from quantal.engine.tables import is_dataset, parts_of
from quantal.errors import ArgumentError, MediaError
from quantal.extras import imported

__all__ = ["check_dataset", "is_dataset", "rows_of"]

#: Rows that are read together.
_TOGETHER = 8


def rows_of(place: str, number: int, parts: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name, for messages, and the bytes of the pictures of one in `parts` of the rows.

    Args:
        place: of the data set.
        number: of the part: that many rows are before its first one, or shards of files.
        parts: how many there are.

    Raises:
        InstallError: If the package datasets is missing.
        ArgumentError: If there is no such data set, or it has no column of pictures.
        MediaError: If the file that a row names can't be read.
    """
    rows, column = _opened(place)
    sharded = rows.num_shards >= parts
    values = _values(rows.shard(parts, number) if sharded else rows, column)
    for row, value in enumerate(values if sharded else islice(values, number, None, parts)):
        name = f"{place}, row {row} of part {number + 1} of {parts}"
        data, path = (value or {}).get("bytes"), (value or {}).get("path")
        try:
            data = Path(path).read_bytes() if data is None and path else data
        except OSError as error:
            raise MediaError(f"training picture {name} can't be read: {error}") from error
        yield name, data or b""


def _values(rows: Any, column: str) -> Iterator[Any]:
    """Yield the values of a column.

    In batches: rows one by one would be divided once more among the workers of a DataLoader.
    """
    for batch in rows.iter(batch_size=_TOGETHER):
        yield from batch[column]


def check_dataset(place: str) -> None:
    """Raise an error, as rows_of() does, unless a data set can be opened and has pictures."""
    _opened(place)


def _opened(place: str) -> tuple[Any, str]:
    """Return a data set that is read as a stream, with undecoded pictures, and their column."""
    datasets: Any = imported("datasets", "data sets of Hugging Face")
    name, split = parts_of(place)
    try:
        if (Path(name) / "state.json").is_file():
            rows = datasets.load_from_disk(name).to_iterable_dataset()
        else:
            rows = datasets.load_dataset(name, split=split, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"training data {place} can't be opened: {error}") from error
    features = rows.features or {}
    columns = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    if not columns:
        raise ArgumentError(
            f"training data {place} has no column of pictures; its columns are "
            f"{', '.join(features) or 'unknown'}"
        )
    return rows.cast_column(columns[0], datasets.Image(decode=False)), columns[0]
