"""The report in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from quantal.eval.report.digest import Axis, Comparison, Digest, Line
from quantal.eval.report.words import (
    approach,
    codec_versions,
    environment,
    metric_definitions,
    subtitle,
)
from quantal.markdown import escape, table

__all__ = ["markdown"]


def markdown(summed: Digest) -> str:
    """Return the report as Markdown."""
    parts = [f"# Rate and distortion: {summed.data}", subtitle(summed), "![curves](rd.svg)"]
    if summed.anchor:
        parts += ["## BD-rate", _anchor_sentence(summed), _bd_table(summed, summed.anchor)]
        parts += list(_rests_on(summed))
    for axis in summed.axes:
        if len(summed.lines) > 1:
            parts += [f"## BD-rate of each pair, {axis.about.title}", _PAIRS, _matrix(summed, axis)]
    if summed.called == "clip":
        parts += list(_by_clip(summed))
    parts += ["## Cost", _COST.format(summed.called), _cost_table(summed.lines)]
    parts += ["## Means", f"Over {summed.called}s, a row a quality; bpp is bits per pixel."]
    for line in summed.lines:
        parts += [f"### {line.label}", _means(line, summed.axes)]
    parts += ["## How this was measured", _items(approach(summed))]
    parts += ["### Metrics", _items(metric_definitions(summed))]
    parts += ["### Codecs", _items(codec_versions(summed))]
    parts += ["### Made with", _items(environment(summed))]
    if summed.failures:
        rows = [
            (r.codec, r.picture, f"{r.quality:g}", r.error or "no reason") for r in summed.failures
        ]
        parts += ["### Failures", _table(("codec", summed.called, "quality", "reason"), rows)]
    return "\n\n".join(parts) + "\n"


_PAIRS = "Rate that the codec of the row needs more than that of the column, at equal quality."
_COST = "Seconds by the wall clock for a megapixel, means; peak memory of one {}, the most."


def _anchor_sentence(summed: Digest) -> str:
    anchor = summed.line(summed.anchor or "").label
    return (
        f"Rate needed more than {anchor} at equal quality; in brackets 95 % over {summed.called}s."
    )


def _bd_table(summed: Digest, anchor: str) -> str:
    head = ["codec", *(axis.about.title for axis in summed.axes)]
    rows = [
        [line.label, *(_delta(summed.against_anchor(a.about.name, line.name)) for a in summed.axes)]
        for line in summed.lines
        if line.name != anchor
    ]
    return _table(head, rows)


def _delta(found: Comparison | None) -> str:
    if found is None or found.bd is None:
        return "–"
    interval = found.bd.interval
    spread = f" ({interval[0]:+.1f} to {interval[1]:+.1f})" if interval else ""
    return f"{found.bd.percent:+.1f} %{spread}"


def _rests_on(summed: Digest) -> Iterable[str]:
    """Yield the overlaps of comparisons with the anchor, doubts, and reasons of missing ones."""
    rows, reasons, notes = [], [], []
    for axis in summed.axes:
        for line in summed.lines:
            found = summed.against_anchor(axis.about.name, line.name)
            if found is None:
                continue
            if found.bd is None:
                reasons.append(f"- {line.label}, {axis.about.title}: {found.reason}")
                continue
            if found.bd.note:
                notes.append(f"- {line.label}, {axis.about.title}: {found.bd.note}")
            ends = (found.bd.low, found.bd.high)
            if not axis.about.higher_is_better:
                ends = (-ends[1], -ends[0])
            unit = "dB" if axis.decibels else axis.about.unit
            shared = f"{ends[0]:.4g} to {ends[1]:.4g} {unit}".rstrip()
            rows.append((line.label, axis.about.title, shared, f"{100 * found.bd.overlap:.0f} %"))
    if rows:
        yield "They rest on the quality that both curves reach; overlap: its part of the shorter."
        yield _table(("codec", "metric", "compared over", "overlap"), rows)
    if notes:
        yield "Doubtful:"
        yield "\n".join(notes)
    if reasons:
        yield "Not compared:"
        yield "\n".join(reasons)


def _matrix(summed: Digest, axis: Axis) -> str:
    own = summed.matrix[axis.about.name]
    rows = [
        [test.label, *(_cell(own[test.name].get(anchor.name)) for anchor in summed.lines)]
        for test in summed.lines
    ]
    return _table(["", *(line.label for line in summed.lines)], rows)


def _cell(found: Comparison | None) -> str:
    if found is None:
        return ""
    return f"{found.bd.percent:+.1f} %" if found.bd else "–"


def _by_clip(summed: Digest) -> Iterable[str]:
    """Yield tables of the BD-rates of single clips, with their mean and median."""
    for axis in summed.axes:
        own = summed.per_picture[axis.about.name]
        if not own:
            continue
        yield f"## BD-rate of each clip against {summed.picture_anchor}, {axis.about.title}"
        rows = [[clip, *(_cell(own[name].get(clip)) for name in own)] for clip in summed.pictures]
        for title, over in (("mean", statistics.fmean), ("median", statistics.median)):
            known = [[c.bd.percent for c in own[name].values() if c.bd] for name in own]
            rows.append([title, *(f"{over(v):+.1f} %" if v else "–" for v in known)])
        yield _table(["clip", *own], rows)


def _cost_table(lines: Sequence[Line]) -> str:
    head = ("codec", "encode s/MP", "decode s/MP", "encode MB", "decode MB")
    rows = [
        (
            line.label,
            _number(line.cost.encode_s, 3),
            _number(line.cost.decode_s, 3),
            _number(line.cost.encode_mb, 0),
            _number(line.cost.decode_mb, 0),
        )
        for line in lines
        if not line.published
    ]
    return _table(head, rows)


def _means(line: Line, axes: Sequence[Axis]) -> str:
    head = ["quality", "bpp", *(axis.about.title for axis in axes)]
    rows = [
        [
            "" if line.quality[i] is None else f"{line.quality[i]:g}",
            f"{line.bpp[i]:.4f}",
            *(_number(line.values[a.about.name][i], 2 if a.about.unit else 4) for a in axes),
        ]
        for i in range(len(line.bpp))
    ]
    return _table(head, rows)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _items(items: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in items)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table and escape its cells."""
    return table([escape(cell) for cell in head], ([escape(cell) for cell in row] for row in rows))
