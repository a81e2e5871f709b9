"""`quantal eval rd`: codecs on a folder of pictures, real bytes, tables and a report."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._engine import EngineName, Nodes
from quantal.cli._eval_options import (
    Codecs,
    Data,
    EvalJobs,
    Folder,
    Interpolation,
    MinOverlap,
    Pareto,
    Qualities,
    Weights,
    on_terminal,
    parse_qualities,
    split,
)
from quantal.cli._options import JsonFlag, Plugin
from quantal.cli._report import Bar, print_json
from quantal.cli._streams import say
from quantal.names import printable
from quantal.outputs import write_whole

if TYPE_CHECKING:
    from quantal.eval.bdrate import BD
    from quantal.eval.rd import RDResult
    from quantal.eval.rows import Row

__all__ = ["rd"]


def rd(
    codecs: Codecs,
    data: Data,
    out: Folder,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Codec that the others are compared with; default: the first."
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="A,B,...", help="Metrics; an unknown name prints the list of metrics."
        ),
    ] = "psnr,ms-ssim",
    qualities: Qualities = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|FILE|PATTERN",
            help="Published curves, JSON in CompressAI's layout; can be repeated.",
        ),
    ] = None,
    mean: Annotated[
        str, typer.Option(help="picture: mean of PSNRs; mse: PSNR of the mean squared error.")
    ] = "picture",
    method: Annotated[
        Interpolation, typer.Option(help="Interpolation of curves for BD-rate.")
    ] = Interpolation.pchip,
    min_overlap: MinOverlap = 0.5,
    pareto: Pareto = False,
    weights: Weights = None,
    jobs: EvalJobs = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch in each process.")] = 1,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds a codec may take for one picture.")
    ] = 600,
    frames: Annotated[
        int, typer.Option(min=1, help="Frames to measure of each clip, for codecs of video.")
    ] = 32,
    engine: Nodes = EngineName.processes,
    report: Annotated[
        bool, typer.Option(help="Write report.html, report.md, rd.svg and rd.png.")
    ] = True,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> int:
    """Measure and compare rate, distortion, speed and memory of codecs on pictures or clips.

    Writes rows.csv and rows.parquet (one row for each picture, codec and quality), results.json and
    the report. Existing measurements are reused.
    """
    from quantal.eval.codecs import split_specs
    from quantal.eval.rd import Plan, measure_rd
    from quantal.eval.rows import write_tables
    from quantal.eval.summary import comparisons, document

    plan = Plan(
        codecs=tuple(split_specs(codecs)),
        data=data,
        out=out,
        metrics=split(metrics),
        qualities=parse_qualities(qualities),
        references=tuple(reference or ()),
        anchor=anchor,
        mean=mean,
        method=method.value,
        min_overlap=min_overlap,
        pareto=pareto,
        weights=weights,
        jobs=jobs,
        threads=threads,
        timeout=timeout,
        frames=frames,
        engine=engine.value,
    )
    if report:
        from quantal.eval.report import ready

        ready()  # report what is missing before hours of measuring
    result = measure_rd(plan, _Watch(quiet=as_json))
    deltas = comparisons(result)
    write_tables([row.flat() for row in result.rows], out / "rows")
    summary = document(result, deltas)
    text = json.dumps(summary, indent=2) + "\n"
    write_whole(out / "results.json", text)
    if report:
        from quantal.eval.report import write_report

        write_report(result, deltas, out)
    if as_json:
        print_json(summary)
    else:
        _print(result, deltas, report)
    for note, whom in _doubts(deltas).items():
        say(f"warning: BD-rate of {', '.join(whom)}: {note}", err=True)
    for note in result.notes:
        say(f"{data}: {note}", err=True)
    for line in _failures(result.failures):
        say(line, err=True)
    return 1 if result.failures else 0


def _failures(rows: Sequence[Row]) -> list[str]:
    """Return a line for each picture and reason, whatever the number of codecs and qualities."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        codecs = found.setdefault((row.picture, row.error or ""), {})
        codecs.setdefault(row.codec, []).append(f"{row.quality:g}")
    return [
        printable(
            f"{picture}: {reason} ({'; '.join(f'{c} at {_listed(q)}' for c, q in codecs.items())})"
        )
        for (picture, reason), codecs in found.items()
    ]


def _listed(qualities: Sequence[str]) -> str:
    """Return few qualities by themselves, many by their number."""
    return ", ".join(qualities) if len(qualities) < 5 else f"{len(qualities)} qualities"


class _Watch:
    """A bar over all measurements, shown once their number is known."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and on_terminal()
        self._quiet = quiet
        self._bar: Bar | None = None

    def __call__(self, done: int, total: int, row: Row) -> None:
        if self._bar is None:
            self._bar = Bar("measuring", total, shown=self._shown)
            self._bar.start()
        self._bar.advance()
        step = max(total // 10, 1)
        if not self._shown and not self._quiet and done % step == 0:
            with suppress(OSError):  # nobody reads it any more; the measurement goes on
                say(f"measured {done} of {total}", err=True)
        if done == total:
            self._bar.stop()


def _print(result: RDResult, deltas: dict[str, dict[str, BD | str]], report: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from quantal.eval.metrics import about

    metrics = result.plan.metrics
    data = printable(os.path.basename(os.path.realpath(result.plan.data)))
    count = len(result.pictures)
    kind = ("picture" if result.media == "picture" else "clip") + "s"[: count != 1]
    title = f"{data}, {count} {kind}; BD-rate in percent"
    # Texts instead of markup, because names may hold brackets.
    table = Table(title=Text(title, style="table.title"))
    table.add_column("codec", overflow="fold")
    heads = [about(metric).title for metric in metrics]
    for head in [heads[0], "95 %", *heads[1:], "encode s", "decode s"]:
        table.add_column(head, justify="right", no_wrap=True)
    for name in dict.fromkeys([*result.sheets, *result.curves]):
        curve = result.curves.get(name)
        counted = curve.pictures if curve else 0
        fewer = name in result.sheets and counted < len(result.pictures)
        cells = [f"{name} ({counted} pictures)" if fewer else name]
        for metric in metrics:
            found = deltas[metric].get(name)
            cells.append(_percent(found, "anchor" if name == result.anchor else ""))
            if metric == metrics[0]:
                cells.append(_interval(found))
        costs = curve.costs if curve else {}
        for cost in ("encode_s", "decode_s"):
            seconds = costs.get(cost)
            cells.append(f"{sum(seconds) / len(seconds):.3f}" if seconds else "")
        table.add_row(*map(Text, cells))
    Console().print(table)
    _print_exact(result)
    for reason, whom in _reasons(deltas).items():
        say(f"no BD-rate for {', '.join(whom)}: {reason}", err=True)
    written = ["rows.csv", "rows.parquet", "results.json", *(["report.html"] if report else [])]
    say(f"{printable(result.plan.out)}: {', '.join(written)}")


def _print_exact(result: RDResult) -> None:
    """Print bits per sample and speed of the codecs that are lossless, if there are any."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from quantal.eval.exact import exact_codecs

    found = exact_codecs(result.rows)
    if not found:
        return
    table = Table(title=Text("lossless", style="table.title"))
    table.add_column("codec", overflow="fold")
    for head in ("pictures", "bits/sample", "encode s", "decode s", "encode MP/s", "decode MP/s"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, exact in found.items():
        table.add_row(
            Text(name),
            str(exact.pictures),
            f"{exact.bpsp:.4f}",
            f"{exact.encode_s:.3f}",
            f"{exact.decode_s:.3f}",
            f"{exact.encode_mp_s:.2f}",
            f"{exact.decode_mp_s:.2f}",
        )
    Console().print(table)


def _percent(found: BD | str | None, otherwise: str) -> str:
    return otherwise if found is None or isinstance(found, str) else f"{found.percent:+.1f}"


def _interval(found: BD | str | None) -> str:
    if found is None or isinstance(found, str) or found.interval is None:
        return ""
    return f"{found.interval[0]:+.1f}..{found.interval[1]:+.1f}"


def _doubts(deltas: dict[str, dict[str, BD | str]]) -> dict[str, list[str]]:
    """Return what makes BD-rates doubtful, for which codecs by which metrics."""
    found: dict[str, list[str]] = {}
    for metric, by_name in deltas.items():
        for name, delta in by_name.items():
            if not isinstance(delta, str) and delta.note:
                found.setdefault(delta.note, []).append(f"{name} ({metric})")
    return found


def _reasons(deltas: dict[str, dict[str, BD | str]]) -> dict[str, list[str]]:
    """Return why there is no BD-rate, for which codecs by which metrics: each reason once."""
    found: dict[str, list[str]] = {}
    for metric, by_name in deltas.items():
        for name, delta in by_name.items():
            if isinstance(delta, str):
                found.setdefault(delta, []).append(f"{name} ({metric})")
    return found
