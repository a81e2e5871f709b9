"""Pictures that a codec decodes without an error, such as blank ones: their PSNR is infinite.

One of them makes the mean over all pictures infinite, so that nothing can be compared. They are
left out of the means, with a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quantal.eval.metrics import about
from quantal.eval.pictures import some
from quantal.eval.rows import column

__all__ = ["is_infinite", "note_on", "remedy", "to_leave_out", "why_infinite"]

_REASON = "has an infinite "


def to_leave_out(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], mean: str
) -> dict[str, str]:
    """Return pictures -> reason whose infinite values would make a mean infinite.

    Where a codec decodes most pictures without an error, the quality is lossless, and no picture
    is the cause.

    Args:
        rows: Rows of one codec.
        metrics: Names of metrics.
        mean: One of `quantal.eval.metrics.MEANS`.
    """
    found: dict[str, str] = {}
    for name in metrics:
        if mean == "mse" and name.startswith("psnr"):  # an error of 0 is a part of that mean
            continue
        by_quality: dict[float, dict[str, float]] = {}
        for row in rows:
            value = row.get(column(name))
            if value is not None and not math.isnan(value):
                by_quality.setdefault(float(row["quality"]), {})[row["picture"]] = value
        for values in by_quality.values():
            exact = [picture for picture, value in values.items() if math.isinf(value)]
            if len(exact) <= len(values) / 2:
                reason = f"{_REASON}{about(name).title} (blank, or decoded without an error)"
                found |= dict.fromkeys(exact, reason)
    return found


def is_infinite(reason: str) -> bool:
    """Whether a reason of `Sheet.left_out` is that of `to_leave_out`."""
    return reason.startswith(_REASON)


def remedy(reason: str) -> str:
    """Return what helps beside leaving the picture out; "" if nothing does."""
    return "; the mean `mse` counts it" if reason.startswith(f"{_REASON}PSNR") else ""


def note_on(metric: str, left_out: Iterable[Mapping[str, str]]) -> str:
    """Return a note on the pictures left out for a metric; "" if there are none.

    Args:
        metric: Name of the metric.
        left_out: `Sheet.left_out` of the compared codecs.
    """
    reason = f"{_REASON}{about(metric).title}"
    names = [p for each in left_out for p, why in each.items() if why.startswith(reason)]
    listed = some(list(dict.fromkeys(names)))
    return f"a picture that {reason} is left out{remedy(reason)}: {listed}" if names else ""


def why_infinite(what: str, exact: Sequence[str], pictures: int) -> str:
    """Say why a point of a curve is infinite, and what helps.

    Args:
        what: The beginning: which point.
        exact: Pictures that are decoded without an error there; () if they are not known.
        pictures: Number of all pictures.
    """
    if not exact or len(exact) == pictures > 1:
        every = ", where every picture is decoded without an error" if exact else ""
        return f"{what}{every}: a lossless or failed point can't be compared; leave it out"
    return (
        f"{what}, where {some(exact)} is decoded without an error, as blank pictures are; leave "
        "such pictures out"
    )
