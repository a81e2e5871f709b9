"""The inputs of a call: files, the files of folders, or streams."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quantal.cli._sources import Failure, Source, is_folder, is_stream, read_stream
from quantal.errors import MediaError
from quantal.names import printable

__all__ = ["STDIN", "Found", "expand"]

STDIN = "-"

_NUMBERED = re.compile(r"%(0\d+)?d")

_KINDS_NAMED = 6  # of suffixes, in the note about files that were left


@dataclass(frozen=True)
class Found:
    """What a call's names stand for.

    Attributes:
        sources: Inputs in order, each once.
        failures: Names that stand for nothing that can be read.
        notes: What folders held besides, a line each.
    """

    sources: list[Source]
    failures: list[Failure]
    notes: list[str]


def expand(
    names: Sequence[str],
    suffixes: Collection[str],
    recursive: bool = False,
    kind: str | None = None,
) -> Found:
    """Find the inputs of a call.

    Folders give the files that have one of `suffixes`, and with `recursive` also those below; names
    that start with a dot are left out. A file named by itself may have any suffix. A stream is read
    here, once. A name such as frames/%04d.png stands for numbered pictures, which are one clip.

    Args:
        names: As they were given.
        suffixes: Of files in folders.
        recursive: Whether folders of folders count.
        kind: What files in folders should be, for notes about those that are not: "picture".
    """
    sources: dict[str, Source] = {}
    found = Found([], [], [])
    for name in names:
        key = name if name == STDIN else os.path.abspath(name)
        if name != STDIN and is_folder(name):
            listing = _list(Path(name), suffixes, recursive)
            for file in listing.files:
                source = Source(str(file), file, file.relative_to(name))
                sources.setdefault(os.path.abspath(file), source)
            found.failures.extend(listing.failures)
            if not listing.files and not listing.failures:
                found.failures.append(Failure(name, listing.emptiness(suffixes, recursive)))
            elif kind is not None and listing.left:
                found.notes.append(f"{printable(name)}: {listing.note(kind)}")
        elif key not in sources:
            path = Path(name)  # which ends in no slash, as basename() may
            source = Source(name, path, Path(path.name))
            if _NUMBERED.search(path.name) and not os.path.lexists(name):
                folder = Path(os.path.abspath(path.parent))
                source = Source(name, folder, Path(folder.name), pattern=path.name)
            try:
                sources[key] = _stream(name) if name == STDIN or is_stream(name) else source
            except Exception as error:
                found.failures.append(source.failure(error))
    found.sources.extend(sources.values())
    return found


def _stream(name: str) -> Source:
    """Read a stream to its end."""
    if name == STDIN:
        if sys.stdin is None:
            raise MediaError("standard input is closed")
        return Source(name, None, Path("stdin"), read_stream(sys.stdin.buffer))
    with open(name, "rb") as file:
        data = read_stream(file)
    # Nothing can be written beside what a shell makes of <(...).
    in_system = os.path.abspath(name).startswith(("/dev/", "/proc/"))
    path = Path(name)
    return Source(name, None if in_system else path, Path(path.name), data)


@dataclass
class _Listing:
    """What a folder holds: files to take, and what can't be, by its reason."""

    files: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    def emptiness(self, suffixes: Collection[str], recursive: bool) -> str:
        hint = "" if recursive else "; -r looks into its folders too"
        held = f"; it holds {self._kinds()}" if self.left else ""
        return f"this folder holds no file to take ({', '.join(sorted(suffixes))}){held}{hint}"

    def note(self, kind: str) -> str:
        count = self.left.total()
        several = re.sub(r"(?<=\w)(?=,| or |$)", "s", kind)
        what = (
            f"1 file that is not a {kind}"
            if count == 1
            else f"{count} files that are not {several}"
        )
        return f"skipped {what}: {self._kinds()}"

    def _kinds(self) -> str:
        named = self.left.most_common(_KINDS_NAMED)
        kinds = [f"{count} {printable(suffix) or 'without suffix'}" for suffix, count in named]
        others = self.left.total() - sum(count for _, count in named)
        return ", ".join([*kinds, *([f"{others} others"] if others else [])])


def _list(folder: Path, suffixes: Collection[str], recursive: bool) -> _Listing:
    """List a folder; every real folder below it once, however many links lead there."""
    listing = _Listing()
    seen = set()
    linked = deque([folder])  # last, so that files are found by their own path first
    while linked:
        waiting = [linked.popleft()]
        while waiting:
            here = waiting.pop()
            try:
                about = os.stat(here)
                if (about.st_dev, about.st_ino) in seen:
                    continue
                seen.add((about.st_dev, about.st_ino))
                with os.scandir(here) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                reason = f"this folder can't be listed: {error.strerror or error}"
                listing.failures.append(Failure(str(here), reason))
                continue
            below: list[Path] = []
            for entry in entries:
                path = here / entry.name
                if entry.name.startswith("."):
                    continue
                if os.path.isdir(path) and not is_folder(path):
                    _sort(path, suffixes, listing)
                elif _is_real_folder(entry):
                    below.append(path)
                elif os.path.isdir(path):
                    linked.append(path)
                else:
                    _sort(path, suffixes, listing)
            if not recursive:
                return listing
            waiting.extend(reversed(below))
    return listing


def _is_real_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder and no link to one; known without permission to look into it."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _sort(path: Path, suffixes: Collection[str], listing: _Listing) -> None:
    """Take a file, or note why it is left."""
    suffix = os.path.splitext(path.name)[1].lower()
    if suffix not in suffixes:
        if suffix not in (".qtl", ".qcube"):  # results among their sources
            listing.left[suffix] += 1
    elif is_stream(path):  # it may wait for a writer for ever
        reason = "it is a pipe or a device in a folder; name it by itself"
        listing.failures.append(Failure(str(path), reason))
    else:
        listing.files.append(path)
