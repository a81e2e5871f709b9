"""From the result or the error of a command to an exit status and one line that explains it.

0: done. 1: at least one file failed. 2: the call was wrong. 128 and the number of a signal:
interrupted by it, 130 by Ctrl-C.
"""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from quantal import extras
from quantal.cli._signals import end_children, status_of
from quantal.cli._streams import say
from quantal.errors import ArgumentError, OutOfMemoryError, QuantalError
from quantal.memory import is_out_of_memory, memory_errors
from quantal.names import printable

__all__ = ["advice", "describe", "guarded"]

P = ParamSpec("P")

#: Which options help, by the code that an error carries; its facts fill the braces.
_ADVICE = {
    "parts": ": --max-parts K",
    "prefix": ": --max-parts {parts}",
    "conceal": ": --conceal",
    "not-resilient": ": `quantal compress --resilient` writes them",
    "resilient-codec": ": --codec vq",
    "no-parts": ": leave --max-parts out",
    "no-concealment": ": leave --conceal out",
    "weights": ": --weights FILE",
    "quality": ": -q N",
    "dims": ": --dims time,lat,lon",
    "max-error": ": --max-error",
    "max-error-ffv1": ": --codec ffv1",
    "force": ": --force",
    "exists": "; --force overwrites it",
    "metadata": ": --strip all",
    "memory": ": fewer --jobs, QUANTAL_WINDOW=512, or --device cpu",
}

_OURS = {"quantal", "__main__", "__mp_main__"}


def advice(error: QuantalError) -> str:
    """Return which option of the command line helps; empty if none does."""
    return _ADVICE.get(error.code, "").format(**error.facts)


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Wrap a command that returns its exit status; errors become one line on standard error."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            status = command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            say("quantal: interrupted; files already finished are kept", err=True)
            end_children()
            status = status_of(interrupt)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            say(f"quantal: {describe(error)}", err=True)
            status = 2 if isinstance(error, ArgumentError) else 1
        raise typer.Exit(status)

    return call


def describe(error: Exception) -> str:
    """Return an error in one line; with QUANTAL_TRACEBACK, an unexpected error's traceback."""
    if isinstance(error, QuantalError):
        return printable(f"{error}{advice(error)}")
    if is_out_of_memory(error):
        return describe(_out_of_memory(error))
    package = _not_importable(error)
    if package is not None:
        return printable(f"{package} can't be imported: {error}; {extras.advice(package)}")
    if isinstance(error, OSError) and error.strerror:
        where = f": {os.fsdecode(error.filename)}" if error.filename else ""
        return printable(f"{error.strerror}{where}")
    if os.environ.get("QUANTAL_TRACEBACK"):
        return "".join(traceback.format_exception(error))
    name = type(error).__name__
    return printable(f"unexpected {name}: {error} (set QUANTAL_TRACEBACK=1 to see where)")


def _out_of_memory(error: Exception) -> OutOfMemoryError:
    try:
        with memory_errors("this"):
            raise error
    except OutOfMemoryError as named:
        return named


def _not_importable(error: Exception) -> str | None:
    """Return the package that raised an error while it was imported, or that is missing."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "<module>":
            package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
            if package not in _OURS:
                return package
        trace = trace.tb_next
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    package = (missing or "").partition(".")[0]
    return package if package and package not in _OURS else None
