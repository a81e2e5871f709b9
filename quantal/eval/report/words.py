"""Texts that the formats of a report share."""

from __future__ import annotations

from quantal.eval.pictures import some
from quantal.eval.report.digest import Digest

__all__ = [
    "approach",
    "codec_versions",
    "costs_note",
    "environment",
    "metric_definitions",
    "pictures_note",
    "subtitle",
]

_MEANS = {
    "picture": "mean of the {0}s' values, each {0} weighing the same",
    "mse": "PSNR: of the mean of the {0}s' MSEs; other metrics: mean of the {0}s' values",
}
_BITS = {
    "picture": "8 x bytes of the whole file / pixels; a set's rate is the pictures' mean",
    "clip": "8 x bytes of all frames / their pixels: packets and parameter sets, or payloads, "
    "without what a container adds; a set's rate is the clips' mean",
}
_FRAMES = {"picture": "", "clip": "; a clip's value is the mean of its frames' values"}
_METHODS = {
    "pchip": "piecewise cubic interpolation (pchip) through all points",
    "akima": "Akima interpolation through all points",
    "cubic": "a fitted polynomial of third order (2001)",
}


def subtitle(summed: Digest) -> str:
    """Return a sentence about what was compared."""
    measured = sum(not line.published for line in summed.lines)
    published = len(summed.lines) - measured
    parts = [
        f"{_count(len(summed.pictures), summed.called)}, {summed.megapixels:.1f} megapixels",
        _count(measured, "codec") + " with files that were written and read back",
    ]
    if published:
        parts.append(_count(published, "published curve"))
    if summed.anchor:
        parts.append(f"compared with {summed.line(summed.anchor).label}")
    return "; ".join(parts) + "."


def approach(summed: Digest) -> list[tuple[str, str]]:
    """Return definitions of the figures: pairs of title and text."""
    what = summed.called
    return [
        ("bits per pixel", _BITS[what]),
        ("means", _MEANS[summed.mean].format(what) + _FRAMES[what]),
        (
            "BD-rate",
            f"Bjøntegaard's delta of log rate over quality, {_METHODS[summed.method]}; refused "
            f"where two curves share less than {100 * summed.min_overlap:.0f} % of the quality of "
            "the shorter one",
        ),
        (
            "intervals",
            f"95 % of bootstrap resamples over the {what}s, both codecs on the same ones; none "
            "against a published curve",
        ),
        (
            "left out",
            f"a {what} on which a codec failed at any quality is in none of its means; one whose "
            "PSNR is infinite, such as a blank one, is in no codec's",
        ),
    ]


def metric_definitions(summed: Digest) -> list[tuple[str, str]]:
    """Return the metrics and their scales: pairs of title and text."""
    scale = {
        True: "; drawn and compared as -10 log10(1 - x)",
        False: "",
    }
    return [(a.about.title, a.about.definition + scale[a.decibels]) for a in summed.axes]


def codec_versions(summed: Digest) -> list[tuple[str, str]]:
    """Return the codecs with versions and excluded pictures: pairs of title and text."""
    items = []
    for line in summed.lines:
        text = line.version
        if line.left_out:
            text += (
                f"; {_count(len(line.left_out), summed.called)} left out: "
                f"{some(list(line.left_out))}"
            )
        items.append((line.label, text))
    return items + [(name, f"failed on every {summed.called}") for name in summed.without_curve]


def environment(summed: Digest) -> list[tuple[str, str]]:
    """Return versions, machine and date: pairs of title and text."""
    made = summed.provenance
    commit = f" ({made.commit})" if made.commit else ""
    return [
        ("Quantal", f"{made.quantal}{commit}"),
        ("machine", made.machine),
        ("system", made.system),
        ("packages", ", ".join(f"{name} {version}" for name, version in made.packages.items())),
        ("date", f"{made.date}, UTC"),
    ]


def costs_note(summed: Digest) -> str:
    """Return the note below the chart of costs."""
    anchor = f" against {summed.line(summed.anchor).label}" if summed.anchor else ""
    return (
        "Seconds by the wall clock for a megapixel, filled circles for encoding, open ones for "
        f"decoding, over all {summed.called}s and qualities, on "
        f"{summed.provenance.machine}; BD-rate{anchor}. Lower left is better: less rate, less time."
    )


def pictures_note(summed: Digest) -> str:
    """Return the note on comparisons by picture."""
    if summed.picture_anchor is None:
        return "No codec was measured."
    note = (
        f"BD-rate of each {summed.called} for itself, against {summed.picture_anchor}: below 0 a "
        "codec wins there, above it loses; the diamond is the set's."
    )
    if summed.picture_anchor != summed.anchor:
        note += f" (A published curve is a mean and has no {summed.called}s.)"
    return note + " A click on a column's name sorts by it."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
