"""Side-by-side views: up to three pictures, coded by up to five codecs to equal bytes.

Decoded pictures are embedded losslessly.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from quantal.codecs.contract import Pixels
from quantal.eval.codecs import ImageCodec, codecs, picture_codec
from quantal.eval.measure import metric_values, read_pixels
from quantal.eval.rd import RDResult
from quantal.eval.report.digest import Digest
from quantal.eval.report.equal import (
    bracket,
    common_target,
    compared,
    largest_within,
    sizes_of,
    telling,
)
from quantal.eval.texts import as_text
from quantal.eval.work import Failure, cores, spread

__all__ = ["Shown", "View", "views"]

PICTURES = 3
CODECS = 5
#: Views are cropped to this many pixels per side, at the picture's centre.
SIDE = 768
#: A rate with visible differences that all common codecs reach.
TARGET_BPP = 0.25
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


def views(result: RDResult, summed: Digest) -> tuple[View, ...]:
    """Code the pictures of a report; () if no codec has several qualities.

    Args:
        result: The result of a measurement.
        summed: Its digest.
    """
    found = codecs(result.plan.codecs)
    coders = {
        as_text(one.label): one
        for one in found
        if isinstance(one, ImageCodec) and len(one.qualities) > 1
    }
    if not coders:
        return ()
    names = compared(result, summed, coders)[:CODECS]
    chosen = telling(result, summed, PICTURES)
    if not names or not chosen:
        return ()
    plan = result.plan
    paths = result.names
    sizes = sizes_of(result)
    targets: dict[str, int] = {}
    tasks: list[_Task] = []
    made: dict[str, dict[str, Shown | Failure]] = {}
    for picture, _ in chosen:
        pixels = read_pixels(paths[picture])[..., 0].size
        own = [sizes[name, picture] for name in names]
        targets[picture] = target = common_target(pixels, own, TARGET_BPP)
        made[picture] = {}
        for name in names:
            ends = bracket(coders[name], sizes[name, picture], target)
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


def _show(task: _Task) -> Shown:
    coder, pixels = picture_codec(task.codec), read_pixels(task.picture)
    quality, data = largest_within(
        lambda quality: coder.encode(pixels, quality), task.target, task.low, task.high
    )
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
