"""Signals that ask the command to end, as exceptions: what is half done is cleared away."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from types import FrameType

from quantal.processes import STOPS, signals_held

__all__ = [
    "Stopped",
    "end_children",
    "raise_on_signals",
    "shield_tracker",
    "status_of",
]

#: Seconds after a signal in which further ones are ignored, which would disturb the clearing away.
_PAUSE = 5.0
_AGAIN = 0.05  # seconds until an interruption that was dropped comes again


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end; whatever handles Ctrl-C handles it.

    Attributes:
        number: The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def raise_on_signals() -> None:
    """Raise Stopped in the main thread at signals; those that are ignored stay ignored.

    Of several the first counts, such as a terminal sends that closes. Where Python drops
    exceptions, as in callbacks of imports and of collected objects, it is raised again later.
    """
    owner = os.getpid()
    last = -_PAUSE
    show_dropped = sys.unraisablehook

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal last
        if os.getpid() != owner:  # a fork has no work of ours to clear away
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif time.monotonic() - last > _PAUSE:
            last = time.monotonic()
            raise Stopped(number)

    def dropped(what: sys.UnraisableHookArgs) -> None:
        nonlocal last
        if isinstance(what.exc_value, Stopped):
            last = -_PAUSE
            threading.Timer(_AGAIN, os.kill, (owner, what.exc_value.number)).start()
        else:
            show_dropped(what)

    sys.unraisablehook = dropped
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets
            signal.signal(number, stop)


def status_of(interrupt: KeyboardInterrupt) -> int:
    """Return the exit status that shells give: 128 and the number of the signal."""
    return 128 + (interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT)


def end_children() -> None:
    """End processes that this one has started and that an interrupted work has left."""
    for child in multiprocessing.active_children():
        child.kill()


def shield_tracker() -> None:
    """Start multiprocessing's tracker of resources so that a terminal that closes can't end it.

    It clears semaphores away when this process has ended, and complains where it was restarted.
    """
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing.resource_tracker import ensure_running

        with signals_held():
            ensure_running()
