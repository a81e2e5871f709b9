"""The content of a report: lines, comparisons and costs as frozen dataclasses of numbers.

Missing numbers are None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantal.errors import EvaluationError
from quantal.eval.bdrate import BD, compare
from quantal.eval.curves import Curve, Sheet
from quantal.eval.metrics import About, about, scale_for_bd, scaled_title
from quantal.eval.provenance import Provenance
from quantal.eval.rd import RDResult
from quantal.eval.rows import Row
from quantal.eval.texts import as_text

__all__ = ["COLOURS", "Axis", "Comparison", "Cost", "Digest", "Line", "digest"]

_PUBLISHED = "published/"
#: Colours of codecs in all charts; readable in light and dark mode.
COLOURS = (
    *("#3579d4", "#d9701a", "#2c9c62", "#a05cc4", "#d4434f"),
    *("#1798a6", "#a2703d", "#d1569a", "#85892a", "#73808d"),
)


@dataclass(frozen=True)
class Axis:
    """A metric as an axis; higher positions are always better.

    Attributes:
        about: The metric.
        title: Title of the axis.
        decibels: Whether values are shown as -10 log10(1 - x).
    """

    about: About
    title: str
    decibels: bool


@dataclass(frozen=True)
class Cost:
    """Costs of a codec; None if unknown.

    Attributes:
        encode_s: Mean seconds of encoding per megapixel.
        decode_s: Mean seconds of decoding per megapixel.
        encode_mb: Maximum of peak memory of encoding, in MB.
        decode_mb: Maximum of peak memory of decoding, in MB.
    """

    encode_s: float | None
    decode_s: float | None
    encode_mb: float | None
    decode_mb: float | None


@dataclass(frozen=True)
class Line:
    """A curve in charts.

    Attributes:
        name: Name of the curve.
        label: Name in legends.
        colour: Colour as #RRGGBB.
        published: Whether the curve is a published one.
        version: Version of the codec, or origin of a published curve.
        pictures: Number of pictures in the means.
        left_out: Excluded picture -> reason.
        quality: Qualities [N].
        bpp: Bits per pixel [N].
        values: Metric -> values [N].
        drawn: Metric -> values [N] on the scale of the axis.
        cost: Costs of the codec.
    """

    name: str
    label: str
    colour: str
    published: bool
    version: str
    pictures: int
    left_out: Mapping[str, str]
    quality: tuple[float | None, ...]
    bpp: tuple[float, ...]
    values: Mapping[str, tuple[float | None, ...]]
    drawn: Mapping[str, tuple[float | None, ...]]
    cost: Cost


@dataclass(frozen=True)
class Comparison:
    """A comparison of two curves.

    Attributes:
        bd: Bjøntegaard deltas; None if there are none.
        reason: Reason why there are none.
    """

    bd: BD | None
    reason: str = ""


@dataclass(frozen=True)
class Digest:
    """The content of a report.

    Attributes:
        data: Name of the folder of pictures.
        called: What was measured, "picture" or "clip".
        pictures: Names of pictures.
        megapixels: Size of all pictures; of clips, of all frames.
        axes: The metrics.
        lines: The curves.
        anchor: Name of the anchor; None if it has no curve.
        matrix: Metric -> test -> anchor -> comparison.
        picture_anchor: The anchor of `per_picture`: the anchor if it was measured, else the first
            codec.
        per_picture: Metric -> codec -> picture -> comparison.
        failures: Rows of failed measurements.
        without_curve: Codecs that failed on every picture.
        mean: Kind of means over pictures.
        method: Method of interpolation.
        min_overlap: Minimum overlap of compared curves.
        provenance: Versions, machine and date.
    """

    data: str
    called: str
    pictures: tuple[str, ...]
    megapixels: float
    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    anchor: str | None
    matrix: Mapping[str, Mapping[str, Mapping[str, Comparison]]]
    picture_anchor: str | None
    per_picture: Mapping[str, Mapping[str, Mapping[str, Comparison]]]
    failures: tuple[Row, ...]
    without_curve: tuple[str, ...]
    mean: str
    method: str
    min_overlap: float
    provenance: Provenance

    def line(self, name: str) -> Line:
        """Return the line of a name."""
        return next(line for line in self.lines if line.name == name)

    def against_anchor(self, metric: str, name: str) -> Comparison | None:
        """Return the comparison of a curve with the anchor; None for the anchor itself."""
        return self.matrix[metric][name].get(self.anchor or "")


def digest(result: RDResult, deltas: Mapping[str, Mapping[str, BD | str]]) -> Digest:
    """Summarise a result.

    Args:
        result: The result of a measurement.
        deltas: Its comparisons with the anchor, from `quantal.eval.summary.comparisons`.
    """
    plan = result.plan
    axes = tuple(_axis(name) for name in plan.metrics)
    names = [name for name in result.sheets if name in result.curves]
    names += [name for name in result.curves if name not in result.sheets]
    lines = tuple(_line(result, name, place, axes) for place, name in enumerate(names))
    measured = [line.name for line in lines if not line.published]
    first = result.anchor if result.anchor in measured else next(iter(measured), None)
    sizes = {row.picture: _megapixels(row) for row in result.rows if not row.error}
    return Digest(
        data=as_text(plan.data.name or plan.data),
        called="clip" if result.media == "video" else "picture",
        pictures=tuple(result.names),
        megapixels=sum(sizes.values()),
        axes=axes,
        lines=lines,
        anchor=result.anchor,
        matrix={metric: _matrix(result, names, metric, deltas) for metric in plan.metrics},
        picture_anchor=first,
        per_picture={metric: _pictures(result, measured, first, metric) for metric in plan.metrics},
        failures=result.failures,
        without_curve=tuple(name for name in result.sheets if name not in result.curves),
        mean=plan.mean,
        method=plan.method,
        min_overlap=plan.min_overlap,
        provenance=result.provenance,
    )


def _axis(name: str) -> Axis:
    known = about(name)
    decibels = not known.unit and scaled_title(name).endswith("(dB)")
    unit = f" ({known.unit})" if known.unit else ""
    title = scaled_title(name) if decibels else f"{known.title}{unit}"
    return Axis(known, title if known.higher_is_better else f"{title}, less is better", decibels)


def _line(result: RDResult, name: str, place: int, axes: Sequence[Axis]) -> Line:
    curve, sheet = result.curves[name], result.sheets.get(name)
    values = {axis.about.name: _values(curve, axis.about.name) for axis in axes}
    return Line(
        name=name,
        label=f"{name.removeprefix(_PUBLISHED)} (published)" if sheet is None else name,
        colour=COLOURS[place % len(COLOURS)],
        published=sheet is None,
        version=sheet.version if sheet else curve.source,
        pictures=curve.pictures,
        left_out=dict(sheet.left_out) if sheet else {},
        quality=_finite(curve.quality),
        bpp=curve.bpp,
        values=values,
        drawn={
            axis.about.name: _finite(scale_for_bd(axis.about.name, values[axis.about.name]))
            if axis.decibels
            else values[axis.about.name]
            for axis in axes
        },
        cost=_cost([row for row in result.rows if row.codec == name and not row.error]),
    )


def _values(curve: Curve, metric: str) -> tuple[float | None, ...]:
    return _finite(curve.values.get(metric, (math.nan,) * len(curve.bpp)))


def _finite(values: Sequence[float | None] | np.ndarray) -> tuple[float | None, ...]:  # type: ignore[type-arg]
    return tuple(float(v) if v is not None and math.isfinite(v) else None for v in values)


def _megapixels(row: Row) -> float:
    """Return the size of all frames that a row is about."""
    return row.width * row.height * row.frames / 1e6


def _cost(rows: Sequence[Row]) -> Cost:
    megapixels = sum(map(_megapixels, rows))

    def seconds(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return sum(known) / megapixels if known and len(known) == len(values) else None

    def most(values: Sequence[float | None]) -> float | None:
        return max((v for v in values if v is not None), default=None)

    return Cost(
        seconds([row.encode_s for row in rows]),
        seconds([row.decode_s for row in rows]),
        most([row.encode_mb for row in rows]),
        most([row.decode_mb for row in rows]),
    )


def _comparison(found: BD | str) -> Comparison:
    return Comparison(found) if isinstance(found, BD) else Comparison(None, found)


def _matrix(
    result: RDResult,
    names: Sequence[str],
    metric: str,
    deltas: Mapping[str, Mapping[str, BD | str]],
) -> dict[str, dict[str, Comparison]]:
    known = deltas.get(metric, {})
    return {
        test: {
            anchor: _comparison(
                known[test]
                if anchor == result.anchor and test in known
                else result.compare(test, anchor, metric)
            )
            for anchor in names
            if anchor != test
        }
        for test in names
    }


def _pictures(
    result: RDResult, names: Sequence[str], anchor: str | None, metric: str
) -> dict[str, dict[str, Comparison]]:
    if anchor is None:
        return {}
    return {
        name: {
            picture: _of_picture(
                result, result.sheets[name], result.sheets[anchor], picture, metric
            )
            for picture in result.sheets[name].pictures
            if picture in result.sheets[anchor].pictures
        }
        for name in names
        if name != anchor
    }


def _of_picture(
    result: RDResult, test: Sheet, anchor: Sheet, picture: str, metric: str
) -> Comparison:
    plan = result.plan
    try:
        return Comparison(
            compare(
                test.only([picture]),
                anchor.only([picture]),
                metric,
                method=plan.method,
                mean=plan.mean,
                min_overlap=plan.min_overlap,
                pareto=plan.pareto,
                resamples=0,
            )
        )
    except EvaluationError as error:
        return Comparison(None, str(error))
