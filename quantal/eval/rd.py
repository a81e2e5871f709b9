"""Rate-distortion: codecs x qualities x pictures, measured, kept, and summed up.

Every measurement goes to a journal as soon as it is made, so that an interrupted run goes on where
it was; tables and the summary are made of it at the end. The report is another room's.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from quantal import media
from quantal.errors import ArgumentError, EvaluationError, OutputError
from quantal.eval import measure
from quantal.eval._optional import require
from quantal.eval.bdrate import BD, Method, compare
from quantal.eval.codecs import ImageCodec, codecs, grids, normalised
from quantal.eval.curves import Curve, Sheet, published, sheets
from quantal.eval.journal import Journal
from quantal.eval.measure import Task
from quantal.eval.metrics import MEANS, metric
from quantal.eval.provenance import Provenance, provenance, run_line
from quantal.eval.rows import Row
from quantal.eval.work import Failure, cores, spread

__all__ = ["Plan", "RDResult", "Tell", "find_pictures", "measure_rd"]

JOURNAL = "rows.jsonl"

#: Told of every measurement: how many are done, of how many, and the newest row.
Tell = Callable[[int, int, Row], None]


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and how.

    codecs: specs. qualities: spec -> its own instead of the codec's usual ones; under "" for all.
    metrics: names. references: files or folders of published curves. anchor: a codec or a
    published curve that the others are compared with; the first codec if None. mean: one of
    quantal.eval.metrics.MEANS. method, min_overlap, pareto: of quantal.eval.bdrate.bd. jobs:
    processes, 0 for this one. threads: that torch may use in each. timeout: seconds a codec may
    take for a picture at all its qualities.
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


@dataclass(frozen=True)
class RDResult:
    """Everything that a table or a report shows.

    sheets: codec -> its measurements; curves: codecs and published ones; anchor: one of curves'
    names, or None if there are no curves. failures: rows that give a reason instead of numbers.
    notes: what was not measured, a sentence each.
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

    def side(self, name: str) -> Sheet | Curve:
        """What a comparison takes: the sheet of a codec, or a published curve."""
        return self.sheets[name] if name in self.sheets else self.curves[name]

    def compare(self, test: str, anchor: str, metric: str, resamples: int = 0) -> BD | str:
        """Two curves by their names: Bjøntegaard's deltas, or why there are none."""
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


def find_pictures(data: Path) -> tuple[Path, ...]:
    """The pictures of a folder, by name, or one picture; EvaluationError if there is none."""
    if not data.exists():
        raise EvaluationError(f"there is no {data}; expected a folder of pictures")
    files = [data] if data.is_file() else sorted(p for p in data.iterdir() if p.is_file())
    found = tuple(p for p in files if p.suffix.lower() in media.PICTURE_SUFFIXES)
    if not found:
        others = sorted({p.suffix or p.name for p in files})
        what = f"other files ({', '.join(others[:5])})" if files else "no file"
        folders = [] if data.is_file() else sorted(p.name for p in data.iterdir() if p.is_dir())
        below = f"; its folders are {', '.join(folders[:5])}: name one of them" if folders else ""
        raise EvaluationError(
            f"{data} holds no pictures but {what}; expected .png, .jpg, .webp and the like{below}"
        )
    return found


def measure_rd(plan: Plan, tell: Tell | None = None) -> RDResult:
    """Measure what the plan asks for and isn't in its journal yet, and sum everything up.

    Raises ArgumentError for what can't be meant (unknown names, impossible options) before
    anything is measured. A codec that fails on a picture is recorded, and the rest goes on.
    """
    plan = dataclasses.replace(plan, metrics=tuple(dict.fromkeys(plan.metrics)))
    _check(plan)
    coders = codecs(plan.codecs)
    references = published(plan.references)
    qualities = grids(coders, plan.qualities)
    anchor = _anchor(plan.anchor, [c.label for c in coders], list(references))
    pictures = find_pictures(plan.data)
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.out} can't be made a folder: {error.strerror}") from error
    rows = _measure_all(plan, coders, qualities, pictures, tell)
    own = sheets([row.flat() for row in rows], plan.metrics)
    curves = {name: sheet.curve(plan.mean) for name, sheet in own.items() if sheet.pictures}
    return RDResult(
        plan=plan,
        pictures=pictures,
        rows=tuple(rows),
        sheets=own,
        curves=curves | references,
        anchor=anchor if anchor in curves or anchor in references else None,
        failures=tuple(row for row in rows if row.error),
        notes=(*_alpha(pictures), *_uncounted(own, anchor), *_runs(rows)),
        provenance=provenance(),
    )


def _check(plan: Plan) -> None:
    """What is impossible or missing is said before hours of work, not after."""
    if plan.mean not in MEANS:
        raise ArgumentError(f"mean {plan.mean!r} is none of {', '.join(MEANS)}")
    if not plan.metrics:
        raise ArgumentError("no metric was named; psnr,ms-ssim are the usual ones")
    for name in plan.metrics:
        metric(name, plan.weights)
    require("bjontegaard", "BD-rate")
    require("polars", "Parquet tables")
    if plan.out.resolve() == plan.data.resolve():
        raise ArgumentError(
            f"{plan.out} holds the pictures; name another folder for the results, or they would "
            "be measured the next time"
        )


def _alpha(pictures: Sequence[Path]) -> Iterator[str]:
    clear = []
    for path in pictures:
        try:
            with Image.open(path) as image:
                if image.has_transparency_data:
                    clear.append(path.name)
        except Exception:  # no picture: every codec's row says so
            continue
    if clear:
        yield f"alpha is not measured, only the colours below it: {_some(clear)}"


def _uncounted(own: Mapping[str, Sheet], anchor: str) -> Iterator[str]:
    """Pictures that count nowhere, for all codecs alike, and an anchor that isn't there."""
    reasons: dict[str, list[str]] = {}
    for sheet in own.values():
        for picture, reason in sheet.left_out.items():
            if reason.startswith("has no "):
                names = reasons.setdefault(reason, [])
                if picture not in names:
                    names.append(picture)
    for reason, names in reasons.items():
        yield f"a picture that {reason} is left out of all means: {_some(names)}"
    if anchor in own and not own[anchor].pictures:
        yield f"there is no BD-rate, for the anchor {anchor} failed on every picture"


def _runs(rows: Sequence[Row]) -> Iterator[str]:
    runs = list(dict.fromkeys(row.run for row in rows if row.run))
    if len(runs) > 1:
        yield f"measured in {len(runs)} runs, whose seconds may not compare: {'; '.join(runs)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _anchor(asked: str | None, labels: Sequence[str], references: Sequence[str]) -> str:
    if asked is None:
        return labels[0]
    candidates = [*labels, *references]
    for name in (normalised(asked), f"published/{asked}"):
        if name in candidates:
            return name
    raise ArgumentError(
        f"the anchor {asked!r} is not among what is compared: {', '.join(candidates)}; name it "
        "with --codecs or --reference too"
    )


Key = tuple[str, str, str, str, float]


def _key(row: Mapping[str, Any]) -> Key:
    return (row["codec"], row["version"], row["picture"], row["digest"], float(row["quality"]))


def _measure_all(
    plan: Plan,
    coders: Sequence[ImageCodec],
    qualities: Mapping[str, tuple[float, ...]],
    pictures: Sequence[Path],
    tell: Tell | None,
) -> list[Row]:
    """Every row of the plan, from the journal where it has them, measured where not."""
    journal = Journal(plan.out / JOURNAL)
    known: dict[Key, Row] = {}
    for entry in journal.entries:
        try:
            row = Row(**entry)
            known[_key(entry)] = row
        except (TypeError, KeyError, ValueError) as error:
            raise EvaluationError(
                f"{journal.path} holds something else than measurements ({error}); remove it or "
                "name another output folder"
            ) from error
    versions = {coder.label: coder.version for coder in coders}
    digests = {p: f"{zlib.crc32(p.read_bytes()):08x}" for p in pictures}
    run = run_line(cores() if plan.jobs is None else plan.jobs, plan.threads)
    wanted: list[Key] = []
    tasks: list[Task] = []
    for path in pictures:
        for label, grid in qualities.items():
            keys = [(label, versions[label], path.name, digests[path], q) for q in grid]
            wanted += keys
            missing = tuple(k[-1] for k in keys if not _complete(known.get(k), plan.metrics))
            if missing:
                tasks.append(
                    Task(
                        codec=label,
                        picture=path,
                        name=path.name,
                        digest=digests[path],
                        qualities=missing,
                        metrics=plan.metrics,
                        weights=plan.weights,
                        run=run,
                    )
                )
    total = sum(len(task.qualities) for task in tasks)
    for done, row in enumerate(_work(plan, tasks, versions), 1):
        journal.append(dataclasses.asdict(row))
        known[_key(dataclasses.asdict(row))] = row
        if tell:
            tell(done, total, row)
    return [known[key] for key in wanted]


def _complete(row: Row | None, metrics: Iterable[str]) -> bool:
    """Whether a row need not be measured again: it has every metric and didn't fail."""
    return row is not None and row.error is None and set(metrics) <= set(row.metrics or ())


def _work(plan: Plan, tasks: Sequence[Task], versions: Mapping[str, str]) -> Iterator[Row]:
    """The rows of tasks as they come; a task whose process died is tried quality by quality."""
    jobs = cores() if plan.jobs is None else plan.jobs
    options = {"jobs": jobs, "threads": plan.threads, "timeout": plan.timeout}
    again: list[Task] = []
    for task, result in spread(measure.run, tasks, **options):  # type: ignore[arg-type]
        if not isinstance(result, Failure):
            yield from result
        elif len(task.qualities) > 1 and jobs:
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
