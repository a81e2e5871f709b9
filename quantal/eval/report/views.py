"""Pictures to look at: up to three, each coded by up to five codecs to no more than equal bytes.

Of a codec the largest file is taken that is no larger than the target; its quality is found by
bisection. What is shown is embedded without loss, so that what is seen is the codec's doing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from quantal.codecs.base import Pixels
from quantal.errors import EvaluationError
from quantal.eval.codecs import ImageCodec, codec
from quantal.eval.measure import read_pixels
from quantal.eval.metrics import metric
from quantal.eval.rd import RDResult
from quantal.eval.report.digest import Digest
from quantal.eval.work import Failure, cores, spread

__all__ = ["Shown", "View", "largest_within", "views"]

PICTURES = 3
CODECS = 5
#: Views are cut to this many pixels a side, from the picture's middle.
SIDE = 768
#: Where differences can be seen without a lens, and every usual codec gets to.
TARGET_BPP = 0.25
#: A codec that needs more than this for its worst quality is left out.
HIGHEST_BPP = 1.0
#: Bytes of all embedded pictures together; a further one that would exceed it is left out.
BUDGET = 7_000_000


@dataclass(frozen=True)
class Shown:
    """What one codec made of a picture: its file's bytes, metrics of the whole picture, and a
    data URI of the part shown."""

    codec: str
    quality: float
    bytes: int
    metrics: dict[str, float | None]
    uri: str


@dataclass(frozen=True)
class View:
    """A picture with what the codecs made of it.

    note: why this one was chosen. width, height: of the whole picture; shown_width, shown_height:
    of the part shown. target: bytes that no file exceeds. missing: codec -> why it isn't shown.
    """

    picture: str
    note: str
    width: int
    height: int
    shown_width: int
    shown_height: int
    target: int
    uri: str
    shown: tuple[Shown, ...]
    missing: dict[str, str]


@dataclass(frozen=True)
class _Task:
    """A picture by a codec at no more than `target` bytes; of the qualities measured before, `low`
    is known to need no more, `high` to need more (or the codec's highest)."""

    codec: str
    picture: Path
    target: int
    low: int
    high: int
    metrics: tuple[str, ...]
    weights: Path | None


def largest_within(
    coder: ImageCodec, pixels: Pixels, target: int, low: int, high: int
) -> tuple[int, bytes]:
    """The quality, a whole number, and file of the largest not above `target` bytes.

    low, high: whole qualities between which it lies; low must fit. Takes sizes to grow with
    quality. EvaluationError if low doesn't fit.
    """
    best = low, coder.encode(pixels, low)
    if len(best[1]) > target:
        raise EvaluationError(
            f"needs {len(best[1]):,} bytes at quality {low}, expected at most {target:,}"
        )
    while low < high:
        middle = (low + high + 1) // 2
        data = coder.encode(pixels, middle)
        if len(data) <= target:
            best = middle, data
            low = middle
        else:
            high = middle - 1
    return best


def views(result: RDResult, summed: Digest) -> tuple[View, ...]:
    """The pictures that the page shows; none if no codec has a choice of qualities."""
    names = _codecs(result, summed)
    chosen = _pictures(result, summed)
    if not names or not chosen:
        return ()
    plan = result.plan
    paths = {path.name: path for path in result.pictures}
    sizes = _sizes(result)
    targets: dict[str, int] = {}
    tasks: list[_Task] = []
    made: dict[str, dict[str, Shown | Failure]] = {}
    for picture, _ in chosen:
        targets[picture] = target = _target(paths[picture], [sizes[n, picture] for n in names])
        made[picture] = {}
        for name in names:
            ends = _bracket(codec(name), sizes[name, picture], target)
            if isinstance(ends, Failure):
                made[picture][name] = ends
            else:
                task = _Task(name, paths[picture], target, *ends, plan.metrics, plan.weights)
                tasks.append(task)
    jobs = cores() if plan.jobs is None else plan.jobs
    for task, shown in spread(_show, tasks, jobs=jobs, threads=plan.threads, timeout=plan.timeout):
        made[task.picture.name][task.codec] = shown
    whole = [
        _view(paths[p], note, targets[p], [made[p][n] for n in names], names) for p, note in chosen
    ]
    return tuple(_within_budget(whole))


def _codecs(result: RDResult, summed: Digest) -> list[str]:
    """The anchor and the first others that have more than one quality."""
    names = [
        name
        for name, sheet in result.sheets.items()
        if name in result.curves and len(codec(name).qualities) > 1
    ]
    names.sort(key=lambda name: name != summed.picture_anchor)
    return names[:CODECS]


def _pictures(result: RDResult, summed: Digest) -> list[tuple[str, str]]:
    """Names of pictures, and why they are shown: the anchor's strongest rival decides."""
    metric_name = summed.axes[0].about.name if summed.axes else ""
    by_codec = {
        name: sorted((c.bd.percent, picture) for picture, c in own.items() if c.bd)
        for name, own in summed.per_picture.get(metric_name, {}).items()
    }
    by_codec = {name: order for name, order in by_codec.items() if order}
    if not by_codec:
        return [(name, "") for name in summed.pictures[:PICTURES]]
    best = min(by_codec, key=lambda name: by_codec[name][len(by_codec[name]) // 2])
    order = by_codec[best]
    usual = len(order) // 2
    places = {len(order) - 1: "worst", usual: "middle", 0: "best"}
    notes = {
        order[place][1]: f"{what} picture of {best} against {summed.picture_anchor}, BD-rate "
        + f"{order[place][0]:+.1f} %".replace("-", "\N{MINUS SIGN}")
        for place, what in places.items()
    }
    return list(reversed(notes.items()))


def _sizes(result: RDResult) -> dict[tuple[str, str], dict[float, int]]:
    """(codec, picture) -> quality -> bytes, as measured."""
    sizes: dict[tuple[str, str], dict[float, int]] = {
        (name, path.name): {} for name in result.sheets for path in result.pictures
    }
    for row in result.rows:
        if row.bytes is not None:
            sizes[row.codec, row.picture][row.quality] = row.bytes
    return sizes


def _target(path: Path, sizes: Sequence[dict[float, int]]) -> int:
    """Bytes for a picture: the usual rate, or the least that some codec was measured at."""
    height, width = read_pixels(path).shape[:2]
    pixels = width * height
    least = [min(own.values()) for own in sizes if own]
    usual = round(TARGET_BPP * pixels / 8)
    return max([usual, *(size for size in least if size <= HIGHEST_BPP * pixels / 8)])


def _bracket(coder: ImageCodec, sizes: dict[float, int], target: int) -> tuple[int, int] | Failure:
    """Whole qualities between which the largest file within the target lies."""
    known = {q: size for q, size in sizes.items() if q == int(q)}
    fitting = [int(q) for q, size in known.items() if size <= target]
    if not fitting:
        least = min(known.values(), default=0)
        reason = f"its smallest file here has {least:,} bytes" if least else "it was not measured"
        return Failure(reason)
    above = [int(q) - 1 for q, size in known.items() if size > target and q > max(fitting)]
    return max(fitting), min([int(coder.limits[1]), *above])


def _show(task: _Task) -> Shown:
    coder, pixels = codec(task.codec), read_pixels(task.picture)
    quality, data = largest_within(coder, pixels, task.target, task.low, task.high)
    decoded = coder.decode(data)
    values: dict[str, float | None] = {}
    for name in task.metrics:
        try:
            values[name] = metric(name, task.weights)(pixels, decoded)
        except EvaluationError:  # not defined for such a picture
            values[name] = None
    rounded = np.clip(np.round(decoded), 0, 255).astype(np.uint8)
    return Shown(task.codec, quality, len(data), values, _uri(_middle(rounded)))


def _view(
    path: Path, note: str, target: int, made: Sequence[Shown | Failure], names: Sequence[str]
) -> View:
    pixels = read_pixels(path)
    part = _middle(pixels)
    return View(
        picture=path.name,
        note=note,
        width=pixels.shape[1],
        height=pixels.shape[0],
        shown_width=part.shape[1],
        shown_height=part.shape[0],
        target=target,
        uri=_uri(part),
        shown=tuple(one for one in made if isinstance(one, Shown)),
        missing={
            name: one.reason
            for name, one in zip(names, made, strict=True)
            if isinstance(one, Failure)
        },
    )


def _middle(pixels: Pixels) -> Pixels:
    top, left = ((max(size - SIDE, 0)) // 2 for size in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def _uri(pixels: Pixels) -> str:
    """Pixels as a lossless WebP in a data URI."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _within_budget(whole: Sequence[View]) -> list[View]:
    """As many as the page can hold, at least one."""
    kept: list[View] = []
    total = 0
    for view in whole:
        total += len(view.uri) + sum(len(shown.uri) for shown in view.shown)
        if kept and total > BUDGET * 4 / 3:
            break
        kept.append(view)
    return kept
