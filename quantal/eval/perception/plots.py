"""Plots for papers: score over rate, and score over a metric."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from quantal.eval._optional import require
from quantal.eval.metrics import about
from quantal.eval.perception.result import Result
from quantal.eval.texts import brief
from quantal.outputs import write_whole

__all__ = ["COLOURS", "plot"]

#: A palette for colour-blind readers (Okabe and Ito 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")


def plot(found: Result, stem: Path) -> list[Path]:
    """Write both panels to `stem`.svg and `stem`.png; return the paths."""
    matplotlib = require("matplotlib", "plots")
    figure_module = require("matplotlib.figure", "plots")
    score = found.study.task.scores[0]
    metrics = found.study.metrics[:1]
    settings = {"svg.hashsalt": "quantal", "svg.fonttype": "path", "text.parse_math": False}
    with matplotlib.rc_context(settings):
        figure = figure_module.Figure(figsize=(5.2 * (1 + len(metrics)), 4), layout="constrained")
        axes = figure.subplots(1, 1 + len(metrics), squeeze=False)[0]
        _rates(axes[0], found)
        for axis, metric in zip(axes[1:], metrics, strict=True):
            known = about(metric)
            for i, curve in enumerate(found.curves):
                pairs = [
                    (point.metrics[metric], point.paired[metric])
                    for point in curve.points
                    if math.isfinite(point.metrics[metric])
                ]
                x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
                axis.plot(x, y, "o", color=COLOURS[i % len(COLOURS)])
            axis.set_xlabel(f"{known.title}, {known.unit}" if known.unit else known.title)
            axis.set_ylabel(f"{score.title}, %")
            axis.grid(alpha=0.3)
        paths = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
        for path in paths:
            # Without a date, files are reproducible.
            hidden = {"Date": None} if path.suffix == ".svg" else {}
            content = io.BytesIO()
            figure.savefig(content, format=path.suffix[1:], dpi=150, metadata=hidden)
            write_whole(path, content.getvalue())
    return paths


def _rates(axis: Any, found: Result) -> None:
    score = found.study.task.scores[0]
    original = found.figures.originals[found.precision][score.name].value
    axis.axhline(original, color="#666666", linestyle="--", linewidth=1, label="original")
    for i, curve in enumerate(found.curves):
        colour = COLOURS[i % len(COLOURS)]
        bpp = [point.bpp for point in curve.points]
        values = [point.scores[score.name] for point in curve.points]
        axis.plot(bpp, [v.value for v in values], "o-", color=colour, label=brief(curve.codec))
        axis.fill_between(
            bpp, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.12
        )
    axis.set_xscale("log")
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if _inside(t, found)]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("bits per pixel")
    axis.set_ylabel(f"{score.title}, %")
    axis.grid(alpha=0.3)
    axis.legend()


def _inside(rate: float, found: Result) -> bool:
    rates = [point.bpp for curve in found.curves for point in curve.points]
    return bool(rates) and min(rates) * 0.8 <= rate <= max(rates) * 1.25
