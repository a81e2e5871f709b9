"""Execution of independent tasks in worker processes.

Codecs under test are native code of third parties, which may raise, crash its process or never
return. Each of these is a Failure of one task and does not affect the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from quantal.errors import EvaluationError, QuantalError
from quantal.eval._optional import require
from quantal.eval.texts import as_text
from quantal.memory import is_out_of_memory, memory_errors
from quantal.processes import end_with_parent
from quantal.threads import blas_threads

__all__ = ["Failure", "cores", "spread"]

T = TypeVar("T")
R = TypeVar("R")


#: Pools that may break in succession before a task is given up.
_TRIES = 3
_MEMORY = ", most likely because memory ran out: use fewer jobs, or smaller pictures"
#: Seconds that the first process may take to start.
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Failure:
    """A task without a result.

    Attributes:
        reason: The reason, in one line.
    """

    reason: str


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def explain(error: BaseException) -> str:
    """Format an error in one line, with the name of its class if it is not Quantal's."""
    if is_out_of_memory(error) and not isinstance(error, QuantalError):
        try:
            with memory_errors("this picture"):
                raise error
        except QuantalError as ours:
            error = ours
    text = " ".join(as_text(error).split())
    return text if isinstance(error, QuantalError) else f"{type(error).__name__}: {text}"


def _death(status: int) -> str:
    """Say how a process ended. The system's own killer for want of memory sends signal 9."""
    if status >= 0:
        return f"its process died (exit status {status})"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    return f"its process was killed ({name}){_MEMORY if name == 'SIGKILL' else ''}"


def _start(threads: int) -> None:
    """Initialise a worker: set the number of threads, leave Ctrl-C to the parent process."""
    end_with_parent()
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
    engine: str = "processes",
) -> Iterator[tuple[T, R | Failure]]:
    """Apply a function to every task and yield each task with its result, in any order.

    Args:
        function: A function of a module's top level, so that it can be pickled.
        tasks: The tasks.
        jobs: Number of worker processes; 0 runs all tasks in the calling process, without timeout.
        threads: Number of threads of torch in each worker.
        timeout: Seconds that a task may take; None for no limit.
        engine: "processes" of this machine, or "ray": actors of a cluster, `jobs` of them or, with
            0, one for each CPU but one of every node, with a thread each.

    Raises:
        EvaluationError: No worker process starts.
    """
    if not tasks:
        return
    if engine == "ray":
        yield from _on_cluster(function, tasks, jobs, timeout)
        return
    if jobs == 0:
        for task in tasks:
            try:
                yield task, function(task)
            except Exception as error:
                yield task, Failure(explain(error))
        return
    with blas_threads(threads):
        yield from _in_processes(function, tasks, jobs, threads, timeout)


def _on_cluster(
    function: Callable[[T], R], tasks: Sequence[T], jobs: int, timeout: float | None
) -> Iterator[tuple[T, R | Failure]]:
    from quantal.engine.pool import Death, plainly
    from quantal.engine.ray import Ray

    engine = Ray(jobs or None)
    try:
        results = engine.spread(partial(_caught, function), tasks, plainly, timeout)
        for number, result in results:
            yield tasks[number], Failure(result.reason) if isinstance(result, Death) else result
    finally:
        engine.close()


def _caught(function: Callable[[T], R], task: T) -> R | Failure:
    """Apply a function; an error becomes text where it happens, since not all can travel."""
    try:
        return function(task)
    except Exception as error:
        return Failure(explain(error))


def _in_processes(
    function: Callable[[T], R],
    tasks: Sequence[T],
    jobs: int,
    threads: int,
    timeout: float | None,
) -> Iterator[tuple[T, R | Failure]]:
    """Run tasks in a pool of processes; a pool that breaks is replaced.

    A pool breaks if a process dies before it has reported its task.
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
            yield left.pop(next(iter(left))), Failure(f"its process died at once{_MEMORY}")


def _ready(_: None) -> bool:
    """Report that a worker process has started."""
    return True


def _in_pool(
    function: Callable[[T], R],
    tasks: dict[int, T],
    jobs: int,
    threads: int,
    timeout: float | None,
    patience: float | None = None,
) -> Iterator[tuple[int, R | Failure]]:
    """Yield numbers and results of tasks until all are done or the pool breaks.

    patience: seconds for all tasks together, from now; timeout: seconds for each task, from its
    start.
    """
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
                    yield number, Failure(_death(error.exitcode))
                except BrokenExecutor:
                    return
                except Exception as error:
                    yield number, Failure(explain(error))
        pool.close()
    finally:
        pool.stop()  # at an interrupt, waiting tasks are dropped
        pool.join()
