"""From the result or the error of a command to an exit status.

0: done. 1: at least one file failed. 2: the call was wrong. 128 and the number of a
signal: interrupted by it, 130 by Ctrl-C.
"""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from quantal.cli._signals import end_children, status_of
from quantal.errors import ArgumentError, QuantalError

__all__ = ["advice", "describe", "guarded"]

P = ParamSpec("P")

#: Which options help, by the code that an error carries; its facts fill the braces.
_ADVICE = {
    "prefix": ": --max-parts {parts}",
    "conceal": ": --conceal",
    "not-resilient": ": `quantal compress --resilient` writes them",
    "resilient-codec": ": --codec vq",
    "no-parts": ": leave --max-parts out",
    "no-concealment": ": leave --conceal out",
    "weights": ": --weights FILE",
    "quality": ": -q N",
    "memory": ": fewer --jobs, --device cpu, or a smaller picture",
}


def advice(error: QuantalError) -> str:
    """Return which option of the command line helps; empty if none does."""
    return _ADVICE.get(error.code, "").format(**error.facts)


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Wrap a command that returns its exit status; errors of Quantal show no traceback."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            status = command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            typer.echo("quantal: interrupted; files already finished are kept", err=True)
            end_children()
            status = status_of(interrupt)
        except ArgumentError as error:
            typer.echo(f"quantal: {describe(error)}", err=True)
            status = 2
        except (QuantalError, OSError) as error:
            typer.echo(f"quantal: {describe(error)}", err=True)
            status = 1
        raise typer.Exit(status)

    return call


def describe(error: Exception) -> str:
    """Return an error in one line; with QUANTAL_TRACEBACK, an unexpected error's traceback."""
    if isinstance(error, QuantalError):
        return str(error) + advice(error)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    if isinstance(error, MemoryError):
        return "not enough memory"
    if os.environ.get("QUANTAL_TRACEBACK"):
        return "".join(traceback.format_exception(error))
    return f"unexpected {type(error).__name__}: {error} (set QUANTAL_TRACEBACK=1 to see where)"
