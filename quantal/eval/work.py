"""Many independent tasks over a few processes, where none can take the others down.

Codecs under test are other people's native code: one may raise, crash its process or never
return. Each is then a Failure of that one task. What is particular to codecs or models stands
elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from quantal.errors import EvaluationError, QuantalError
from quantal.eval._optional import require

__all__ = ["Failure", "cores", "spread"]

T = TypeVar("T")
R = TypeVar("R")


#: Pools that may break in a row before a task is given up.
_TRIES = 3
#: Seconds that the first process may take to start. One that can't start may also never end.
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Failure:
    """A task that gave no result, and why, in one line."""

    reason: str


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def explain(error: BaseException) -> str:
    """An error in one line; the name of its class with those that are not ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, QuantalError) else f"{type(error).__name__}: {text}"


def _start(threads: int) -> None:
    """Begin a worker: a known number of threads, and Ctrl-C left to the process above."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def spread(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    jobs: int,
    threads: int = 1,
    timeout: float | None = None,
) -> Iterator[tuple[T, R | Failure]]:
    """Apply a function to every task, and yield each with its result as they are done.

    function: of a module's top level, for it is sent to processes that start afresh. jobs:
    processes; 0 for this one, one task after another, with its own threads and no timeout.
    timeout: seconds a task may take.
    """
    if not tasks:
        return
    if jobs == 0:
        for task in tasks:
            try:
                yield task, function(task)
            except Exception as error:
                yield task, Failure(explain(error))
        return
    yield from _in_processes(function, tasks, jobs, threads, timeout)


def _in_processes(
    function: Callable[[T], R],
    tasks: Sequence[T],
    jobs: int,
    threads: int,
    timeout: float | None,
) -> Iterator[tuple[T, R | Failure]]:
    """Over pools of processes: one that breaks as a whole is followed by another.

    That happens when a process dies before its pool knows what it was at.
    """
    probe = _in_pool(_ready, {0: None}, 1, threads, None, _START_SECONDS)
    if not any(result is True for _, result in probe):
        raise EvaluationError(
            "no worker process starts; a script that measures over several processes does it "
            'under `if __name__ == "__main__":`, for each of them imports it'
        )
    left = dict(enumerate(tasks))
    stuck = 0
    while left:
        before = len(left)
        for number, result in _in_pool(function, left, jobs, threads, timeout):
            yield left.pop(number), result
        stuck = stuck + 1 if len(left) == before else 0
        if stuck == _TRIES:
            stuck = 0
            yield left.pop(next(iter(left))), Failure("its process died at once")


def _ready(_: None) -> bool:
    """The task that shows whether processes start at all."""
    return True


def _in_pool(
    function: Callable[[T], R],
    tasks: dict[int, T],
    jobs: int,
    threads: int,
    timeout: float | None,
    patience: float | None = None,
) -> Iterator[tuple[int, R | Failure]]:
    """Number and result of tasks; of all, unless the pool breaks or all take longer than patience,
    in seconds, which counts from now and not, as timeout does, from when a task begins."""
    pebble = require("pebble", "work in several processes")
    from concurrent.futures import BrokenExecutor, as_completed
    from concurrent.futures import TimeoutError as FutureTimeout

    pool = pebble.ProcessPool(
        max_workers=min(jobs, max(len(tasks), 1)),
        context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=[threads],
    )
    try:
        futures = {
            pool.schedule(function, args=[task], timeout=timeout): number
            for number, task in tasks.items()
        }
        with suppress(FutureTimeout):
            for future in as_completed(futures, patience):
                number = futures[future]
                try:
                    yield number, future.result()
                except FutureTimeout:
                    yield number, Failure(f"gave no answer within {timeout:g} s and was stopped")
                except pebble.ProcessExpired as error:
                    yield number, Failure(f"its process died (exit status {error.exitcode})")
                except BrokenExecutor:
                    return
                except Exception as error:
                    yield number, Failure(explain(error))
        pool.close()
    finally:
        pool.stop()  # at an interrupt, what has not begun never does; otherwise nothing is left
        pool.join()
