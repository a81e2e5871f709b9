"""Limits that every answer has to keep: processor time, wall time and memory."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["HANG", "MEMORY", "MEGAPIXEL", "SECONDS", "Fault", "limited_memory", "limited_time"]

#: Seconds of processor time that a small file may take, and wall seconds after which it hangs.
SECONDS, HANG = 2.0, 60
#: Bytes that a small file may take beyond what the process holds already.
MEMORY = 1 << 30
#: A header that says more megapixels may take longer: a second for each.
MEGAPIXEL = 1e6


class Fault(Exception):
    """A case was answered by neither a result nor an error of ours, or too late."""


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """Raise Fault for work that takes more processor time, or that hangs."""
    started = time.process_time()

    def hang(*_: object) -> None:
        raise Fault(f"no answer within {HANG} s")

    previous = signal.signal(signal.SIGALRM, hang)
    signal.alarm(HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    taken = time.process_time() - started
    if taken > seconds:
        raise Fault(f"{taken:.1f} s of processor time")


@contextmanager
def limited_memory(extra: int = MEMORY) -> Iterator[None]:
    """Let the process take at most so many bytes more; works on Linux alone."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
