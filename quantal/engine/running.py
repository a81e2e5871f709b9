"""A whole call: list the source, leave what is finished, spread the rest, write down what came."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar

from quantal.engine.batches import batched, measured
from quantal.engine.lock import locked
from quantal.engine.manifest import KEY, PARTS, Manifest, part_of, polars, write_part
from quantal.engine.places import Place
from quantal.engine.pool import Death, Describe
from quantal.engine.rows import Batch, Job, Order, Result, Row, Status
from quantal.engine.shards import members
from quantal.engine.tables import folder_of, is_dataset, opened
from quantal.engine.work import do
from quantal.errors import ArgumentError, MediaError, OutputError, QuantalError

__all__ = ["Engine", "Summary", "Watch", "run"]

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """What applies a function to many tasks."""

    name: str
    workers: int

    def spread(
        self, function: Callable[[T], R], tasks: Sequence[T], describe: Describe
    ) -> Generator[tuple[int, R | Death], None, None]:
        """Yield the numbers of tasks with results, in any order."""

    def close(self) -> None:
        """End what was started for it."""


class Watch(Protocol):
    """Who is shown what goes on."""

    def begin(self, total: int) -> None:
        """So many files are to be done."""

    def result(self, result: Result) -> None:
        """A file is done, or has failed."""


@dataclass
class Summary:
    """What came of a call.

    Attributes:
        manifest: Path or URL of the manifest.
        files: That the source holds.
        finished: That earlier calls have done, and that were left.
        existing: That were left because their outputs exist.
        done: That this call has done.
        failures: Names and reasons of those that failed.
        bytes_in: Of the files that this call has done.
        bytes_out: Of their results.
        seconds: From the first batch to the last.
    """

    manifest: str
    files: int = 0
    finished: int = 0
    existing: int = 0
    done: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0


def run(job: Job, order: Order, engine: Engine, watch: Watch) -> Summary:
    """Do what is left of a source, and return what came of it.

    Args:
        job: What is done with each file.
        order: Which files, and what becomes of those that exist.
        engine: Does it.
        watch: Is shown what goes on.

    Raises:
        MediaError: The source can't be listed, or holds nothing to take.
        ArgumentError: The target was begun with other options, or can't hold what is asked for.
        OutputError: Another call works in the target, or it is full.
    """
    if job.tar and is_dataset(job.target):
        raise ArgumentError(
            f"{job.target} gets shards of Parquet, and --tar asks for tars; leave --tar out, or "
            "name a folder or a URL"
        )
    shards = opened(job.source) if is_dataset(job.source) else None
    if is_dataset(job.target):
        if shards is None or order.output != ".qtl":
            raise ArgumentError(
                f"{job.target} as a target is for compressing a data set; name a folder or a URL"
            )
        options = {**job.options, "shards": "parquet"}
        target_name = folder_of(job.target)
        job = replace(job, target=target_name, split=shards.split, options=options)
    source, target = Place(shards.place if shards else job.source), Place(job.target)
    began = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    job = replace(  # with whole paths: workers elsewhere begin in other folders
        job, source=source.name, target=target.name, run=f"{began}-{secrets.token_hex(3)}"
    )
    if shards:
        rows, unlisted = shards.rows(
            ".qtl file" if ".qtl" in order.suffixes else "picture", order.output
        )
    else:
        rows, unlisted = _listed(source, order)
    if not rows and not unlisted:
        kinds = ", ".join(sorted(order.suffixes))
        hint = "" if order.recursive else "; -r looks into its folders too"
        raise MediaError(f"{source.name} holds no file to take ({kinds}, or a .tar of them){hint}")
    with locked(target):
        manifest = Manifest(target)
        manifest.agree(job, force=order.force)
        summary = Summary(manifest.name, len(rows) + len(unlisted))
        todo, failed = _todo(rows, target, manifest, job, order, summary)
        watch.begin(len(todo) + len(failed) + len(unlisted))
        for name, reason in unlisted:
            failed.append(Result(name, "", 0, "", "", status=Status.failed, error=reason))
        if failed:
            write_part(target, f"{PARTS}/{job.run}-plan.parquet", failed)
        for result in failed:
            _count(result, summary, watch)
        if todo:
            _plan(manifest, job, todo)
            batches = batched(measured(source, todo), engine.workers)
            start = time.perf_counter()
            _spread(batches, job, engine, target, summary, watch)
            summary.seconds = time.perf_counter() - start
    return summary


def _listed(source: Place, order: Order) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return the rows of a source, and names and reasons of what can't be listed."""
    rows: list[Row] = []
    failures: list[tuple[str, str]] = []
    suffixes = {*order.suffixes, ".tar"}
    entries = source.list(suffixes, order.recursive, lambda *failure: failures.append(failure))
    for entry in entries:
        stem, suffix = posixpath.splitext(entry.path)
        if suffix.lower() != ".tar":
            output = stem + order.output if order.output else ""
            rows.append(Row(entry.path, entry.size, entry.mtime, output))
            continue
        try:
            for member in members(source, entry.path, order.suffixes):
                name = posixpath.splitext(member.name)[0].lstrip("/") + order.output
                output = posixpath.normpath(posixpath.join(stem, name)) if order.output else ""
                if output.startswith(".."):
                    raise MediaError(f"its member {member.name} leads out of the target")
                rows.append(
                    Row(
                        entry.path,
                        member.size,
                        entry.mtime,
                        output,
                        member=member.name,
                        offset=member.offset,
                        beside=member.beside,
                    )
                )
        except QuantalError as error:
            failures.append((entry.path, str(error)))
    return rows, failures


def _todo(
    rows: Sequence[Row], target: Place, manifest: Manifest, job: Job, order: Order, summary: Summary
) -> tuple[list[Row], list[Result]]:
    """Return rows that are to be done, and those that can't be."""
    finished = manifest.finished()
    known = {
        tuple(values): (output, size)
        for *values, output, size in finished.select([*KEY, "output", "bytes"]).iter_rows()
    }
    ours = manifest.planned()
    there = (
        {entry.path: entry.size for entry in target.list((), True, lambda *_: None)}
        if order.output
        else {}
    )
    taken: dict[str, str] = {}
    todo: list[Row] = []
    failed: list[Result] = []
    for row in rows:
        before = known.get((row.path, row.member, row.size, row.mtime))
        if before is not None and _stands(*before, there, job.tar or bool(job.split)):
            summary.finished += 1
            taken[row.output] = row.name
            continue
        reason = ""
        if row.output and row.output in taken:
            reason = (
                f"its output {row.output} is already that of {taken[row.output]}; rename one of "
                "them"
            )
        elif row.output in there and row.output not in ours and not order.force:
            if order.skip_existing:
                summary.existing += 1
                continue
            error = OutputError(f"{target.url(row.output)} exists already", code="exists")
            reason = job.describe(error)
        if reason:
            failed.append(Result.of(row, status=Status.failed, error=reason))
        else:
            taken[row.output] = row.name
            todo.append(row)
    return todo, failed


def _stands(output: str, size: int, there: dict[str, int], gathered: bool) -> bool:
    """Whether a result is still where it was written."""
    if not output:
        return True
    if gathered:
        return output.partition("/")[0] in there
    return there.get(output) == size


def _plan(manifest: Manifest, job: Job, rows: Sequence[Row]) -> None:
    columns = [*KEY, "output"]
    manifest.plan(
        job, polars().DataFrame({name: [getattr(row, name) for row in rows] for name in columns})
    )


def _spread(
    batches: Sequence[Batch],
    job: Job,
    engine: Engine,
    target: Place,
    summary: Summary,
    watch: Watch,
) -> None:
    """Do batches; those over which a worker died are done once more, row by row."""
    lost = _pass(batches, job, engine, summary, watch)
    if len(lost) == len(batches) and len(lost) > 1:
        raise QuantalError(f"no batch was done: {lost[0][1]}")
    rows = [row for batch, _ in lost for row in batch.rows]
    singly = [Batch(len(batches) + number, (row,)) for number, row in enumerate(rows)]
    for batch, reason in _pass(singly, job, engine, summary, watch) if singly else ():
        result = Result.of(batch.rows[0], status=Status.failed, error=reason)
        write_part(target, part_of(job, batch), [result])
        _count(result, summary, watch)


def _pass(
    batches: Sequence[Batch], job: Job, engine: Engine, summary: Summary, watch: Watch
) -> list[tuple[Batch, str]]:
    """Return the batches that were lost, and why."""
    lost: list[tuple[Batch, str]] = []
    work = partial(do, job=job)
    with closing(engine.spread(work, batches, job.describe)) as results:
        for number, found in results:
            if isinstance(found, Death):
                lost.append((batches[number], found.reason))
                continue
            for result in found:
                if result.status == Status.halted:
                    raise OutputError(
                        f"{result.error}; {summary.done} files are done: the same call goes on "
                        "from there"
                    )
                _count(result, summary, watch)
    return lost


def _count(result: Result, summary: Summary, watch: Watch) -> None:
    if result.status == Status.done:
        summary.done += 1
        summary.bytes_in += result.size
        summary.bytes_out += result.bytes
    else:
        summary.failures.append((result.name, result.error))
    watch.result(result)
