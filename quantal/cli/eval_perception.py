"""`quantal eval perception`: what frozen models still see in decoded pictures."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._eval_options import (
    Codecs,
    EvalJobs,
    Folder,
    Qualities,
    on_terminal,
    parse_qualities,
    split,
)
from quantal.cli._options import JsonFlag, Plugin
from quantal.cli._report import Bar, print_json
from quantal.cli._streams import say
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.eval.perception import Result

__all__ = ["perception"]

_LINES = 20  # failures that are printed


def perception(
    codecs: Codecs,
    data: Annotated[Path, typer.Option(help="Labelled pictures: a folder, or a COCO JSON file.")],
    task: Annotated[
        str, typer.Option(help="Task of the model: classify, detect, segment or read.")
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME_OR_PATH", help="A torchvision model, or an .onnx or .tflite file."
        ),
    ],
    out: Folder,
    qualities: Qualities = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a torchvision model; default: downloaded.")
    ] = None,
    preprocess: Annotated[
        Path | None,
        typer.Option(help="JSON or YAML file that describes input and output of a model file."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="JSON file of pairs: class of the model, class of the data set."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of pictures, taken evenly.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(metavar="A,B,...", help="Metrics to correlate the scores with.")
    ] = "psnr,ms-ssim",
    metric_weights: Annotated[
        Path | None, typer.Option(help="A folder with network weights for metrics such as LPIPS.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Precisions of a torchvision model: float32, float16, bfloat16, int8. Default: "
            "float32.",
        ),
    ] = None,
    jobs: EvalJobs = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch in each process.")] = 1,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> int:
    """Measure the score of a frozen model on decoded pictures, over bits per pixel.

    Writes perception.csv, .parquet, .json, .svg, .png, report.md and report.html to OUT.
    """
    from quantal.eval.codecs import split_specs
    from quantal.eval.perception import Plan, document, evaluate

    plan = Plan(
        codecs=split_specs(codecs),
        data=data,
        task=task,
        model=model,
        out=out,
        qualities=parse_qualities(qualities),
        weights=weights,
        preprocess=preprocess,
        labels=labels,
        limit=limit,
        jobs=jobs,
        threads=threads,
        metrics=split(metrics),
        metric_weights=metric_weights,
        precisions=split(precision or ""),
    )
    bar: Bar | None = None

    def watch(done: int, of: int) -> None:
        nonlocal bar
        if bar is None:
            bar = Bar("looking at pictures", of, shown=not as_json and on_terminal())
            bar.start()
        bar.advance()
        if not as_json and not on_terminal() and (done % 100 == 0 or done == of):
            with suppress(OSError):  # nobody reads it any more; the measurement goes on
                bar.say(f"{done} of {of} done", err=True)

    try:
        found = evaluate(plan, watch)
    finally:
        if bar is not None:
            bar.stop()
    failed = _failures(found)
    for line in failed[:_LINES]:
        say(line, err=True)
    if len(failed) > _LINES:
        more = f"and {len(failed) - _LINES} more failures: see {out / 'report.md'}"
        say(more, err=True)
    if as_json:
        print_json(document(found))
    else:
        _print(found)
    return 1 if failed else 0


def _failures(found: Result) -> list[str]:
    """Return a line for each picture and reason, whatever the number of codecs and qualities."""
    places: dict[tuple[str, str], list[str]] = {}
    for entry in found.study.failures:
        where = f"{entry['codec']} at quality {entry['quality']:g}"
        places.setdefault((entry["picture"], entry["error"]), []).append(where)
    lines = [f"{place}: {reason}" for place, reason in found.study.dataset.unreadable.items()]
    for (picture, reason), at in places.items():
        more = f" and {len(at) - 3} more" if len(at) > 3 else ""
        lines.append(f"{picture}: {reason} ({', '.join(at[:3])}{more})")
    return lines


def _print(found: Result) -> None:
    """Print the tables that fit a terminal, and where the rest is."""
    from quantal.eval.perception.tables import tables

    for table in tables(found)[:3]:
        say(f"\n{table.title}: {table.note}")
        widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
        for row in (table.head, *table.rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            say(f"  {line.rstrip()}")
    say(f"\nreport: {printable(found.plan.out / 'report.html')}")
