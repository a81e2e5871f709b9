"""What a target holds of earlier calls and of this one: options, plans, and what is finished.

It lies in the folder .quantal of the target: options.json, planned/*.parquet (which outputs are of
this tool) and parts/*.parquet, one for each finished batch, in the columns of a Result.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from quantal import extras
from quantal.engine.places import Place
from quantal.engine.rows import Batch, Job, Result
from quantal.errors import ArgumentError, MediaError, OutputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KEY", "OPTIONS", "PARTS", "Manifest", "part_of", "read_part", "write_part"]

FOLDER = ".quantal"
#: What makes a file the same as one that is finished.
KEY = ["path", "member", "size", "mtime"]

OPTIONS = f"{FOLDER}/options.json"
PARTS = f"{FOLDER}/parts"
_PLANNED = f"{FOLDER}/planned"
_MERGED_FROM = 256  # parts, each of which is opened when a call goes on
_READERS = 16  # threads, for stores that take long to answer
_TYPES = {"int": "Int64", "float": "Float64", "str": "String"}


def polars() -> Any:
    """Return the package that writes and compares tables."""
    return extras.imported("polars", "manifests of an engine")


def part_of(job: Job, batch: Batch) -> str:
    """Return the path of what a finished batch leaves."""
    return f"{PARTS}/{job.run}-{batch.number:06}.parquet"


def write_part(target: Place, path: str, results: Iterable[Result]) -> None:
    """Write the results of a batch."""
    target.write(path, _encoded(_frame(results)))


def read_part(target: Place, path: str) -> list[Result]:
    """Return the results of a batch that is finished."""
    return [Result(**row) for row in _decoded(target, path).iter_rows(named=True)]


class Manifest:
    """The manifest of a target.

    Args:
        target: Where it lies.
    """

    def __init__(self, target: Place) -> None:
        self._target = target
        self.name = target.url(FOLDER)

    def agree(self, job: Job, *, force: bool) -> None:
        """Compare the options of a call with those of earlier ones, or write down the first.

        Args:
            job: Of this call.
            force: Whether a manifest of other options is removed.

        Raises:
            ArgumentError: An earlier call had others; the message says which.
        """
        if force:
            for path in (OPTIONS, PARTS, _PLANNED):
                self._target.remove(path)
        if self._target.exists(OPTIONS):
            try:
                earlier = json.loads(self._target.read(OPTIONS))
                options = dict(earlier["options"])
            except (ValueError, KeyError, TypeError) as error:
                raise MediaError(f"{self.name} is damaged: {error}", code="force") from error
            if earlier.get("hash") != job.digest:
                raise ArgumentError(
                    f"{self._target.name} was begun with other options: "
                    f"{_differences(options, dict(job.options))}; name another target, or the same "
                    "options",
                    code="other-options",
                )
            return
        text = json.dumps({"hash": job.digest, "options": dict(job.options)}, indent=2)
        self._target.write(OPTIONS, text.encode())

    def finished(self) -> pl.DataFrame:
        """Return the newest result of each file, in the columns of Result."""
        pl = polars()
        paths = self._paths(PARTS)
        found = self._read(paths, _frame([]))
        if len(paths) >= _MERGED_FROM:
            self._target.write(f"{PARTS}/{paths[-1].rpartition('/')[2]}", _encoded(found))
            for path in paths[:-1]:
                self._target.remove(path)
        newest = found.unique(KEY, keep="last", maintain_order=True)
        return newest.filter(pl.col("status") == "done")

    def planned(self) -> set[str]:
        """Return the outputs that earlier calls have planned, whether they exist or not."""
        pl = polars()
        empty = pl.DataFrame({"output": []}, schema={"output": pl.String})
        return set(self._read(self._paths(_PLANNED), empty)["output"])

    def plan(self, job: Job, rows: pl.DataFrame) -> None:
        """Write down what a call is going to do."""
        self._target.write(f"{_PLANNED}/{job.run}.parquet", _encoded(rows))

    def _paths(self, folder: str) -> list[str]:
        """Return the tables of a folder, in the order of the calls that wrote them."""
        if not self._target.exists(folder):
            return []
        place = Place(self._target.url(folder))
        found = place.list({".parquet"}, False, lambda name, reason: None)
        return sorted(f"{folder}/{entry.path}" for entry in found)

    def _read(self, paths: Sequence[str], empty: pl.DataFrame) -> pl.DataFrame:
        with ThreadPoolExecutor(_READERS) as pool:
            frames = list(pool.map(lambda path: _decoded(self._target, path), paths))
        frame: pl.DataFrame = polars().concat([empty, *frames], how="diagonal")
        return frame


def _differences(earlier: dict[str, object], now: dict[str, object]) -> str:
    names = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    return ", ".join(
        f"{name} {_value(earlier.get(name))}, now {_value(now.get(name))}" for name in names
    )


def _value(value: object) -> str:
    return "not given" if value is None else json.dumps(value)


def _frame(results: Iterable[Result]) -> pl.DataFrame:
    pl = polars()
    schema = {each.name: getattr(pl, _TYPES[str(each.type)]) for each in fields(Result)}
    return pl.DataFrame([asdict(result) for result in results], schema=schema)  # type: ignore[no-any-return]


def _encoded(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def _decoded(target: Place, path: str) -> pl.DataFrame:
    data = target.read(path)
    try:
        frame: pl.DataFrame = polars().read_parquet(io.BytesIO(data))
    except Exception as error:  # of polars, which has many
        raise OutputError(
            f"{target.url(path)} is not part of a manifest: {error}; remove it, and what it is of "
            "is done again"
        ) from error
    return frame
