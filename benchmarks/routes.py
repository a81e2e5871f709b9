"""All routes from a picture to a classifier's answer: accuracy over bytes, and over time.

    python benchmarks/routes.py --data DIR --weights mobilenet_v2-b0353104.pth [--labels FILE]
                                --route NAME SPEC Q,Q,... [--route ...] [--model mobilenet_v2]
                                [--limit N] [--timed 20] [--work DIR] [--jobs N]
                                [--markdown FILE] [--plot FILE.svg]

DIR holds labelled pictures in the classifier's size, see `quantal eval perception`. A route is a
codec of that command with qualities: `jpeg` and all that draw pictures are looked at as pixels,
`wavelet:latents=STEM` and `student:weights=...,latents=STEM` as latents, `features:layer=11` as
features. NAME is what the table and the plot call it; routes of one name are one curve.

Columns: bytes of a whole file; top-1 accuracy with its 95 % interval over pictures; milliseconds
from the bytes of a file to the answer, in one thread, the median of --timed pictures. Accuracy is
kept in --work, so that a stopped run continues; times are measured anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from quantal import media
from quantal.eval.codecs import ImageCodec, normalised, picture_codec
from quantal.eval.perception import Plan, Result, evaluate
from quantal.eval.perception.figures import Interval
from quantal.eval.perception.look import to_bytes
from quantal.eval.perception.plots import COLOURS
from quantal.eval.perception.recipe import Model
from quantal.markdown import table


@dataclass(frozen=True)
class Route:
    """A codec at some qualities, and what it is called."""

    name: str
    spec: str
    qualities: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """A point of a route."""

    name: str
    quality: float
    bytes: float
    accuracy: Interval
    seconds: float


def seconds(one: ImageCodec, quality: float, model: Model, paths: Sequence[Path]) -> float:
    """Return the median time from the bytes of a file to the answer."""
    taken = []
    for path in paths:
        data = one.encode(media.read(path).pixels, quality)
        began = time.perf_counter()
        shown = one.undrawn(data)
        model(to_bytes(one.decode(data)) if shown is None else shown)
        taken.append(time.perf_counter() - began)
    # The first one warms up.
    return float(np.median(taken[1:]))


def measured(routes: Sequence[Route], found: Result, timed: int) -> list[Found]:
    """Return all points, in the order of the routes."""
    model = found.study.models[found.precision]
    paths = [sample.path for sample in found.study.dataset.limited(timed + 1).samples]
    area = float(np.mean([np.prod(media.read(path).pixels.shape[:2]) for path in paths]))
    curves = {curve.codec: curve for curve in found.curves}
    main = found.study.task.scores[0].name
    rows = []
    for route in routes:
        one = picture_codec(route.spec)
        for point in curves[one.label].points:
            if point.quality in route.qualities:
                taken = seconds(one, point.quality, model, paths)
                size = point.bpp * area / 8
                rows.append(Found(route.name, point.quality, size, point.scores[main], taken))
                print(f"{route.name}, quality {point.quality:g}: {1000 * taken:.1f} ms", flush=True)
    return rows


def plot(rows: Sequence[Found], original: float, path: Path) -> None:
    """Draw accuracy over bytes and over milliseconds."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "quantal", "svg.fonttype": "path"}):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for number, name in enumerate(dict.fromkeys(row.name for row in rows)):
            own = [row for row in rows if row.name == name]
            line = {"color": COLOURS[number % len(COLOURS)], "marker": "osD^v"[number // 8]}
            accuracy = [row.accuracy.value for row in own]
            left.plot([row.bytes for row in own], accuracy, label=name, **line)
            right.plot([1000 * row.seconds for row in own], accuracy, **line)
        for axis, title, ticks in (
            (left, "bytes of a file", (50, 100, 200, 500, 1000, 2000, 5000, 10000)),
            (right, "milliseconds from file to answer", (1, 2, 5, 10, 20, 50, 100)),
        ):
            axis.axhline(original, color="#666666", linestyle="--", linewidth=1)
            axis.set_xscale("log")
            axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axis.minorticks_off()
            axis.set_xlabel(title)
            axis.grid(alpha=0.3)
        left.set_ylabel("top-1 accuracy, %")
        figure.legend(loc="outside right center")
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--route", nargs=3, action="append", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--timed", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path("routes"))
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    routes = [
        Route(name, spec, tuple(float(each) for each in qualities.split(",")))
        for name, spec, qualities in options.route
    ]
    qualities: dict[str, tuple[float, ...]] = {}
    for route in routes:
        label = normalised(route.spec)
        qualities[label] = tuple(sorted({*qualities.get(label, ()), *route.qualities}))
    found = evaluate(
        Plan(
            codecs=list(qualities),
            data=options.data,
            task="classify",
            model=options.model,
            out=options.work,
            qualities=qualities,
            weights=options.weights,
            labels=options.labels,
            limit=options.limit,
            jobs=options.jobs,
            metrics=("psnr",),
        )
    )
    original = found.figures.originals[found.precision]["top1"]
    rows = measured(routes, found, options.timed)
    text = table(
        ("route", "quality", "bytes", "top-1, %", "ms"),
        [
            (
                row.name,
                f"{row.quality:g}",
                f"{row.bytes:,.0f}",
                f"{row.accuracy.value:.1f} ({row.accuracy.low:.1f} to {row.accuracy.high:.1f})",
                f"{1000 * row.seconds:.1f}",
            )
            for row in rows
        ],
    )
    count = len(found.study.dataset.samples)
    text = f"{count} pictures; originals: {original.value:.1f} %\n\n{text}"
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.plot:
        plot(rows, original.value, options.plot)


if __name__ == "__main__":
    main()
