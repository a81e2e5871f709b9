"""Worker processes that compute, any of which may die without harm to the others.

Every worker has a pipe of its own and one task at a time: the task that a dead worker had in hand
is known, and results don't pile up. Workers end when their parent does, however it ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from quantal.errors import QuantalError
from quantal.processes import end_with_parent, leave_signals_to_parent, signals_held

__all__ = ["Death", "Describe", "plainly", "spread"]

T = TypeVar("T")
R = TypeVar("R")

#: Returns an error in one line.
Describe = Callable[[Exception], str]

#: Starts for each worker that may fail in succession before no more are tried.
_TRIES = 3
_SECONDS_TO_END = 10.0  # that a worker whose pipe is closed may take to end by itself


@dataclass(frozen=True)
class Death:
    """A task without a result.

    Attributes:
        reason: In one line.
    """

    reason: str


@dataclass(frozen=True)
class _Started:
    """What a worker sends first.

    Attributes:
        reason: Why it can't work; empty if it can.
    """

    reason: str = ""


class _Worker:
    """A process, this end of its pipe, and the number of the task that it has in hand."""

    def __init__(
        self, function: Callable[[Any], object], prepare: Callable[[], None], describe: Describe
    ) -> None:
        self._describe = describe
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads hangs
        self.pipe, other_end = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(other_end, function, prepare, describe), daemon=True
        )
        self.task: int | None = None
        try:
            self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            other_end.close()

    def reports(self, ready: Sequence[object]) -> bool:
        """Whether it is among what `wait` has returned."""
        return self.pipe in ready or self.process.sentinel in ready

    def message(self) -> object:
        """Return the message that waits, or a Death."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except (EOFError, OSError):
            pass
        except Exception as error:  # a result that this process has no memory for
            return Death(self._describe(error))
        self.process.join(_SECONDS_TO_END)
        return Death(_cause(self.process.exitcode))

    def give(self, number: int, task: object) -> None:
        self.task = number
        with contextlib.suppress(OSError):  # it is dead: its pipe reports that
            self.pipe.send(task)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def plainly(error: Exception) -> str:
    """Return an error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, QuantalError) else f"{type(error).__name__}: {text}"


def spread(
    function: Callable[[T], R],
    tasks: Sequence[T],
    jobs: int,
    prepare: Callable[[], None],
    describe: Describe = plainly,
) -> Generator[tuple[int, R | Death], None, None]:
    """Apply a function to every task, and yield the numbers of tasks with results, in any order.

    A worker that dies costs the task that it had in hand; a new one takes its place.

    Args:
        function: Raises nothing; it and its results are picklable.
        tasks: Picklable too.
        jobs: Number of workers.
        prepare: Called once in every worker before its first task.
        describe: Returns an error of a worker in one line.
    """
    left = deque(range(len(tasks)))
    crew: list[_Worker] = []
    failed_starts, refusal = 0, ""
    try:
        while left or any(worker.task is not None for worker in crew):
            idle = sum(worker.task is None for worker in crew)
            if failed_starts < _TRIES * jobs and len(crew) < jobs and idle < len(left):
                try:
                    with signals_held():
                        crew.append(_Worker(function, prepare, describe))
                except OSError as error:
                    failed_starts, refusal = failed_starts + 1, describe(error)
                continue
            if not crew:
                break
            ready = wait([*(w.pipe for w in crew), *(w.process.sentinel for w in crew)])
            for worker in [worker for worker in crew if worker.reports(ready)]:
                message = worker.message()
                trouble = message.reason if isinstance(message, (Death, _Started)) else ""
                if worker.task is not None:
                    yield worker.task, message  # type: ignore[misc]
                elif trouble:
                    failed_starts, refusal = failed_starts + 1, trouble
                else:
                    failed_starts = 0
                worker.task = None
                if trouble or not left:
                    crew.remove(worker)
                    worker.end()
                else:
                    number = left.popleft()
                    worker.give(number, tasks[number])
        for number in left:
            yield number, Death(f"no worker process starts: {refusal}")
    finally:
        for worker in crew:
            worker.end()


def _cause(status: int | None) -> str:
    """Explain the exit status of a worker that should not have ended."""
    if status == -getattr(signal, "SIGKILL", 9):
        return "the worker process was killed; out of memory is the likely cause: fewer --jobs help"
    if status is not None and status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        end = f"crashed ({name})"
    else:
        end = f"ended before its work was done (exit status {status})"
    return f"the worker process {end}; if memory ran out, fewer --jobs help"


def _serve(
    pipe: Connection,
    function: Callable[[Any], object],
    prepare: Callable[[], None],
    describe: Describe,
) -> None:
    """Work until the parent closes the pipe or ends."""
    leave_signals_to_parent()
    end_with_parent()
    try:
        prepare()
    except Exception as error:
        pipe.send(_Started(describe(error)))
        return
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        pipe.send(_Started())
        while True:
            result = function(pipe.recv())
            try:
                pipe.send(result)
            except MemoryError as error:
                pipe.send(Death(describe(error)))
