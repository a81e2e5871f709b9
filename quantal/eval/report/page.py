"""The report as a self-contained HTML page, from page.html, page.css, page.js and a digest.

Static parts are written here; page.js draws charts and tables from the JSON of `payload`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from string import Template
from typing import Any

from quantal.eval._optional import require
from quantal.eval.report.digest import Axis, Comparison, Digest, Line
from quantal.eval.report.frames import FrameLine
from quantal.eval.report.player import PlayedClip
from quantal.eval.report.views import View
from quantal.eval.report.words import (
    approach,
    codec_versions,
    costs_note,
    environment,
    metric_definitions,
    pictures_note,
    subtitle,
)

__all__ = ["Clips", "page", "payload"]

_CURVES_NOTE = (
    "Means over the {}s. In the legend a click hides a codec, a double click shows it alone."
)


@dataclass(frozen=True)
class Clips:
    """What a report of clips shows besides.

    Attributes:
        frames: Clip -> codecs frame by frame.
        played: Clips for the player.
    """

    frames: Mapping[str, Sequence[FrameLine]]
    played: Sequence[PlayedClip]


def page(summed: Digest, looks: Sequence[View], clips: Clips | None = None) -> str:
    """Return the report as HTML.

    Args:
        summed: The content of the report.
        looks: Pictures to compare side by side.
        clips: What is shown of clips; None for a report of pictures.
    """
    plotly = require("plotly.offline", "a report")
    return Template(_file("page.html")).substitute(
        title=_text(summed.data),
        lead=_text(subtitle(summed)),
        warning=_warning(summed),
        links=_links(bool(looks), clips, summed.called),
        looks=_file("looks.html") if looks else "",
        player=_file("player.html") if clips else "",
        player_js=_file("player.js") if clips else "",
        curves_note=_CURVES_NOTE.format(summed.called),
        called=summed.called,
        speed_note=_text(costs_note(summed)),
        pictures_note=_text(pictures_note(summed)),
        method=_method(summed),
        # "</script" would end the script element and "<!--" hide its end.
        data=json.dumps(payload(summed, looks, clips), allow_nan=False).replace("<", "\\u003c"),
        css=_file("page.css"),
        plotly=plotly.get_plotlyjs(),
        js=_file("page.js"),
    )


def payload(summed: Digest, looks: Sequence[View], clips: Clips | None = None) -> dict[str, Any]:
    """Return the data of page.js and player.js, as JSON types."""
    besides = asdict(clips) if clips else {}
    return besides | {
        "called": summed.called,
        "anchor": summed.anchor,
        "pictureAnchor": summed.picture_anchor,
        "axes": [_axis(axis) for axis in summed.axes],
        "lines": [_line(line) for line in summed.lines],
        "matrix": _comparisons(summed.matrix),
        "pictures": _comparisons(summed.per_picture),
        "views": [asdict(view) for view in looks],
    }


def _file(name: str) -> str:
    return resources.files("quantal.eval.report").joinpath(name).read_text(encoding="utf-8")


def _text(text: str) -> str:
    return html.escape(text)


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "name": axis.about.name,
        "title": axis.about.title,
        "axis": axis.title,
        "unit": axis.about.unit,
        "turned": not axis.about.higher_is_better,
        "decibels": axis.decibels,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "label": line.label,
        "colour": line.colour,
        "published": line.published,
        "version": line.version,
        "pictures": line.pictures,
        "leftOut": len(line.left_out),
        "quality": line.quality,
        "bpp": line.bpp,
        "values": line.values,
        "drawn": line.drawn,
        "cost": asdict(line.cost),
    }


def _comparisons(tree: Any) -> Any:
    """Convert nested mappings of comparisons to JSON types."""
    if not isinstance(tree, Comparison):
        return {name: _comparisons(below) for name, below in tree.items()}
    if tree.bd is None:
        return {"reason": tree.reason}
    return {
        "percent": tree.bd.percent,
        "low": tree.bd.low,
        "high": tree.bd.high,
        "overlap": tree.bd.overlap,
        "interval": tree.bd.interval,
        "note": tree.bd.note,
    }


def _links(looks: bool, clips: Clips | None, called: str) -> str:
    names = {
        "codecs": "Codecs",
        "curves": "Curves",
        **({"looks": "Side by side"} if looks else {}),
        **({"frames": "Frames"} if clips else {}),
        **({"player": "Side by side"} if clips and clips.played else {}),
        "matrix": "Matrix",
        "speed": "Cost",
        "pictures": f"{called.capitalize()}s",
        "method": "Method",
    }
    return "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in names.items())


def _warning(summed: Digest) -> str:
    if not summed.failures:
        return ""
    count = len(summed.failures)
    return (
        f'<p class="warning">{count} measurement{"s" if count > 1 else ""} failed; '
        f'<a href="#method">below</a> is which. Means rest on the other {summed.called}s.</p>'
    )


def _method(summed: Digest) -> str:
    parts = [
        _definitions(approach(summed)),
        "<h3>Metrics</h3>",
        _definitions(metric_definitions(summed)),
        "<h3>Codecs</h3>",
        _definitions(codec_versions(summed)),
        "<h3>Made with</h3>",
        _definitions(environment(summed)),
    ]
    if summed.failures:
        rows = (
            (row.codec, row.picture, f"{row.quality:g}", row.error or "") for row in summed.failures
        )
        head = ("codec", summed.called, "quality", "reason")
        parts += ["<h3>Failures</h3>", _table(head, rows)]
    return "\n".join(parts)


def _definitions(items: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{_text(k)}</dt><dd>{_text(v)}</dd>' for k, v in items)}</dl>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td class=text>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="scroll high"><table class="failures"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
