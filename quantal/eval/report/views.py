"""Side-by-side views: up to three pictures, coded by up to five codecs to equal bytes.

The quality of a codec is found by bisection: the highest one whose file does not exceed the target.
Decoded pictures are embedded losslessly.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from quantal.codecs.contract import Pixels
from quantal.errors import EvaluationError
from quantal.eval.codecs import ImageCodec, codecs, picture_codec
from quantal.eval.measure import metric_values, read_pixels
from quantal.eval.rd import RDResult
from quantal.eval.report.digest import Digest
from quantal.eval.texts import as_text
from quantal.eval.work import Failure, cores, spread

__all__ = ["Shown", "View", "largest_within", "views"]

PICTURES = 3
CODECS = 5
#: Views are cropped to this many pixels per side, at the picture's centre.
SIDE = 768
#: A rate with visible differences that all common codecs reach.
TARGET_BPP = 0.25
#: Codecs with a higher rate at their lowest quality are left out.
HIGHEST_BPP = 1.0
#: Maximum size of all embedded pictures in bytes; further pictures are left out.
BUDGET = 7_000_000


@dataclass(frozen=True)
class Shown:
    """A decoded picture.

    Attributes:
        codec: Label of the codec.
        quality: Its quality.
        bytes: Size of the file.
        metrics: Metrics of the whole picture; None where undefined or infinite.
        uri: Data URI of the crop.
    """

    codec: str
    quality: float
    bytes: int
    metrics: dict[str, float | None]
    uri: str


@dataclass(frozen=True)
class View:
    """A picture and its decoded versions.

    Attributes:
        picture: Name of the picture.
        note: Reason why it was chosen.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        shown_width: Width of the crop in pixels.
        shown_height: Height of the crop in pixels.
        target: Maximum size of files in bytes.
        uri: Data URI of the crop of the original.
        shown: The decoded versions.
        missing: Codec -> reason why it is not shown.
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
    """A picture to code to at most `target` bytes, at a quality from `low` to `high`."""

    codec: str
    picture: Path
    name: str
    target: int
    low: int
    high: int
    metrics: tuple[str, ...]
    weights: Path | None


def largest_within(
    coder: ImageCodec, pixels: Pixels, target: int, low: int, high: int
) -> tuple[int, bytes]:
    """Find the highest quality whose file has at most `target` bytes, by bisection.

    Sizes are assumed to increase with quality.

    Args:
        coder: The codec.
        pixels: The picture, uint8 [H, W, 3].
        target: Maximum size in bytes.
        low: Lowest quality, a whole number.
        high: Highest quality, a whole number.

    Returns:
        The quality and the file.

    Raises:
        EvaluationError: The file of `low` is larger than the target.
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
    """Code the pictures of a report; () if no codec has several qualities, and for clips.

    Args:
        result: The result of a measurement.
        summed: Its digest.
    """
    found = codecs(result.plan.codecs)
    coders = {as_text(one.label): one for one in found if isinstance(one, ImageCodec)}
    if not coders:
        return ()
    names = _codecs(result, summed, coders)
    chosen = _pictures(result, summed)
    if not names or not chosen:
        return ()
    plan = result.plan
    paths = result.names
    sizes = _sizes(result)
    targets: dict[str, int] = {}
    tasks: list[_Task] = []
    made: dict[str, dict[str, Shown | Failure]] = {}
    for picture, _ in chosen:
        targets[picture] = target = _target(paths[picture], [sizes[n, picture] for n in names])
        made[picture] = {}
        for name in names:
            ends = _bracket(coders[name], sizes[name, picture], target)
            if isinstance(ends, Failure):
                made[picture][name] = ends
            else:
                task = _Task(
                    coders[name].label,
                    paths[picture],
                    picture,
                    target,
                    *ends,
                    plan.metrics,
                    plan.weights,
                )
                tasks.append(task)
    jobs = cores() if plan.jobs is None else plan.jobs
    for task, shown in spread(_show, tasks, jobs=jobs, threads=plan.threads, timeout=plan.timeout):
        made[task.name][as_text(task.codec)] = shown
    whole = [
        _view(paths[p], p, note, targets[p], [made[p][n] for n in names], names)
        for p, note in chosen
    ]
    return tuple(_within_budget(whole))


def _codecs(result: RDResult, summed: Digest, coders: Mapping[str, ImageCodec]) -> list[str]:
    """Return the anchor and the first other codecs with several qualities."""
    names = [
        name for name in result.sheets if name in result.curves and len(coders[name].qualities) > 1
    ]
    names.sort(key=lambda name: name != summed.picture_anchor)
    return names[:CODECS]


def _pictures(result: RDResult, summed: Digest) -> list[tuple[str, str]]:
    """Return names of pictures and notes: the best codec's worst, median and best picture."""
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
    """Return (codec, picture) -> quality -> measured bytes."""
    sizes: dict[tuple[str, str], dict[float, int]] = {
        (name, picture): {} for name in result.sheets for picture in result.names
    }
    for row in result.rows:
        if row.bytes is not None:
            sizes[row.codec, row.picture][row.quality] = row.bytes
    return sizes


def _target(path: Path, sizes: Sequence[dict[float, int]]) -> int:
    """Return the target of a picture: the default rate, or the lowest rate of some codec."""
    height, width = read_pixels(path).shape[:2]
    pixels = width * height
    least = [min(own.values()) for own in sizes if own]
    usual = round(TARGET_BPP * pixels / 8)
    return max([usual, *(size for size in least if size <= HIGHEST_BPP * pixels / 8)])


def _bracket(coder: ImageCodec, sizes: dict[float, int], target: int) -> tuple[int, int] | Failure:
    """Return the lowest and highest possible quality of the largest file within the target."""
    known = {q: size for q, size in sizes.items() if q == int(q)}
    fitting = [int(q) for q, size in known.items() if size <= target]
    if not fitting:
        least = min(known.values(), default=0)
        reason = f"its smallest file here has {least:,} bytes" if least else "it was not measured"
        return Failure(reason)
    above = [int(q) - 1 for q, size in known.items() if size > target and q > max(fitting)]
    return max(fitting), min([int(coder.limits[1]), *above])


def _show(task: _Task) -> Shown:
    coder, pixels = picture_codec(task.codec), read_pixels(task.picture)
    quality, data = largest_within(coder, pixels, task.target, task.low, task.high)
    decoded = coder.decode(data)
    found = metric_values(task.metrics, task.weights, pixels, decoded)
    # JSON holds no infinite numbers, as of a blank picture.
    values = {name: v if v is not None and math.isfinite(v) else None for name, v in found.items()}
    rounded = np.clip(np.round(decoded), 0, 255).astype(np.uint8)
    return Shown(as_text(task.codec), quality, len(data), values, _uri(_middle(rounded)))


def _view(
    path: Path,
    picture: str,
    note: str,
    target: int,
    made: Sequence[Shown | Failure],
    names: Sequence[str],
) -> View:
    pixels = read_pixels(path)
    part = _middle(pixels)
    return View(
        picture=picture,
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
    """Return pixels as a data URI of a lossless WebP."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _within_budget(whole: Sequence[View]) -> list[View]:
    """Return the first views whose size is within BUDGET, at least one."""
    kept: list[View] = []
    total = 0
    for view in whole:
        total += len(view.uri) + sum(len(shown.uri) for shown in view.shown)
        if kept and total > BUDGET * 4 / 3:
            break
        kept.append(view)
    return kept
