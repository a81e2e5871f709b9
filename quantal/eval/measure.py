"""One codec on one picture: encode, decode, time, memory and metrics, at each quality.

This is what worker processes do; what is done where, and what is kept, stands in rd.py.
"""

from __future__ import annotations

import ctypes
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from quantal import media
from quantal.codecs.base import Pixels
from quantal.errors import EvaluationError
from quantal.eval.codecs import ImageCodec, codec
from quantal.eval.metrics import metric
from quantal.eval.rows import Row
from quantal.eval.work import explain

__all__ = ["Task", "read_pixels", "run"]

R = TypeVar("R")
#: Of encoding and of decoding, in MB; None where the system doesn't tell.
Memory: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True)
class Task:
    """A codec (its spec) on a picture at some qualities, to be measured by some metrics.

    name and digest stand for the picture in the rows, as run does for the run. weights: the folder
    of the metrics' own.
    """

    codec: str
    picture: Path
    name: str
    digest: str
    qualities: tuple[float, ...]
    metrics: tuple[str, ...]
    weights: Path | None = None
    run: str = ""


def read_pixels(path: Path) -> Pixels:
    """A picture as uint8 [H, W, 3], upright; its alpha, if any, is not measured."""
    found = path.stat()
    return _decoded(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=2)
def _decoded(path: Path, _written: int, _bytes: int) -> Pixels:
    """Read once for all codecs, and anew when another file took the name."""
    return media.read(path).pixels


@cache
def _warm_codec(spec: str) -> ImageCodec:
    """A codec that has coded once, so that no measurement pays for its first steps."""
    found = codec(spec)
    sample = np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3)
    # If it can't, the pictures will say so, each for itself.
    try:
        found.decode(found.encode(sample, found.qualities[0]))
    except Exception:
        return found
    return found


def run(task: Task) -> list[Row]:
    """Measure; a quality that fails becomes a row that says why, and the rest goes on."""
    coder = _warm_codec(task.codec)
    pixels = read_pixels(task.picture)
    memory = _memory(coder, pixels, max(task.qualities))
    return [_measure(task, coder, pixels, quality, memory) for quality in task.qualities]


def failed(task: Task, version: str, quality: float, reason: str) -> Row:
    """The row of a measurement that gave nothing."""
    return Row(
        task.codec, version, task.name, task.digest, 0, 0, quality, error=reason, run=task.run
    )


def _measure(task: Task, coder: ImageCodec, pixels: Pixels, quality: float, memory: Memory) -> Row:
    height, width = pixels.shape[:2]
    try:
        coder.prepare(quality)
        start = time.perf_counter()
        data = coder.encode(pixels, quality)
        between = time.perf_counter()
        decoded = coder.decode(data)
        end = time.perf_counter()
        if decoded.shape != pixels.shape:
            found = f"{decoded.shape[1]}x{decoded.shape[0]}"
            raise EvaluationError(f"decoded to {found}, expected {width}x{height}")
    except Exception as error:  # a codec under test may raise anything
        return failed(task, coder.version, quality, explain(error))
    values: dict[str, float | None] = {}
    for name in task.metrics:
        try:
            values[name] = metric(name, task.weights)(pixels, decoded)
        except EvaluationError:  # not defined for such a picture: too small, say
            values[name] = None
    return Row(
        codec=task.codec,
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


def _memory(coder: ImageCodec, pixels: Pixels, quality: float) -> Memory:
    """What encoding and decoding take, MB, in calls of their own.

    They are not timed: handing freed memory back, so that a peak can be seen, makes the next
    call slow.
    """
    try:
        coder.prepare(quality)
        data, encoding = _peak_of(lambda: coder.encode(pixels, quality))
        _, decoding = _peak_of(lambda: coder.decode(data))
    except Exception:  # the measurement proper will fail in the same way and say so
        return None, None
    return encoding, decoding


def _peak_of(call: Callable[[], R]) -> tuple[R, float | None]:
    """A call's result, and the most memory it took beyond what was held (MB)."""
    before = _start_peak()
    result = call()
    peak = None if before is None else _status("VmHWM")
    if peak is None or before is None:
        return result, None
    return result, max(peak - before, 0) * 1024 / 1e6


def _start_peak() -> int | None:
    """Forget the process's peak of memory; what it holds now, in KiB. None where Linux isn't."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # Freed memory that the allocator keeps would hide what the call takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _status("VmRSS")


def _status(key: str) -> int | None:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return int(found[1]) if found else None
