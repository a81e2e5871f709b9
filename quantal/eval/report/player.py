"""The player: up to two clips, coded by up to four codecs to equal bytes, frame by frame.

Frames are cropped and embedded as WebP, which loses a little, so that a page stays small.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from quantal.eval.clips import ClipCodec, ClipSource, CodedClip, Frames
from quantal.eval.codecs import codec, codecs
from quantal.eval.measure import metric_values
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

__all__ = ["Played", "PlayedClip", "played"]

CLIPS = 2
CODECS = 4
#: Frames are cropped to this many pixels, at their centre.
WIDTH, HEIGHT = 352, 240
#: A rate with visible differences that all common codecs reach.
TARGET_BPP = 0.08
#: Of the embedded frames, as WebP.
QUALITY = 82
#: Maximum size of all embedded frames in bytes; further clips are left out.
BUDGET = 2_600_000


@dataclass(frozen=True)
class Played:
    """A decoded clip.

    Attributes:
        codec: Label of the codec.
        quality: Its quality.
        bytes: Bytes of all frames.
        sizes: Bytes of each frame [T].
        metrics: Metric -> values of the frames [T]; None where undefined or infinite.
        uris: Data URIs of the frames' crops [T].
    """

    codec: str
    quality: int
    bytes: int
    sizes: tuple[int, ...]
    metrics: Mapping[str, tuple[float | None, ...]]
    uris: tuple[str, ...]


@dataclass(frozen=True)
class PlayedClip:
    """A clip and its decoded versions.

    Attributes:
        clip: Name of the clip.
        note: Reason why it was chosen.
        width: Width of the crop in pixels.
        height: Height of the crop in pixels.
        target: Maximum number of bytes.
        uris: Data URIs of the original frames' crops [T].
        played: The decoded versions.
        missing: Codec -> reason why it is not shown.
    """

    clip: str
    note: str
    width: int
    height: int
    target: int
    uris: tuple[str, ...]
    played: tuple[Played, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class _Task:
    """A clip to code to at most `target` bytes, at a quality from `low` to `high`."""

    codec: str
    path: Path
    clip: str
    frames: int
    target: int
    low: int
    high: int
    metrics: tuple[str, ...]
    weights: Path | None


def played(result: RDResult, summed: Digest) -> tuple[PlayedClip, ...]:
    """Code the clips of a player; () if no codec has several qualities.

    Args:
        result: The result of a measurement of clips.
        summed: Its digest.
    """
    plan = result.plan
    coders = {as_text(one.label): one for one in codecs(plan.codecs) if isinstance(one, ClipCodec)}
    names = compared(result, summed, coders)[:CODECS]
    sizes, paths = sizes_of(result), result.names
    pixels = {row.picture: row.width * row.height * row.frames for row in result.rows}
    chosen = [found for found in telling(result, summed, CLIPS) if names and pixels[found[0]]]
    targets: dict[str, int] = {}
    made: dict[str, dict[str, Played | Failure]] = {}
    tasks: list[_Task] = []
    for clip, _ in chosen:
        own = [sizes[name, clip] for name in names]
        targets[clip] = target = common_target(pixels[clip], own, TARGET_BPP)
        made[clip] = {}
        for name in names:
            ends = bracket(coders[name], sizes[name, clip], target)
            if isinstance(ends, Failure):
                made[clip][name] = ends
                continue
            label = coders[name].label
            settings = (plan.frames, target, *ends, plan.metrics, plan.weights)
            tasks.append(_Task(label, paths[clip], clip, *settings))
    jobs = cores() if plan.jobs is None else plan.jobs
    for task, found in spread(_play, tasks, jobs=jobs, threads=plan.threads, timeout=plan.timeout):
        made[task.clip][as_text(task.codec)] = found
    whole = (
        _clip(ClipSource(paths[clip], plan.frames), clip, note, targets[clip], made[clip])
        for clip, note in chosen
    )
    return tuple(_within_budget(whole))


def _play(task: _Task) -> Played:
    coder, source = codec(task.codec), ClipSource(task.path, task.frames)
    assert isinstance(coder, ClipCodec)  # played() takes no other

    def encode(quality: int) -> CodedClip:
        return coder.encode(source, quality)

    quality, coded = largest_within(encode, task.target, task.low, task.high)
    decoded = coder.decode(coded)
    values = [
        metric_values(task.metrics, task.weights, original, frame)
        for original, frame in zip(source.pixels, decoded, strict=True)
    ]
    return Played(
        codec=as_text(task.codec),
        quality=quality,
        bytes=len(coded),
        sizes=coded.sizes,
        metrics={name: tuple(_finite(one[name]) for one in values) for name in task.metrics},
        uris=_uris(decoded),
    )


def _finite(value: float | None) -> float | None:
    return round(value, 4) if value is not None and math.isfinite(value) else None


def _clip(
    source: ClipSource, clip: str, note: str, target: int, made: Mapping[str, Played | Failure]
) -> PlayedClip:
    part = _middle(source.pixels)
    return PlayedClip(
        clip=clip,
        note=note,
        width=part.shape[2],
        height=part.shape[1],
        target=target,
        uris=_uris(source.pixels),
        played=tuple(one for one in made.values() if isinstance(one, Played)),
        missing={name: one.reason for name, one in made.items() if isinstance(one, Failure)},
    )


def _middle(frames: Frames) -> Frames:
    left, top = (
        max(has - most, 0) // 2
        for has, most in zip(frames.shape[2:0:-1], (WIDTH, HEIGHT), strict=True)
    )
    return frames[:, top : top + HEIGHT, left : left + WIDTH]


def _uris(frames: Frames) -> tuple[str, ...]:
    """Return the crops of frames as data URIs."""
    return tuple(map(_uri, _middle(frames)))


def _uri(pixels: Frames) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _within_budget(clips: Iterator[PlayedClip]) -> Iterator[PlayedClip]:
    """Yield the first clips whose frames are within BUDGET, at least one."""
    total = 0
    for number, clip in enumerate(clips):
        total += sum(map(_length, [clip.uris, *(one.uris for one in clip.played)]))
        if number and total > BUDGET * 4 / 3:
            return
        yield clip


def _length(uris: Sequence[str]) -> int:
    return sum(map(len, uris))
