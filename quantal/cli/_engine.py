"""Calls with --engine: a whole folder or store to another, by workers here or on a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._batch import Work, attempt
from quantal.cli._guard import describe
from quantal.cli._report import Bar, print_json
from quantal.cli._sources import Failure, Source
from quantal.cli._streams import say
from quantal.errors import ArgumentError, QuantalError
from quantal.names import printable, shown

if TYPE_CHECKING:
    from quantal.engine.rows import Order, Product, Result
    from quantal.engine.running import Engine, Summary

__all__ = ["EngineName", "EngineOption", "Nodes", "Tar", "check_tar", "engine_of", "run_engine"]

_PAUSE = 10.0  # seconds between two lines of progress where there is no terminal


class EngineName(str, Enum):
    """Who does the work."""

    processes = "processes"
    ray = "ray"


EngineOption = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        help="For very many files: IN and OUT are folders, URLs such as s3://bucket/photos or data "
        "sets of Hugging Face (hf:NAME), and a second call repeats no finished work. processes: "
        "processes of this machine; ray: actors of a Ray cluster.",
    ),
]
Nodes = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="Workers. processes: processes of this machine; ray: actors of a Ray cluster whose "
        "nodes see the same folders.",
    ),
]
Tar = Annotated[
    bool,
    typer.Option(
        "--tar", help="With --engine: write one .tar for each batch, instead of single files."
    ),
]


@dataclass(frozen=True)
class _Verb:
    """How a command speaks of its work: "compressing", "compressed"."""

    present: str
    past: str


VERBS = {
    "compress": _Verb("compressing", "compressed"),
    "decompress": _Verb("decompressing", "decompressed"),
    "verify": _Verb("verifying", "verified"),
}


def check_tar(tar: bool, engine: EngineName | None) -> None:
    """Refuse --tar where files are written one by one."""
    if tar and engine is None:
        raise ArgumentError("--tar needs --engine: name one, or leave it out")


def engine_of(name: EngineName, jobs: int | None) -> Engine:
    """Return an engine; errors say what it lacks."""
    if name is EngineName.ray:
        from quantal.engine.ray import Ray

        return Ray(jobs)
    from quantal.engine.processes import Processes

    return Processes(jobs)


def run_engine(
    command: str,
    inputs: Sequence[str],
    out: str | None,
    work: Work,
    order: Order,
    options: Mapping[str, object],
    *,
    engine: EngineName,
    jobs: int | None,
    as_json: bool,
    tar: bool = False,
    keep_time: bool = False,
) -> int:
    """Do a command's work by an engine, and report it.

    Args:
        command: Its name.
        inputs: As they were given.
        out: As it was given.
        work: Converts a file; of a module's top level, or a partial of that.
        order: Which files, and what becomes of those that exist.
        options: What decides the results, for the manifest.
        engine: Which.
        jobs: How many workers; None for the engine's own number.
        as_json: Whether to print JSON.
        tar: Whether a batch becomes one tar.
        keep_time: Refused.

    Returns:
        The exit status.
    """
    from quantal.engine.rows import Job
    from quantal.engine.running import run

    if len(inputs) != 1 or inputs[0] == "-":
        raise ArgumentError("--engine takes one folder or URL as IN; name the one that holds them")
    if out is None or out == "-":
        raise ArgumentError("--engine needs a folder or a URL for results and its manifest: -o OUT")
    if keep_time:
        raise ArgumentError("--keep-time can't be combined with --engine; leave one of them out")
    if order.force and order.skip_existing:
        raise ArgumentError("--skip-existing and --force contradict each other; give one of them")
    job = Job(
        source=inputs[0],
        target=out,
        function=partial(produce, work=work, writes=bool(order.output)),
        describe=describe,
        options={"command": command, "tar": tar, **options},
        tar=tar,
    )
    watch = _Watch(VERBS[command], quiet=as_json)
    chosen = engine_of(engine, jobs)
    try:
        # Ray reports nodes that die on standard output, where JSON goes.
        with redirect_stdout(sys.stderr), watch:
            summary = run(job, order, chosen, watch)
    finally:
        chosen.close()
    report = _document(summary, inputs[0], out, chosen)
    if as_json:
        print_json(report)
    else:
        _say(summary, VERBS[command], inputs[0], out, writes=bool(order.output))
    return 1 if summary.failures else 0


def produce(name: str, content: bytes, work: Work, writes: bool) -> Product:
    """Do a command's work on one file; at module level, so that workers can import it.

    Raises:
        QuantalError: It can't be done; the message is the reason, without the name.
    """
    from quantal import container
    from quantal.engine.rows import Product

    outcome = attempt(work, Source(name, None, Path(Path(name).name), content))
    if isinstance(outcome, Failure):
        raise QuantalError(outcome.reason)
    coded = outcome.data if outcome.data.startswith(container.MAGIC) else content
    model_hash = ""
    with suppress(QuantalError):  # clips and data cubes have headers of their own
        model_hash = container.probe(coded, cut=True).header.model_hash.hex()
    note = "; ".join((*outcome.warnings, *outcome.lines))
    return Product(outcome.data if writes else None, model_hash, note)


class _Watch:
    """A bar on a terminal, else a line now and then; failures as they come."""

    def __init__(self, verb: _Verb, *, quiet: bool) -> None:
        self._verb, self._quiet = verb, quiet
        self._bar: Bar | None = None
        self._total = self._done = 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, total: int) -> None:
        self._total = total
        self._start = self._said = time.monotonic()
        shown = not self._quiet and sys.stderr.isatty()
        self._bar = Bar(self._verb.present, total, shown=shown)
        self._bar.start()

    def result(self, result: Result) -> None:
        bar = self._bar
        if bar is None:
            return
        self._done += 1
        now = time.monotonic()
        speed = self._done / max(now - self._start, 1e-3)
        if result.error:
            bar.say(Failure(result.name, result.error).line, err=True)
        elif result.note:
            bar.say(f"{printable(result.name)}: warning: {result.note}", err=True)
        bar.advance()
        bar.advance_to(0, f"{speed:.1f}/s")
        if not self._quiet and not sys.stderr.isatty() and now - self._said >= _PAUSE:
            self._said = now
            left = (self._total - self._done) / speed
            say(
                f"{self._verb.past} {self._done:,} of {self._total:,} files, {speed:.1f} a second, "
                f"{left:,.0f} s left",
                err=True,
            )


def _document(summary: Summary, source: str, target: str, engine: Engine) -> dict[str, object]:
    return {
        "source": source,
        "target": target,
        "engine": engine.name,
        "workers": engine.workers,
        "manifest": summary.manifest,
        "files": summary.files,
        "finished_before": summary.finished,
        "skipped": summary.existing,
        "done": summary.done,
        "failed": len(summary.failures),
        "bytes_in": summary.bytes_in,
        "bytes_out": summary.bytes_out,
        "seconds": round(summary.seconds, 4),
        "files_per_second": round(summary.done / summary.seconds, 3) if summary.seconds else None,
        "failures": [{"input": shown(name), "error": why} for name, why in summary.failures],
    }


def _say(summary: Summary, verb: _Verb, source: str, target: str, *, writes: bool) -> None:
    speed = f", {summary.done / summary.seconds:.1f} a second" if summary.seconds else ""
    sizes = f"  {summary.bytes_in:,} -> {summary.bytes_out:,} bytes" if writes else ""
    say(
        f"{printable(source)} -> {printable(target)}  {verb.past} {summary.done:,} of "
        f"{summary.files:,} files{sizes}  {summary.seconds:.2f} s{speed}"
    )
    if summary.finished:
        say(f"skipped {summary.finished:,} that earlier calls finished", err=True)
    if summary.existing:
        say(f"skipped {summary.existing:,} whose outputs exist", err=True)
    if summary.failures:
        say(
            f"{len(summary.failures):,} failed; {printable(summary.manifest)} states the reasons",
            err=True,
        )
