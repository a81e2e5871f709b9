"""Where results go: names of outputs, protection of existing files, and atomic writing."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from quantal.cli._inputs import STDIN
from quantal.cli._sources import Failure, Source, is_folder, is_stream
from quantal.cli._streams import lost_output
from quantal.errors import ArgumentError, BitstreamError, OutputError, QuantalError
from quantal.names import printable
from quantal.outputs import create_folder

__all__ = [
    "STDOUT",
    "Plan",
    "Step",
    "check_free",
    "opened_new",
    "opened_stdout",
    "plan",
    "prepared",
    "write_file",
    "write_stdout",
]

STDOUT = "-"


@dataclass(frozen=True)
class Step:
    """One input and the path of its result; None: standard output.

    Attributes:
        times: Of access and modification, in nanoseconds, that the result gets.
    """

    source: Source
    target: Path | None
    times: tuple[int, int] | None = None

    @property
    def output(self) -> str:
        return STDOUT if self.target is None else str(self.target)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        skipped: How many inputs are left because their outputs exist.
    """

    steps: list[Step]
    failures: list[Failure]
    skipped: int = 0


def plan(
    sources: Sequence[Source],
    names: Sequence[str],
    out: str | None,
    suffix_of: Callable[[Source], str],
    force: bool,
    suffixes: Collection[str] = (),
    *,
    skip_existing: bool = False,
    keep_time: bool = False,
) -> Plan:
    """Give each source its target, before any work is done.

    A target that exists (without `force`), that is an input, or that two inputs would share is a
    failure of that input alone.

    Args:
        sources: the inputs.
        names: the inputs as they were given; a folder among them, or several, make `out` a folder.
        out: a file, a folder, or - for standard output.
        suffix_of: returns the suffix of the result of a source.
        force: whether existing files are overwritten.
        suffixes: a folder that is still to be made may not end in one of these, which name files.
        skip_existing: whether inputs whose outputs exist are left.
        keep_time: whether outputs get the times of their inputs.
    """
    into_folder = len(names) > 1 or any(name != STDIN and is_folder(name) for name in names)
    place = _place(sources, out, into_folder, suffixes)
    inputs = {os.path.realpath(s.path): s.name for s in sources if s.path is not None}
    taken: dict[str, str] = {}
    steps: list[Step] = []
    failures: list[Failure] = []
    skipped = 0
    for source in sources:
        target = place.of(source, suffix_of(source))
        if target is None:
            if any(step.target is None for step in steps):
                reason = "standard output takes the result of another input; name a folder with -o"
                failures.append(Failure(source.name, reason))
            else:
                steps.append(Step(source, None))
            continue
        real = os.path.realpath(target)
        if real in inputs:
            reason = f"its output {target} is an input ({inputs[real]}); name another with -o"
        elif real in taken:
            reason = (
                f"its output {target} is already that of {taken[real]}; "
                "name another for one of them with -o, or different folders"
            )
        elif is_folder(target):
            reason = f"its output {target} is a folder"
        elif skip_existing and os.path.exists(target) and not is_stream(target):
            skipped += 1
            continue
        elif _holds_data(target) and not force:
            reason = f"{target} exists already; --force overwrites it"
        else:
            taken[real] = source.name
            steps.append(Step(source, target, source.times() if keep_time else None))
            continue
        failures.append(Failure(source.name, printable(reason)))
    return Plan(steps, failures, skipped)


@dataclass(frozen=True)
class _Place:
    """Standard output, one file, a folder, or beside each input."""

    stdout: bool = False
    file: Path | None = None
    folder: Path | None = None

    def of(self, source: Source, suffix: str) -> Path | None:
        if self.stdout or (self.file is None and self.folder is None and source.path is None):
            return None
        if self.file is not None:
            return self.file
        if self.folder is not None:
            return self.folder / source.relative.with_suffix(suffix)
        return None if source.path is None else source.path.with_suffix(suffix)


def _place(
    sources: Sequence[Source], out: str | None, into_folder: bool, suffixes: Collection[str]
) -> _Place:
    if out is None:
        return _Place()
    if out == STDOUT:
        if len(sources) > 1:
            raise ArgumentError("-o - takes one input: several results can't share one stream")
        return _Place(stdout=True)
    path = Path(out)
    if is_folder(path) or out.endswith((os.sep, "/")):
        return _Place(folder=path)
    if not into_folder:
        return _Place(file=path)
    if os.path.exists(path):
        raise ArgumentError(f"{out} is a file: several inputs need a folder for their outputs")
    if path.suffix.lower() in suffixes:
        raise ArgumentError(
            f"{out} is the name of a file: several inputs need a folder for their outputs; "
            f"name one, or write {out}/ for a folder of that name"
        )
    return _Place(folder=path)


def _holds_data(target: Path) -> bool:
    """Return whether writing to `target` would replace data; devices and pipes hold none."""
    return os.path.lexists(target) and not is_stream(target)


def write_file(
    target: Path, data: bytes, force: bool, times: tuple[int, int] | None = None
) -> None:
    """Write all of `data` or nothing; see `opened_new`."""
    with opened_new(target, force, times) as file:
        file.write(data)


@contextlib.contextmanager
def opened_new(
    target: Path, force: bool, times: tuple[int, int] | None = None
) -> Iterator[BinaryIO]:
    """Open a file that appears whole or not at all: a temporary one is renamed at the end.

    Missing folders on the way to `target` are made. Of a link, the target is replaced.

    Args:
        target: Where to write.
        force: Whether an existing file is overwritten.
        times: Of access and modification, in nanoseconds; default: now.
    """
    with _as_output_errors(target):
        if is_stream(target):
            with target.open("wb") as file:
                yield file
            return
        target = prepared(target)
        # 60 characters are at most 240 bytes; with the rest, a name has at most 255.
        temporary = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.part")
        try:
            with _open_new(temporary) as file:
                yield file
            if times is not None:
                os.utime(temporary, ns=times)
            check_free(target, force)
            os.replace(temporary, target)
        except BaseException:  # Ctrl-C too: no half file may stay
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def prepared(target: Path) -> Path:
    """Make the folders on the way to a target; return what it leads to if it is a link."""
    with _as_output_errors(target):
        if target.is_dir():
            raise OutputError(f"{target} is a folder; name a file")
        if target.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                target.stat()  # raises for links that lead to each other
            target = Path(os.path.realpath(target))
        create_folder(target.parent)
    return target


def check_free(target: Path, force: bool) -> None:
    """Raise OutputError if something has come to the place of a result."""
    if os.path.lexists(target) and not force:
        raise OutputError(f"{target} was created in the meantime; --force overwrites it")


def write_stdout(data: bytes, force: bool) -> None:
    """Write to standard output; a terminal gets binary data only with `force`."""
    with opened_stdout(force) as file:
        file.write(data)


@contextlib.contextmanager
def opened_stdout(force: bool) -> Iterator[BinaryIO]:
    """Give standard output for binary data; a terminal only with `force`."""
    if sys.stdout.isatty() and not force:
        raise ArgumentError("binary data is not written to a terminal; redirect it, or use --force")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BitstreamError:  # which is an OSError, but of an input
        raise
    except OSError as error:
        raise OutputError(f"standard output can't be written: {error.strerror}") from error
    lost = lost_output()
    if lost is not None:
        raise OutputError(f"its result was lost: {lost.strerror}")


def _open_new(path: Path) -> BinaryIO:
    # Not through tempfile: its files are private, and a result should follow the user's umask.
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    return open(os.open(path, flags, 0o666), "wb")


@contextlib.contextmanager
def _as_output_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except QuantalError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full"
        elif error.errno == errno.EROFS:
            reason = "its folder is on a read-only file system"
        elif error.errno in (errno.EACCES, errno.EPERM):
            reason = f"no permission to write in {target.parent}"
        else:
            reason = error.strerror or str(error)
        raise OutputError(f"{target} can't be written: {reason}") from error
