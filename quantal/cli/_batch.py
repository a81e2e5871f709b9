"""Run one function over many inputs, in this process or in several, and write its results.

Workers only compute; this process writes. A worker that is stopped leaves nothing half written.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from quantal.cli._guard import describe
from quantal.cli._inputs import expand
from quantal.cli._report import Report
from quantal.cli._sources import Failure, Source
from quantal.cli._streams import say
from quantal.cli._targets import STDOUT, Step, plan, write_file, write_stdout
from quantal.engine.pool import Death
from quantal.engine.processes import Processes
from quantal.errors import ArgumentError, QuantalError, QuantalWarning
from quantal.names import shown

__all__ = ["Outcome", "Request", "Work", "attempt", "convert"]


@dataclass(frozen=True)
class Outcome:
    """The result of one input.

    Attributes:
        data: bytes to write; empty if the work wrote them itself.
        bpp: bits of the compressed side per pixel, or per value of a data cube.
        quality: None of a data cube.
        written: bytes that the work wrote.
        stopped: why a clip is there only in part; None if it is whole.
        interrupt: what is to be raised once the outcome is reported.
        unit: of `bpp`.
        lines: what else to print of the result.
        more: what else to put into a JSON document.
    """

    data: bytes
    codec: str
    width: int
    height: int
    bytes_in: int
    bpp: float
    quality: int | None
    frames: int = 1
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    written: int = 0
    stopped: str | None = None
    interrupt: BaseException | None = None
    unit: str = "bpp"
    lines: tuple[str, ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)


#: Takes a source and, if the command says so, `progress`.
Work = Callable[..., Outcome]

#: Converts the clip of a step and writes the result itself: (step, force, progress).
ClipWork = Callable[[Step, bool, Callable[..., None]], Outcome]


@dataclass(frozen=True)
class Request:
    """What a call asked for: its inputs, which suffixes count in folders, and where results go.

    Attributes:
        suffix_of: returns the suffix of the result of a source.
        suffixes: all that the command writes; names that end in one are files, not folders.
        skip_existing: whether inputs whose outputs exist are left.
        keep_time: whether outputs get the times of their inputs.
        kind: what inputs are; files in folders that are something else are counted then.
    """

    inputs: Sequence[str]
    accepted: Collection[str]
    recursive: bool
    out: str | None
    suffix_of: Callable[[Source], str]
    suffixes: Collection[str]
    force: bool
    skip_existing: bool = False
    keep_time: bool = False
    kind: str | None = None


def convert(
    verb: str,
    request: Request,
    work: Work,
    *,
    prepare: Callable[[Sequence[Source]], object],
    jobs: int,
    as_json: bool,
    clip_work: ClipWork,
    is_clip: Callable[[Source], bool],
    progresses: bool = False,
) -> int:
    """Turn files into files and report the results.

    Args:
        verb: for the progress bar.
        request: the call.
        work: converts a picture.
        prepare: called once before the first file with all of them; raises errors that would occur
            with every file.
        jobs: how many processes.
        as_json: whether to print JSON.
        clip_work: converts a clip, in this process.
        is_clip: whether an input is a clip.
        progresses: whether work takes a callback `progress`, which works in this process alone.

    Returns:
        The exit status.
    """
    if as_json and request.out == STDOUT:
        raise ArgumentError("--json and -o - both write to standard output; give one of them")
    if request.skip_existing and request.force:
        raise ArgumentError("--skip-existing and --force contradict each other; give one of them")
    found = expand(request.inputs, request.accepted, request.recursive, request.kind)
    planned = plan(
        found.sources,
        request.inputs,
        request.out,
        request.suffix_of,
        request.force,
        request.suffixes,
        skip_existing=request.skip_existing,
        keep_time=request.keep_time,
    )
    steps = planned.steps
    on_stdout = any(step.target is None for step in steps)
    if as_json and on_stdout:
        raise ArgumentError("--json needs an output by -o: the result would go to standard output")
    if steps:
        prepare([step.source for step in steps])
    for note in found.notes:
        say(note, err=True)
    failures = (*found.failures, *planned.failures)
    total = len(steps) + len(failures)
    report = Report(verb, total, as_json=as_json, data_on_stdout=on_stdout)
    for failure in failures:
        report.failed(failure)
    with report:
        here = partial(work, progress=report.partly) if progresses else work
        places = {step.source.name: place for place, step in enumerate(steps)}
        of_clips = {step.source.name for step in steps if is_clip(step.source)}
        pictures = [step for step in steps if step.source.name not in of_clips]
        results = _results(pictures, work, here, jobs)
        _write_all(results, places, report, force=request.force)
        for step in steps:
            if step.source.name in of_clips:
                _convert_clip(step, clip_work, places[step.source.name], report, request.force)
    if planned.skipped:
        inputs = (
            "input whose output exists" if planned.skipped == 1 else "inputs whose outputs exist"
        )
        say(f"skipped {planned.skipped} {inputs}", err=True)
    return report.finish()


def _results(
    steps: Sequence[Step], work: Work, here: Work, jobs: int
) -> Iterator[tuple[Step, Outcome | Failure]]:
    """Do every step.

    Args:
        steps: inputs and outputs.
        work: for other processes.
        here: for this process.
        jobs: how many processes.
    """
    return _here(steps, here) if jobs == 1 or len(steps) < 2 else _in_workers(steps, work, jobs)


def _write_all(
    results: Iterator[tuple[Step, Outcome | Failure]],
    places: Mapping[str, int],
    report: Report,
    *,
    force: bool,
) -> None:
    """Write results; failures are reported and the rest is still done.

    Args:
        results: of steps, in any order.
        places: of inputs by their names.
        report: receives results.
        force: whether existing files are overwritten.
    """
    for step, result in results:
        if isinstance(result, Failure):
            report.failed(result)
            continue
        try:
            if step.target is None:
                write_stdout(result.data, force)
            else:
                write_file(step.target, result.data, force, step.times)
        except QuantalError as error:
            report.failed(Failure(step.source.name, describe(error)))
            continue
        report.done(places[step.source.name], _entry(step, result), result.unit, result.lines)


def _convert_clip(step: Step, work: ClipWork, place: int, report: Report, force: bool) -> None:
    """Do the step of a clip, and report what came of it."""
    result = attempt(lambda _: work(step, force, report.partly), step.source)
    if isinstance(result, Failure):
        report.failed(result)
        return
    if result.stopped is not None:
        report.failed(Failure(step.source.name, result.stopped))
    else:
        report.done(place, _entry(step, result), result.unit, result.lines)
    if result.interrupt is not None:
        raise result.interrupt


def _entry(step: Step, outcome: Outcome) -> dict[str, object]:
    return {
        "input": shown(step.source.name),
        "output": shown(step.output),
        "codec": outcome.codec,
        "width": outcome.width,
        "height": outcome.height,
        "frames": outcome.frames,
        "bytes_in": outcome.bytes_in,
        "bytes_out": outcome.written or len(outcome.data),
        "bpp": outcome.bpp,
        "seconds": round(outcome.seconds, 4),
        "quality": outcome.quality,
        "warnings": list(outcome.warnings),
        **outcome.more,
    }


def attempt(work: Work, source: Source) -> Outcome | Failure:
    """Do the work; errors become text here, so that nothing unpicklable crosses processes."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", QuantalWarning)
            outcome = work(source)
    except Exception as error:
        return source.failure(error)
    said = dict.fromkeys((*outcome.warnings, *(str(warning.message) for warning in caught)))
    return replace(outcome, seconds=time.perf_counter() - start, warnings=tuple(said))


def _here(steps: Sequence[Step], work: Work) -> Iterator[tuple[Step, Outcome | Failure]]:
    for step in steps:
        yield step, attempt(work, step.source)


def _in_workers(
    steps: Sequence[Step], work: Work, jobs: int
) -> Iterator[tuple[Step, Outcome | Failure]]:
    sources = [step.source for step in steps]
    with closing(Processes(jobs).spread(partial(attempt, work), sources, describe)) as results:
        for place, result in results:
            step = steps[place]
            if isinstance(result, Death):
                yield step, Failure(step.source.name, result.reason)
            else:
                yield step, result
