"""The command `quantal`: one file per subcommand, each of which parses, calls and prints.

Nothing heavy is imported at the top of a command's file, so `quantal --help` answers before torch
could be loaded. Private modules have what several commands share. This file imports nothing but
what handles signals, which may come while the rest is imported.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from quantal.cli._signals import end_children, raise_on_signals, status_of
from quantal.processes import ignore_signals

if TYPE_CHECKING:
    from quantal.cli._app import app

__all__ = ["app", "main"]


def __getattr__(name: str) -> object:
    if name == "app":
        from quantal.cli._app import app

        return app
    raise AttributeError(f"module 'quantal.cli' has no attribute {name!r}")


def main() -> None:
    """Entry point of the console script."""
    raise_on_signals()
    try:
        from quantal.cli._app import run

        status = run()
    except KeyboardInterrupt as interrupt:  # before or after a command ran
        end_children()
        with contextlib.suppress(OSError):
            os.write(2, b"quantal: interrupted\n")
        status = status_of(interrupt)
    ignore_signals()  # what Python does at its end is short, and an exception there is shown
    raise SystemExit(status)
