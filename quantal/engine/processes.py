"""The engine of one machine: a pool of worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

from quantal.engine.pool import Death, Describe, spread
from quantal.threads import blas_threads

__all__ = ["Processes", "share_cores", "threads_each"]

T = TypeVar("T")
R = TypeVar("R")


class Processes:
    """Worker processes of this machine.

    Args:
        workers: How many; default: one for each core.
    """

    name = "processes"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1

    def spread(
        self, function: Callable[[T], R], tasks: Sequence[T], describe: Describe
    ) -> Generator[tuple[int, R | Death], None, None]:
        """Apply a function to every task; see quantal.engine.pool.spread."""
        jobs = min(self.workers, len(tasks))
        prepare = partial(share_cores, jobs)
        with (
            blas_threads(threads_each(jobs)),
            closing(spread(function, tasks, jobs, prepare, describe)) as results,
        ):
            yield from results

    def close(self) -> None:
        """Nothing outlives its tasks."""


def threads_each(jobs: int) -> int:
    """Threads of each of so many workers."""
    return max(1, (os.cpu_count() or 1) // jobs)


def share_cores(jobs: int) -> None:
    """Let networks of this process take its share of the cores, as one of so many."""
    threads = threads_each(jobs)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for ONNX Runtime, whose sessions are yet to come
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
