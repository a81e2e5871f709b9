"""Rate-distortion measurements: codecs x qualities x pictures.

Every measurement is appended to a journal at once, so that an interrupted run can be resumed. The
report is made by quantal.eval.report.
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantal.arguments import flag, number, whole
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval import measure, plans
from quantal.eval._optional import require
from quantal.eval.bdrate import BD, Method, compare
from quantal.eval.codecs import EvaluatedCodec, ImageCodec, codecs, grids, normalised
from quantal.eval.curves import Curve, Sheet, published, sheets
from quantal.eval.journal import Journal
from quantal.eval.measure import Task
from quantal.eval.metrics import MEANS, metric
from quantal.eval.notes import notes
from quantal.eval.pictures import find_pictures, look_over, reason_unreadable
from quantal.eval.provenance import Provenance, provenance, run_line
from quantal.eval.rows import Row
from quantal.eval.texts import as_text, by_name
from quantal.eval.work import Failure, cores, spread
from quantal.outputs import create_folder

__all__ = ["Plan", "Progress", "RDResult", "find_pictures", "measure_rd"]

JOURNAL = "rows.jsonl"

#: Progress callback; receives the number of finished measurements, their total, and the last row.
Progress = Callable[[int, int, Row], None]


@dataclass(frozen=True)
class Plan:
    """A rate-distortion measurement.

    Attributes:
        codecs: Specs of the codecs.
        data: Folder of pictures, or one picture.
        out: Folder for results.
        metrics: Names of metrics.
        qualities: Spec -> qualities, or "" -> qualities of all other codecs; codecs without an
            entry are measured at their default qualities.
        references: Files or folders of published curves.
        anchor: Codec or published curve that the others are compared with; None for the first
            codec.
        mean: How values are averaged over pictures, one of `quantal.eval.metrics.MEANS`.
        method: See `quantal.eval.bdrate.bd`.
        min_overlap: See `quantal.eval.bdrate.bd`.
        pareto: See `quantal.eval.bdrate.bd`.
        weights: Folder with weights of metrics.
        jobs: Number of worker processes; 0 for the calling process, None for one per core.
        threads: Number of threads of torch in each process.
        timeout: Seconds that a codec may take for a picture at all qualities; None for no limit.
        frames: Frames of each clip that are measured at most, where codecs are of video.
        engine: "processes" of this machine, or "ray": a cluster whose nodes see `data`.
    """

    codecs: tuple[str, ...]
    data: Path
    out: Path
    metrics: tuple[str, ...] = ("psnr", "ms-ssim")
    qualities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    references: tuple[Path, ...] = ()
    anchor: str | None = None
    mean: str = "picture"
    method: Method = "pchip"
    min_overlap: float = 0.5
    pareto: bool = False
    weights: Path | None = None
    jobs: int | None = None
    threads: int = 1
    timeout: float | None = 600.0
    frames: int = 32
    engine: str = "processes"

    def __post_init__(self) -> None:
        jobs, threads = plans.processes(self.jobs, self.threads)
        if self.engine not in ("processes", "ray"):
            raise ArgumentError(f"there is no engine {self.engine!r}, expected processes or ray")
        if self.engine == "ray" and threads != 1:
            raise ArgumentError(f"actors of Ray have a thread each, and {threads} were asked for")
        plans.replaced(
            self,
            codecs=plans.texts("codecs", self.codecs),
            data=plans.place("data", self.data),
            out=plans.place("out", self.out),
            metrics=plans.texts("metrics", self.metrics),
            qualities=plans.qualities_of(self.qualities),
            references=tuple(plans.place("a reference", one) for one in self.references),
            min_overlap=plans.fraction("min_overlap", self.min_overlap),
            pareto=flag("pareto", self.pareto),
            weights=None if self.weights is None else plans.place("weights", self.weights),
            jobs=jobs,
            threads=threads,
            timeout=None if self.timeout is None else number("timeout", self.timeout),
            frames=whole("frames", self.frames, 1),
        )


@dataclass(frozen=True)
class RDResult:
    """The result of a rate-distortion measurement.

    Attributes:
        plan: The plan.
        pictures: Files of the pictures.
        rows: All measurements.
        sheets: Label of a codec -> its measurements.
        curves: Label of a codec, or `published/NAME` -> curve.
        anchor: Name of the anchor's curve; None if it has no curve.
        failures: Rows of failed measurements.
        notes: Sentences about what was not measured.
        provenance: Versions, machine and date.
        media: What was measured, "picture" or "video".
    """

    plan: Plan
    pictures: tuple[Path, ...]
    rows: tuple[Row, ...]
    sheets: Mapping[str, Sheet]
    curves: Mapping[str, Curve]
    anchor: str | None
    failures: tuple[Row, ...]
    notes: tuple[str, ...]
    provenance: Provenance
    media: str = "picture"

    @property
    def names(self) -> Mapping[str, Path]:
        """The pictures by their names in rows, in the same order."""
        return by_name(self.pictures)

    def side(self, name: str) -> Sheet | Curve:
        """Return the sheet of a codec, or a published curve, for comparisons."""
        return self.sheets[name] if name in self.sheets else self.curves[name]

    def compare(self, test: str, anchor: str, metric: str, resamples: int = 0) -> BD | str:
        """Compare two curves by name, see `quantal.eval.bdrate.compare`.

        Returns:
            The Bjøntegaard deltas, or the reason why there are none.
        """
        plan = self.plan
        try:
            return compare(
                self.side(test),
                self.side(anchor),
                metric,
                method=plan.method,
                mean=plan.mean,
                min_overlap=plan.min_overlap,
                pareto=plan.pareto,
                resamples=resamples,
            )
        except EvaluationError as error:
            return str(error)


def measure_rd(plan: Plan, progress: Progress | None = None) -> RDResult:
    """Measure everything that is not yet in the journal of the plan's folder.

    A codec that fails on a picture is recorded as a failure and does not stop the run.

    Args:
        plan: What to measure.
        progress: Progress callback, see `Progress`.

    Raises:
        ArgumentError: The plan has invalid arguments (unknown names, impossible options); raised
            before anything is measured.
        EvaluationError: There are no pictures, or the folder holds another journal.
        OutputError: The folder for results can't be created.
    """
    plan = dataclasses.replace(plan, metrics=tuple(dict.fromkeys(plan.metrics)))
    _check(plan)
    coders = codecs(plan.codecs)
    for one in coders:
        if isinstance(one, ImageCodec) and not one.draws:
            raise ArgumentError(
                f"{one.label} draws no pictures that could be compared; `quantal eval perception` "
                "measures what its files are for"
            )
    references = published(plan.references)
    qualities = grids(coders, plan.qualities)
    anchor = _anchor(plan.anchor, [as_text(c.label) for c in coders], list(references))
    media = _media(coders)
    there = look_over(plan.data, media)
    create_folder(plan.out)
    names = by_name(there.pictures)
    rows = _measure_all(plan, coders, qualities, names, media, progress)
    own = sheets([row.flat() for row in rows], plan.metrics, plan.mean)
    curves = {name: sheet.curve(plan.mean) for name, sheet in own.items() if sheet.pictures}
    return RDResult(
        plan=plan,
        pictures=there.pictures,
        rows=tuple(rows),
        sheets=own,
        curves=curves | references,
        anchor=anchor if anchor in curves or anchor in references else None,
        failures=tuple(row for row in rows if row.error),
        notes=(*there.notes(), *notes(names if media == "picture" else {}, own, anchor, rows)),
        provenance=provenance(),
        media=media,
    )


def _check(plan: Plan) -> None:
    """Raise errors for invalid or missing things before a long measurement, not after."""
    if plan.mean not in MEANS:
        raise ArgumentError(f"unknown mean {plan.mean!r}; expected one of {', '.join(MEANS)}")
    if not plan.metrics:
        raise ArgumentError("no metric was named; common ones are psnr,ms-ssim")
    for name in plan.metrics:
        metric(name, plan.weights)
    require("bjontegaard", "BD-rate")
    require("polars", "Parquet tables")
    if os.path.realpath(plan.out) == os.path.realpath(plan.data):
        raise ArgumentError(
            f"{plan.out} holds the pictures; name another folder for the results, which would "
            "otherwise be measured as pictures"
        )


def _media(coders: Sequence[EvaluatedCodec]) -> str:
    """Return what all codecs code; ArgumentError if they differ."""
    found = {coder.media: coder.label for coder in coders}
    if len(found) > 1:
        names = " and ".join(f"{label!r} codes {kind}s" for kind, label in found.items())
        raise ArgumentError(f"{names.replace('videos', 'video')}; measure them apart")
    return next(iter(found))


def _anchor(asked: str | None, labels: Sequence[str], references: Sequence[str]) -> str:
    if asked is None:
        return labels[0]
    candidates = [*labels, *references]
    for name in (as_text(normalised(asked)), as_text(f"published/{asked}")):
        if name in candidates:
            return name
    raise ArgumentError(
        f"the anchor {asked!r} is not among the curves: {', '.join(candidates)}; name it "
        "with --codecs or --reference too"
    )


Key = tuple[str, str, str, str, float]


def _key(row: Mapping[str, Any]) -> Key:
    return (row["codec"], row["version"], row["picture"], row["digest"], float(row["quality"]))


def _measure_all(
    plan: Plan,
    coders: Sequence[EvaluatedCodec],
    qualities: Mapping[str, tuple[float, ...]],
    names: Mapping[str, Path],
    media: str,
    progress: Progress | None,
) -> list[Row]:
    """Return every row of the plan, from the journal or measured now."""
    journal = Journal(plan.out / JOURNAL)
    known: dict[Key, Row] = {}
    for entry in journal.entries:
        try:
            row = Row(**entry)
            known[_key(entry)] = row
        except (TypeError, KeyError, ValueError) as error:
            raise EvaluationError(
                f"{journal.path} holds other data than measurements ({error}); remove it or "
                "name another output folder"
            ) from error
    versions = {coder.label: coder.version for coder in coders}
    run = run_line(cores() if plan.jobs is None else plan.jobs, plan.threads)
    wanted: list[Key] = []
    tasks: list[Task] = []
    for name, path in names.items():
        digest, unreadable = _digest(path, plan.frames if media == "video" else None)
        for label, grid in qualities.items():
            keys = [(as_text(label), versions[label], name, digest, q) for q in grid]
            wanted += keys
            if unreadable:
                task = Task(label, path, name, digest, grid, plan.metrics, run=run)
                failed = _fallen(task, Failure(unreadable), versions)
                known.update(zip(keys, failed, strict=True))
                continue
            missing = tuple(k[-1] for k in keys if not _complete(known.get(k), plan.metrics))
            if missing:
                tasks.append(
                    Task(
                        codec=label,
                        picture=path,
                        name=name,
                        digest=digest,
                        qualities=missing,
                        metrics=plan.metrics,
                        weights=plan.weights,
                        run=run,
                        frames=plan.frames,
                    )
                )
    total = sum(len(task.qualities) for task in tasks)
    for done, row in enumerate(_work(plan, tasks, versions), 1):
        journal.append(dataclasses.asdict(row))
        known[_key(dataclasses.asdict(row))] = row
        if progress:
            progress(done, total, row)
    return [known[key] for key in wanted]


def _digest(path: Path, frames: int | None) -> tuple[str, str | None]:
    """Return a digest of what is measured, or "" and why it can't be read.

    Args:
        path: The file.
        frames: Frames of a clip that are measured at most; None for a picture.
    """
    try:
        reason = reason_unreadable(path)
        if reason:
            return "", reason
        part = "" if frames is None else f"/{frames}"
        return f"{zlib.crc32(path.read_bytes()):08x}{part}", None
    except OSError as error:
        return "", f"can't be read: {error.strerror or error}"


def _complete(row: Row | None, metrics: Iterable[str]) -> bool:
    """Whether a row has every metric and no error, and need not be measured again."""
    return row is not None and row.error is None and set(metrics) <= set(row.metrics or ())


def _work(plan: Plan, tasks: Sequence[Task], versions: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows of tasks; a task whose process died is tried again quality by quality."""
    everywhere = 0 if plan.engine == "ray" else cores()
    jobs = everywhere if plan.jobs is None else plan.jobs
    options = {
        "jobs": jobs,
        "threads": plan.threads,
        "timeout": plan.timeout,
        "engine": plan.engine,
    }
    if plan.engine == "ray":  # whose nodes begin in other folders
        weights = None if plan.weights is None else plan.weights.absolute()
        tasks = [
            dataclasses.replace(task, picture=task.picture.absolute(), weights=weights)
            for task in tasks
        ]
    again: list[Task] = []
    for task, result in spread(measure.run, tasks, **options):  # type: ignore[arg-type]
        if not isinstance(result, Failure):
            yield from result
        elif len(task.qualities) > 1 and (jobs or plan.engine == "ray"):
            again += [dataclasses.replace(task, qualities=(q,)) for q in task.qualities]
        else:
            yield from _fallen(task, result, versions)
    for task, result in spread(measure.run, again, **options):  # type: ignore[arg-type]
        if isinstance(result, Failure):
            yield from _fallen(task, result, versions)
        else:
            yield from result


def _fallen(task: Task, failure: Failure, versions: Mapping[str, str]) -> Iterator[Row]:
    for quality in task.qualities:
        yield measure.failed(task, versions[task.codec], quality, failure.reason)
