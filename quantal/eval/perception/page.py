"""The report as a self-contained HTML page: interactive plots and all tables."""

from __future__ import annotations

import html
import math
from importlib import resources
from typing import Any

from quantal.eval._optional import require
from quantal.eval.metrics import about
from quantal.eval.perception.plots import COLOURS
from quantal.eval.perception.result import Result
from quantal.eval.perception.tables import Table, tables

__all__ = ["page"]

_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
#: Readable in light and dark mode.
_LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": "#808894", "size": 13},
    "margin": {"t": 24, "b": 52, "l": 60, "r": 20},
    "hovermode": "closest",
    "xaxis": {"gridcolor": "rgba(128,136,148,.22)", "zeroline": False},
    "yaxis": {"gridcolor": "rgba(128,136,148,.22)", "zeroline": False},
}


def page(found: Result) -> str:
    """Return the HTML page, with plotly's script inside."""
    offline = require("plotly.offline", "the page")
    study, made = found.study, found.provenance
    title = html.escape(f"{study.task.title} under compression")
    lead = html.escape(
        f"{len(study.dataset.samples)} pictures; model {study.models[found.precision].label}. "
        f"Quantal {made.quantal}"
        + (f", commit {made.commit}" if made.commit else "")
        + f", {made.date}, {made.machine}."
    )
    style = resources.files("quantal.eval.report").joinpath("page.css").read_text("utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">',
        f"<title>{title}</title><style>{style}</style>",
        f"<script>{offline.get_plotlyjs()}</script></head><body>",
        f'<header class="top"><p class="kind">Machine perception</p><h1>{title}</h1>'
        f'<p class="lead">{lead}</p></header><main>',
        *_plots(found),
        *(_table(table) for table in tables(found)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _plots(found: Result) -> list[str]:
    """Return plots of score and loss over rate, and of the score over each metric."""
    score = found.study.task.scores[0]
    original = found.figures.originals[found.precision][score.name].value
    shown = [
        ("Score over rate", _rate_plot(found, "score", f"{score.title}, %", original)),
        ("Points lost over rate", _rate_plot(found, "lost", "points lost", 0.0)),
    ]
    shown += [
        (f"Score over {about(name).title}", _metric_plot(found, name))
        for name in found.study.metrics
    ]
    return [
        f"<section><h2>{html.escape(title)}</h2>"
        + figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"plot-{i}")
        + "</section>"
        for i, (title, figure) in enumerate(shown)
    ]


def _rate_plot(found: Result, kind: str, title: str, level: float) -> Any:
    objects = require("plotly.graph_objects", "the page")
    name = found.study.task.scores[0].name
    figure = objects.Figure()
    for i, curve in enumerate(found.curves):
        values = [(p.scores if kind == "score" else p.lost)[name] for p in curve.points]
        figure.add_scatter(
            x=[p.bpp for p in curve.points],
            y=[v.value for v in values],
            error_y={
                "type": "data",
                "array": [v.high - v.value for v in values],
                "arrayminus": [v.value - v.low for v in values],
                "thickness": 1,
            },
            name=curve.codec,
            mode="lines+markers",
            line={"color": COLOURS[i % len(COLOURS)]},
            text=[f"quality {p.quality:g}, {p.pictures} pictures" for p in curve.points],
        )
    figure.add_hline(y=level, line_dash="dash", line_color="#666", annotation_text="original")
    figure.update_xaxes(title="bits per pixel", type="log", tickvals=_TICKS)
    figure.update_yaxes(title=title)
    return figure.update_layout(_LAYOUT, template="none", height=420)


def _metric_plot(found: Result, metric: str) -> Any:
    objects = require("plotly.graph_objects", "the page")
    score, known = found.study.task.scores[0], about(metric)
    figure = objects.Figure()
    for i, curve in enumerate(found.curves):
        points = [p for p in curve.points if math.isfinite(p.metrics[metric])]
        figure.add_scatter(
            x=[p.metrics[metric] for p in points],
            y=[p.paired[metric] for p in points],
            name=curve.codec,
            mode="markers",
            marker={"color": COLOURS[i % len(COLOURS)], "size": 9},
            text=[f"{p.bpp:.3f} bpp" for p in points],
        )
    figure.update_xaxes(title=f"{known.title}, {known.unit}" if known.unit else known.title)
    figure.update_yaxes(title=f"{score.title}, %")
    return figure.update_layout(_LAYOUT, template="none", height=360)


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return (
        f'<section><h2>{html.escape(table.title)}</h2><p class="note">{html.escape(table.note)}</p>'
        f'<div class="scroll"><table><thead>{row(table.head, "th")}</thead><tbody>'
        + "".join(row(cells, "td") for cells in table.rows)
        + "</tbody></table></div></section>"
    )
