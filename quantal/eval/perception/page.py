"""report.html: curves to look into and the same tables, in one file that needs no network."""

from __future__ import annotations

import html
import math
from typing import Any

from quantal.eval._optional import require
from quantal.eval.metrics import about
from quantal.eval.perception.document import Result
from quantal.eval.perception.plots import COLOURS
from quantal.eval.perception.tables import Table, tables

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #d8dee4; text-align: left; }
th { background: #f4f6f8; }
"""


def page(found: Result) -> str:
    """The page's text, plotly's script inside it."""
    offline = require("plotly.offline", "the page")
    study, made = found.study, found.provenance
    title = f"{study.task.title} under compression"
    about_run = (
        f"{len(study.dataset.samples)} pictures; model {study.models[found.precision].label}. "
        f"Quantal {made.quantal}"
        + (f", commit {made.commit}" if made.commit else "")
        + f", {made.date}, {made.machine}."
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>",
        f"<script>{offline.get_plotlyjs()}</script></head><body>",
        f"<h1>{html.escape(title)}</h1><p>{html.escape(about_run)}</p>",
        *_plots(found),
        *(_table(table) for table in tables(found)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _plots(found: Result) -> list[str]:
    """Score and loss over rate, and the score over each metric."""
    score = found.study.task.scores[0]
    original = found.figures.originals[found.precision][score.name].value
    shown = [
        _rate_plot(found, "score", f"{score.title}, %", original),
        _rate_plot(found, "lost", "points lost", 0.0),
    ]
    shown += [_metric_plot(found, name) for name in found.study.metrics]
    return [
        figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"plot-{i}")
        for i, figure in enumerate(shown)
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
    figure.update_xaxes(title="bits per pixel", type="log")
    figure.update_yaxes(title=title)
    return figure.update_layout(template="plotly_white", height=460)


def _metric_plot(found: Result, metric: str) -> Any:
    objects = require("plotly.graph_objects", "the page")
    score, known = found.study.task.scores[0], about(metric)
    figure = objects.Figure()
    for i, curve in enumerate(found.curves):
        points = [p for p in curve.points if math.isfinite(p.metrics[metric])]
        figure.add_scatter(
            x=[p.metrics[metric] for p in points],
            y=[p.scores[score.name].value for p in points],
            name=curve.codec,
            mode="markers",
            marker={"color": COLOURS[i % len(COLOURS)], "size": 9},
            text=[f"{p.bpp:.3f} bpp" for p in points],
        )
    figure.update_xaxes(title=f"{known.title}, {known.unit}" if known.unit else known.title)
    figure.update_yaxes(title=f"{score.title}, %")
    return figure.update_layout(template="plotly_white", height=400)


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return (
        f"<h2>{html.escape(table.title)}</h2><p>{html.escape(table.note)}</p>"
        f'<div class="wide"><table><thead>{row(table.head, "th")}</thead><tbody>'
        + "".join(row(cells, "td") for cells in table.rows)
        + "</tbody></table></div>"
    )
