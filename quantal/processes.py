"""Worker processes that end when their parent does, and that leave signals to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator

__all__ = [
    "STOPS",
    "end_with_parent",
    "ignore_signals",
    "kept_signals",
    "leave_signals_to_parent",
    "signals_held",
]

#: Signals that may reach a whole group of processes.
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, however that ended, also at work.

    For processes that multiprocessing has started; others have no parent that it knows.
    """
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def ignore_signals() -> None:
    """Ignore signals from now on."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Keep signals waiting here, and in a process that starts inside until it takes them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def kept_signals() -> Iterator[None]:
    """Give signals their handlers back at the end: Ray installs some that abort the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # of another language, which can't be set from here
                signal.signal(number, handler)


def leave_signals_to_parent() -> None:
    """Ignore in this process, which the parent ends, what it was started with held signals for."""
    ignore_signals()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
