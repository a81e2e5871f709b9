"""Standard streams that may be closed, full, without a reader, or of any encoding.

Output that can't be written is dropped and remembered: work that has results elsewhere goes on, and
in the end the exit status says that something was lost.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any

import typer

from quantal.names import printable

__all__ = ["adopt_streams", "closing_status", "lost_output", "say"]

_NO_READER = 141  # 128 and the number of SIGPIPE, as of programs that it ends


class _Output(io.RawIOBase):
    """The unbuffered end of a standard stream; it drops what can't be written.

    Args:
        raw: Where to write; None if the stream is closed.
        number: Its file descriptor.

    Attributes:
        lost: Why something was dropped; None if nothing was.
    """

    def __init__(self, raw: Any, number: int) -> None:
        self._raw = raw
        self._number = number
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return self._raw is not None and bool(self._raw.isatty())

    def write(self, data: Any) -> int:
        try:
            while self.lost is None:
                if self._raw is None:
                    raise OSError(errno.EBADF, "it is closed")
                written: int | None = self._raw.write(data)
                if written is not None:
                    return written
                select.select([], [self._raw], [])  # a pipe that doesn't block is full
        except OSError as error:
            self.lost = error
        return len(data)


def adopt_streams() -> None:
    """Put streams that don't fail in place of sys.stdout and sys.stderr."""
    for number in range(3):  # so that no file that is opened later gets the number of a stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _text(sys.stdout, 1)
    sys.stderr = _text(sys.stderr, 2)


def _text(stream: Any, number: int) -> io.TextIOWrapper:
    buffer = getattr(stream, "buffer", None)
    raw = _Output(getattr(buffer, "raw", buffer), number)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",  # no character may stop a command
        line_buffering=getattr(stream, "line_buffering", True),
    )


def lost_output() -> OSError | None:
    """Return why standard output could not be written; None if it could."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Output) else None


def closing_status(status: int) -> int:
    """Return the exit status of a command that ends, and name a standard output that was lost.

    Args:
        status: The exit status otherwise.
    """
    sys.stdout.flush()
    error = lost_output()
    if error is None:
        return status
    if isinstance(error, BrokenPipeError):  # its reader, such as head, has ended
        return status or _NO_READER
    say(f"quantal: standard output can't be written: {error.strerror}", err=True)
    return status or 1


def say(text: str, *, err: bool = False) -> None:
    """Print text on a standard stream; of control characters, line breaks alone have effect."""
    typer.echo("\n".join(map(printable, text.split("\n"))), err=err)
