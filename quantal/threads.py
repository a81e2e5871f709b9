"""How many threads numpy's matrix products take, and how the calling thread is scheduled."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["blas_threads", "kept_scheduling", "one_blas_thread"]

#: What the libraries behind numpy read when they are loaded.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Let processes that start inside use so many threads each for matrix products.

    Numpy has no call for it, and several processes with all cores each would only get in each
    other's way. What the user has set stays.
    """
    added = [name for name in _VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(max(count, 1))))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # after numpy was imported, whose libraries it finds


class _OneThread:
    """Matrix products by one thread, for as long as any thread of this process asks for it."""

    def __init__(self) -> None:
        self._lock, self._asking = threading.Lock(), 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._asking:
                self._limit = _controller().limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._asking += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._asking -= 1
            if not self._asking:
                self._limit.__exit__(None, None, None)


_ONE_THREAD = _OneThread()


def _after_fork() -> None:
    # Another thread of the parent may have held the lock, and will never give it back here.
    _ONE_THREAD.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def one_blas_thread() -> AbstractContextManager[None]:
    """Return a context in which numpy takes one thread for matrix products.

    Small products gain nothing from more, and threads that wait in a loop for the next one take the
    cores from everything else: on a busy machine that takes twice as long.
    """
    return _ONE_THREAD


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Give the calling thread back its scheduling policy at the end.

    Where root runs it, SVT-AV1 makes the thread that opens it a real-time one. All that this thread
    starts or waits for inherits that or starves: later work in the process hangs.
    """
    if not hasattr(os, "sched_setscheduler"):  # not on Linux, where SVT-AV1 does not do so either
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
