"""Figures of all curves for papers, one panel per metric, by matplotlib."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from quantal.eval._optional import require
from quantal.eval.report.digest import COLOURS, Axis, Digest
from quantal.outputs import write_whole

__all__ = ["draw"]

_PANEL = (5.2, 4.2)  # inches
_ACROSS = 3
_MARKERS = "osv^"  # one for each repetition of the colours
#: Characters of the legend per panel.
_LEGEND = 75


def draw(summed: Digest, stem: Path) -> tuple[Path, Path]:
    """Write `stem`.svg and `stem`.png; return the paths. The SVG is reproducible."""
    matplotlib = require("matplotlib", "a report")
    figure_module = require("matplotlib.figure", "a report")
    require("matplotlib.backends.backend_agg", "a report")
    across = 2 if len(summed.axes) == 4 else min(len(summed.axes), _ACROSS)
    down = math.ceil(len(summed.axes) / across)
    settings = {
        "svg.hashsalt": "quantal",
        "svg.fonttype": "none",
        "text.parse_math": False,  # a file's name may hold dollars
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#8b929c",
        "axes.labelcolor": "#1b1e23",
        "xtick.color": "#5c6470",
        "ytick.color": "#5c6470",
    }
    with matplotlib.rc_context(settings):
        figure = figure_module.Figure(
            figsize=(_PANEL[0] * across, _PANEL[1] * down), layout="constrained"
        )
        panels = figure.subplots(down, across, squeeze=False).flatten()
        for panel, axis in zip(panels, summed.axes, strict=False):
            _panel(panel, summed, axis)
        for panel in panels[len(summed.axes) :]:
            panel.set_visible(False)
        handles = {line.get_label(): line for panel in panels for line in panel.get_lines()}
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=_columns([str(label) for label in handles], across),
            frameon=False,
            fontsize="small",
        )
        paths = stem.with_suffix(".svg"), stem.with_suffix(".png")
        kinds: tuple[dict[str, Any], ...] = ({"metadata": {"Date": None}}, {"dpi": 200})
        for path, options in zip(paths, kinds, strict=True):
            content = io.BytesIO()
            figure.savefig(content, format=path.suffix[1:], **options)
            write_whole(path, content.getvalue())
    return paths


def _columns(labels: list[str], across: int) -> int:
    """Return the number of columns of a legend that fit the width of the panels."""
    if not labels:
        return 1
    widest = max(map(len, labels)) + 8  # with the line sample
    return max(min(len(labels), across * _LEGEND // widest), 1)


def _panel(panel: Any, summed: Digest, axis: Axis) -> None:
    for place, line in enumerate(summed.lines):
        if all(value is None for value in line.drawn[summed.axes[0].about.name]):
            continue  # lossless: far to the right of all curves
        points = [
            (bpp, value)
            for bpp, value in zip(line.bpp, line.drawn[axis.about.name], strict=True)
            if value is not None
        ]
        if points:
            panel.plot(
                *zip(*points, strict=True),
                label=line.label,
                color=line.colour,
                linestyle=":" if line.published else "-",
                linewidth=1.2 if line.published else 1.7,
                marker=_MARKERS[place // len(COLOURS) % len(_MARKERS)],
                markersize=3 if line.published else 4,
            )
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("bits per pixel")
    panel.set_ylabel(axis.title)
    panel.grid(color="#e3e5e8", linewidth=0.7)
    panel.set_axisbelow(True)
    if not axis.about.higher_is_better:
        panel.invert_yaxis()
