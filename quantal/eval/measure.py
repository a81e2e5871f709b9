"""Measurement of one codec on one picture at several qualities: bytes, time, memory, metrics.

This runs in worker processes; rd.py distributes the tasks and keeps the results.
"""

from __future__ import annotations

import ctypes
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from quantal import media
from quantal.codecs.contract import Pixels
from quantal.errors import EvaluationError
from quantal.eval.clips import ClipCodec, ClipSource
from quantal.eval.codecs import Decoded, EvaluatedCodec, ImageCodec, codec
from quantal.eval.metrics import metric
from quantal.eval.rows import Row
from quantal.eval.texts import as_text
from quantal.eval.work import explain
from quantal.memory import memory_errors

__all__ = ["Task", "failed", "metric_values", "read_pixels", "run"]

R = TypeVar("R")
#: Peak memory of encoding and of decoding, in MB; None if the system does not report it.
Memory: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True)
class Task:
    """A codec to measure on a picture.

    Attributes:
        codec: Spec of the codec.
        picture: File of the picture.
        name: Name of the picture in rows.
        digest: Digest of the picture's file.
        qualities: Qualities to measure at.
        metrics: Names of metrics.
        weights: Folder with weights of metrics.
        run: Description of the run in rows.
        frames: Frames of a clip to measure at most.
    """

    codec: str
    picture: Path
    name: str
    digest: str
    qualities: tuple[float, ...]
    metrics: tuple[str, ...]
    weights: Path | None = None
    run: str = ""
    frames: int = 32


def read_pixels(path: Path) -> Pixels:
    """Read a picture as uint8 [H, W, 3], upright and without alpha."""
    found = path.stat()
    return _decoded(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=2)
def _decoded(path: Path, _written: int, _bytes: int) -> Pixels:
    """Read a file once for all codecs; a changed file is read again."""
    return media.read(path).pixels


@lru_cache(maxsize=1)
def _source(path: Path, _written: int, _bytes: int, frames: int) -> ClipSource:
    """Read a clip once for all codecs; a changed file is read again."""
    return ClipSource(path, frames)


@cache
def _warm_codec(spec: str) -> EvaluatedCodec:
    """Return a codec that has coded once, so that measured times include no initialisation."""
    found = codec(spec)
    if not isinstance(found, ImageCodec):
        return found  # the first of many frames hardly counts
    sample = np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3)
    # Errors are reported when pictures are measured.
    try:
        found.decode(found.encode(sample, found.qualities[0]))
    except Exception:
        return found
    return found


def run(task: Task) -> list[Row]:
    """Measure a task, one row per quality; the row of a quality that fails has the reason."""
    coder = _warm_codec(task.codec)
    if isinstance(coder, ClipCodec):
        found = task.picture.stat()
        source = _source(task.picture, found.st_mtime_ns, found.st_size, task.frames)
        return [_measure_clip(task, coder, source, quality) for quality in task.qualities]
    if not isinstance(coder, ImageCodec):
        raise EvaluationError(f"codec {task.codec!r} codes neither pictures nor clips")
    pixels = read_pixels(task.picture)
    memory = _memory(coder, pixels, max(task.qualities))
    return [_measure(task, coder, pixels, quality, memory) for quality in task.qualities]


def failed(task: Task, version: str, quality: float, reason: str) -> Row:
    """Return the row of a failed measurement."""
    return Row(
        as_text(task.codec),
        version,
        task.name,
        task.digest,
        0,
        0,
        quality,
        error=reason,
        run=task.run,
    )


def _measure(task: Task, coder: ImageCodec, pixels: Pixels, quality: float, memory: Memory) -> Row:
    height, width = pixels.shape[:2]
    try:
        with memory_errors(f"coding {width}x{height} pixels"):
            coder.prepare(quality)
            start = time.perf_counter()
            data = coder.encode(pixels, quality)
            between = time.perf_counter()
            decoded = coder.decode(data)
            end = time.perf_counter()
        if decoded.shape != pixels.shape:
            found = f"{decoded.shape[1]}x{decoded.shape[0]}"
            raise EvaluationError(f"decoded to {found}, expected {width}x{height}")
        values = metric_values(task.metrics, task.weights, pixels, decoded)
    except Exception as error:  # a codec under test may raise anything
        return failed(task, coder.version, quality, explain(error))
    return Row(
        codec=as_text(task.codec),
        version=coder.version,
        picture=task.name,
        digest=task.digest,
        width=width,
        height=height,
        quality=quality,
        bytes=len(data),
        bpp=8 * len(data) / (width * height),
        encode_s=between - start,
        decode_s=end - between,
        encode_mb=memory[0],
        decode_mb=memory[1],
        metrics=values,
        run=task.run,
    )


def _measure_clip(task: Task, coder: ClipCodec, source: ClipSource, quality: float) -> Row:
    pixels = source.pixels
    count, height, width = pixels.shape[:3]
    try:
        with memory_errors(f"coding {count} frames of {width}x{height} pixels"):
            start = time.perf_counter()
            coded = coder.encode(source, quality)
            between = time.perf_counter()
            decoded = coder.decode(coded)
            end = time.perf_counter()
        if decoded.shape != pixels.shape:
            found = f"{len(decoded)} frames of {decoded.shape[2]}x{decoded.shape[1]}"
            raise EvaluationError(
                f"decoded to {found}, expected {count} frames of {width}x{height}"
            )
        each = [
            metric_values(task.metrics, task.weights, original, frame)
            for original, frame in zip(pixels, decoded, strict=True)
        ]
    except Exception as error:  # a codec under test may raise anything
        return failed(task, coder.version, quality, explain(error))
    series = {name: [values[name] for values in each] for name in task.metrics}
    return Row(
        codec=as_text(task.codec),
        version=coder.version,
        picture=task.name,
        digest=task.digest,
        width=width,
        height=height,
        quality=quality,
        bytes=len(coded),
        bpp=8 * len(coded) / pixels[..., 0].size,
        encode_s=between - start,
        decode_s=end - between,
        metrics={name: _mean(values) for name, values in series.items()},
        frames=count,
        series={"bytes": list(coded.sizes), **series},
        run=task.run,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean over frames; None if one has no value."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if len(found) == len(values) else None


def metric_values(
    metrics: Iterable[str], weights: Path | None, original: Pixels, decoded: Decoded
) -> dict[str, float | None]:
    """Return metrics by name; None where one is undefined for the picture, which may be too small.

    Raises:
        OutOfMemoryError: A metric needs more memory than there is.
    """
    height, width = original.shape[:2]
    values: dict[str, float | None] = {}
    for name in metrics:
        try:
            with memory_errors(f"measuring {name} of {width}x{height} pixels"):
                values[name] = metric(name, weights)(original, decoded)
        except EvaluationError:
            values[name] = None
    return values


def _memory(coder: ImageCodec, pixels: Pixels, quality: float) -> Memory:
    """Return the peak memory of encoding and decoding, in MB, from separate calls.

    These calls are not timed: freed memory is returned to the system first, so that the peak is
    visible, and that makes the next call slow.
    """
    try:
        coder.prepare(quality)
        data, encoding = _peak_of(lambda: coder.encode(pixels, quality))
        _, decoding = _peak_of(lambda: coder.decode(data))
    except Exception:  # the timed calls will fail in the same way and report it
        return None, None
    return encoding, decoding


def _peak_of(call: Callable[[], R]) -> tuple[R, float | None]:
    """Return a call's result, and its peak memory beyond what the process held before, in MB."""
    before = _start_peak()
    result = call()
    peak = None if before is None else _status("VmHWM")
    if peak is None or before is None:
        return result, None
    return result, max(peak - before, 0) * 1024 / 1e6


def _start_peak() -> int | None:
    """Reset the process's peak memory and return its memory in KiB; None if not on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # Freed memory that the allocator keeps would hide the memory of the call.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _status("VmRSS")


def _status(key: str) -> int | None:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return int(found[1]) if found else None
