"""The output of a run: lines and a progress bar, or one JSON document.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

from quantal.cli._sources import Failure
from quantal.cli._streams import say
from quantal.names import printable, shown

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "Report", "print_json"]

PATIENCE = 1.0  # seconds before a progress bar appears


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(_encodable(document), indent=2))


def _encodable(value: object) -> object:
    """Return a value of JSON whose texts, of which file names may be none, can be encoded."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(entry) for key, entry in value.items()}
    return [*map(_encodable, value)] if isinstance(value, (list, tuple)) else value


class Report:
    """Collects results and failures of a run over `total` files, and prints them as they come."""

    def __init__(
        self, verb: str, total: int, *, as_json: bool, data_on_stdout: bool = False
    ) -> None:
        self._entries: dict[int, Mapping[str, object]] = {}
        self.failures: list[Failure] = []
        self._as_json = as_json
        self._lines_to_stderr = data_on_stdout
        self._bar = Bar(verb, total, shown=not as_json and sys.stderr.isatty())

    def __enter__(self) -> Report:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def done(
        self, place: int, entry: Mapping[str, Any], unit: str = "bpp", lines: Iterable[str] = ()
    ) -> None:
        """Report a file whose result is written.

        Args:
            place: Place of the file among the inputs; workers finish in any order.
            entry: For the JSON document.
            unit: Of its bits.
            lines: What else to print.
        """
        self._entries[place] = entry
        name = printable(entry["input"])
        for warning in entry["warnings"]:
            self._bar.say(f"{name}: warning: {warning}", err=True)
        if not self._as_json:
            line = (
                f"{name} -> {printable(entry['output'])}  "
                f"{entry['bytes_in']:,} -> {entry['bytes_out']:,} bytes  "
                f"{entry['bpp']:.3f} {unit}  {entry['seconds']:.2f} s"
            )
            for each in (line, *lines):
                self._bar.say(each, err=self._lines_to_stderr)
        self._bar.advance()

    def partly(self, part: float, note: str = "") -> None:
        """Report the progress of the current file, 0..1, and what else there is to say of it."""
        self._bar.advance_to(part, note)

    def failed(self, failure: Failure) -> None:
        """Report a file that failed."""
        self.failures.append(failure)
        self._bar.say(failure.line, err=True)
        self._bar.advance()

    def finish(self) -> int:
        """Print the JSON document if one was asked for, and return the exit status."""
        if self._as_json:
            print_json([entry for _, entry in sorted(self._entries.items())])
        return 1 if self.failures else 0


class Bar:
    """A progress bar on standard error that appears only if the work takes a while."""

    def __init__(self, verb: str, total: int, *, shown: bool) -> None:
        self._verb = verb
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._timer = threading.Timer(PATIENCE, self._show) if shown else None

    def __enter__(self) -> Bar:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def advance(self) -> None:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress.update(self._progress.task_ids[0], completed=self._done)

    def advance_to(self, part: float, note: str = "") -> None:
        """Show the progress of the next step, 0..1, with a note behind the verb."""
        with self._lock:
            if self._progress is not None:
                self._progress.update(
                    self._progress.task_ids[0],
                    completed=self._done + part,
                    description=f"{self._verb} {note}".rstrip(),
                )

    def say(self, line: str, *, err: bool) -> None:
        """Print a line; above the bar if both share a terminal."""
        with self._lock:
            if self._progress is not None and (err or sys.stdout.isatty()):
                self._progress.console.out(printable(line), highlight=False)
            else:
                say(line, err=err)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        with self._lock:
            if self._timer is None:  # all was done just before
                return
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.add_task(self._verb, total=self._total, completed=self._done)
            self._progress.start()
