"""Signals that ask the command to end, as exceptions: what is half done is cleared away."""

from __future__ import annotations

import multiprocessing
import os
import signal
from types import FrameType

__all__ = ["Stopped", "end_children", "raise_on_signals", "status_of"]


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end; whatever handles Ctrl-C handles it.

    Attributes:
        number: The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def raise_on_signals() -> None:
    """Raise Stopped in the main thread at SIGTERM and SIGHUP; those that are ignored stay ignored.

    The first of them counts: a second one, such as a terminal sends that closes, must not disturb
    the clearing away.
    """
    owner = os.getpid()
    stopped = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        if os.getpid() != owner:  # a fork has no work of ours to clear away
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not stopped:
            stopped = True
            raise Stopped(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets
            signal.signal(number, stop)


def status_of(interrupt: KeyboardInterrupt) -> int:
    """Return the exit status that shells give: 128 and the number of the signal."""
    return 128 + (interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT)


def end_children() -> None:
    """End processes that this one has started and that an interrupted work has left."""
    for child in multiprocessing.active_children():
        child.kill()
