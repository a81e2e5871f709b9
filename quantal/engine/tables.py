"""Data sets of Hugging Face: rows of Parquet shards as files, and a batch of results as a shard.

They are named as for training: hf:NAME or hf:NAME:SPLIT. A shard is read where it lies, by groups
of rows; `datasets` says which shards there are, and only the machine that makes the call needs it.
"""

from __future__ import annotations

import functools
import json
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from quantal.engine.places import Place
from quantal.engine.rows import Row
from quantal.errors import ArgumentError, MediaError, QuantalError
from quantal.extras import imported

__all__ = ["COLUMN", "Shards", "cell", "folder_of", "is_dataset", "opened", "parts_of", "table"]

#: The column of .qtl files in data sets that are written.
COLUMN = "qtl"
_PREFIX = "hf:"
_METADATA = b"huggingface"  # where `datasets` keeps the types of columns in a schema


def is_dataset(name: str) -> bool:
    """Return whether a name is that of a data set of Hugging Face."""
    return str(name).startswith(_PREFIX)


def parts_of(name: str) -> tuple[str, str]:
    """Return what hf:NAME:SPLIT names, and its split, which is "train" by default."""
    dataset, _, split = name.removeprefix(_PREFIX).partition(":")
    return dataset, split or "train"


def folder_of(target: str) -> str:
    """Return the folder or URL of a data set that is to be written."""
    return target.removeprefix(_PREFIX)


@dataclass(frozen=True)
class Shards:
    """The shards of a split.

    Attributes:
        place: Path or URL of the folder that they are in.
        split: Its name.
        paths: Below that folder.
    """

    place: str
    split: str
    paths: tuple[str, ...]

    def rows(self, kind: str, output: str) -> tuple[list[Row], list[tuple[str, str]]]:
        """Return the rows, and names and reasons of shards that can't be read.

        The size of a row is the mean of its group: that of each would take reading all pictures.

        Args:
            kind: Which column is wanted: "picture" or ".qtl file".
            output: The suffix of results; empty if nothing is written.

        Raises:
            ArgumentError: A shard has no such column.
        """
        source = Place(self.place)
        entries = source.list({".parquet"}, True, lambda *_: None)
        times = {entry.path: entry.mtime for entry in entries}
        rows: list[Row] = []
        failures: list[tuple[str, str]] = []
        for path in self.paths:
            try:
                with _file(source, path) as file:
                    column = _column(file.schema_arrow, kind, source.url(path))
                    sizes = list(_sizes(file.metadata, column))
            except MediaError as error:
                failures.append((path, str(error)))
                continue
            stem = posixpath.splitext(path)[0]
            for number, size in enumerate(sizes):
                result = f"{stem}/{number:06}{output}" if output else ""
                rows.append(
                    Row(
                        path,
                        size,
                        times.get(path, ""),
                        result,
                        member=str(number),
                        offset=number,
                        column=column,
                    )
                )
        return rows, failures


def opened(name: str) -> Shards:
    """Return the shards of hf:NAME or hf:NAME:SPLIT.

    Raises:
        InstallError: The package datasets is missing.
        ArgumentError: There is no such data set or split, or it is not stored as Parquet.
    """
    datasets: Any = imported("datasets", "data sets of Hugging Face")
    dataset, split = parts_of(name)
    if os.path.isfile(os.path.join(dataset, "state.json")):
        raise ArgumentError(
            f"{name} holds Arrow files of save_to_disk(), expected Parquet; write it once more "
            "with to_parquet()"
        )
    try:
        files = datasets.load_dataset_builder(dataset).config.data_files or {}
    except Exception as error:  # of the hub's client too
        text = " ".join(str(error).split())
        raise ArgumentError(f"data set {name} can't be opened: {text}") from error
    if split not in files:
        names = ", ".join(map(str, files)) or "none"
        raise ArgumentError(f"data set {name} has no split {split}; its splits are {names}")
    paths = sorted(map(str, files[split]))
    if not all(path.endswith(".parquet") for path in paths):
        raise ArgumentError(
            f"data set {name} is not stored as Parquet ({posixpath.basename(paths[0])}); write it "
            "once more with to_parquet(), or name the folder of its files or tars as IN"
        )
    if os.path.isdir(dataset):
        place = os.path.abspath(dataset)
        found = [os.path.relpath(path, place).replace(os.sep, "/") for path in paths]
    else:  # hf://datasets/owner/name@commit/folder/file
        place = posixpath.commonpath([posixpath.dirname(path) for path in paths])
        place = place.replace("hf:/", "hf://", 1) if "://" not in place else place
        found = [path.removeprefix(f"{place}/") for path in paths]
    return Shards(place, split, tuple(found))


def cell(source: Place, row: Row) -> bytes:
    """Return the bytes of a picture or of a .qtl file.

    Raises:
        MediaError: They can't be read, or there are none.
    """
    first, values = _group(source.name, row.path, row.mtime, row.column, row.offset)
    value = values[row.offset - first].as_py()
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None:
        raise MediaError(f"column {row.column} of the row holds no bytes")
    return bytes(data)


def table(source: Place, done: Sequence[tuple[Row, bytes]]) -> bytes:
    """Return a shard of results, in the column "qtl", beside the other columns of their rows."""
    pyarrow, parquet = _pyarrow(), _parquet()
    parts = []
    for path in dict.fromkeys(row.path for row, _ in done):
        here = [(row, data) for row, data in done if row.path == path]
        with _file(source, path) as file:
            column = here[0][0].column
            kept = [name for name in file.schema_arrow.names if name not in (column, COLUMN)]
            part = _taken(file, kept, [row.offset for row, _ in here])
            metadata = _renamed(file.schema_arrow.metadata, column)
        part = part.append_column(COLUMN, pyarrow.array([data for _, data in here]))
        parts.append(part.replace_schema_metadata(metadata))
    joined = pyarrow.concat_tables(parts, promote_options="default")
    file = pyarrow.BufferOutputStream()
    parquet.write_table(joined, file)
    return bytes(file.getvalue())


def _taken(file: Any, columns: list[str], numbers: list[int]) -> Any:
    """Return rows of a shard by their numbers, reading no group that has none of them."""
    pyarrow = _pyarrow()
    firsts = _firsts(file.metadata)
    parts: list[tuple[int, list[int]]] = []
    for number in numbers:
        group = max(each for each, first in enumerate(firsts) if first <= number)
        if not parts or parts[-1][0] != group:
            parts.append((group, []))
        parts[-1][1].append(number - firsts[group])
    return pyarrow.concat_tables(
        file.read_row_group(group, columns=columns).take(places) for group, places in parts
    )


def _renamed(metadata: dict[bytes, bytes] | None, column: str) -> dict[bytes, bytes]:
    """Return the types that `datasets` keeps, with that of .qtl files in place of a column's."""
    try:
        about = json.loads((metadata or {})[_METADATA])
        features = about["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    features.pop(column, None)
    features[COLUMN] = {"dtype": "binary", "_type": "Value"}
    return {_METADATA: json.dumps({"info": {"features": features}}).encode()}


def _column(schema: Any, kind: str, name: str) -> str:
    """Return the first column of pictures or of .qtl files."""
    types = _pyarrow().types
    for field in schema:
        inner = field.type
        boxed = types.is_struct(inner) and "bytes" in [each.name for each in inner]
        plain = types.is_binary(inner) or types.is_large_binary(inner)
        # `datasets` stores pictures as bytes and a path; both may be so for .qtl files.
        if (field.name == COLUMN) == (kind != "picture") and (boxed or plain):
            return str(field.name)
    raise ArgumentError(
        f"{name} has no column of {kind}s"
        + (f' named "{COLUMN}"' if kind != "picture" else "")
        + f"; its columns are {', '.join(schema.names)}"
    )


def _sizes(metadata: Any, column: str) -> Iterator[int]:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size = sum(
            group.column(each).total_compressed_size
            for each in range(group.num_columns)
            if group.column(each).path_in_schema.partition(".")[0] == column
        )
        yield from [max(1, size // max(group.num_rows, 1))] * group.num_rows


def _firsts(metadata: Any) -> list[int]:
    """Return the number of the first row of each group."""
    firsts = [0]
    for group in range(metadata.num_row_groups - 1):
        firsts.append(firsts[-1] + metadata.row_group(group).num_rows)
    return firsts


def _group(place: str, path: str, mtime: str, column: str, number: int) -> tuple[int, Any]:
    """Return the group that a row is in: the number of its first row, and its values."""
    for first, end, group in _bounds(place, path, mtime):
        if first <= number < end:
            return first, _values(place, path, mtime, column, group)
    raise MediaError(f"the shard has no row {number}: it has changed since it was listed")


@functools.lru_cache(maxsize=8)
def _bounds(place: str, path: str, mtime: str) -> list[tuple[int, int, int]]:
    with _file(Place(place), path) as file:
        firsts = _firsts(file.metadata)
        ends = [*firsts[1:], file.metadata.num_rows]
    return [
        (first, end, group) for group, (first, end) in enumerate(zip(firsts, ends, strict=True))
    ]


@functools.lru_cache(maxsize=1)  # rows of a batch follow one another
def _values(place: str, path: str, mtime: str, column: str, group: int) -> Any:
    with _file(Place(place), path) as file:
        return file.read_row_group(group, columns=[column])[column].combine_chunks()


@contextmanager
def _file(source: Place, path: str) -> Iterator[Any]:
    """Open a shard."""
    parquet = _parquet()
    with source.open(path) as stored:
        try:
            yield parquet.ParquetFile(stored)
        except QuantalError:
            raise
        except Exception as error:  # of pyarrow, or of a store
            text = " ".join(str(error).split())
            raise MediaError(f"{source.url(path)} can't be read as Parquet: {text}") from error


def _pyarrow() -> Any:
    return imported("pyarrow", "data sets of Hugging Face")


def _parquet() -> Any:
    return imported("pyarrow.parquet", "data sets of Hugging Face")
