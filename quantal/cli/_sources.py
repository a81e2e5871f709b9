"""The inputs of a call: files, the files of folders, or standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantal.cli._guard import describe
from quantal.errors import MediaError, QuantalError

__all__ = ["Failure", "Source", "expand"]

STDIN = "-"


@dataclass(frozen=True)
class Failure:
    """A file that was not done, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """One input: a path, or bytes that were read from standard input or a pipe."""

    name: str
    path: Path | None
    #: Its place below an output folder: the name, or the path inside the folder that was given.
    relative: Path
    data: bytes | None = None

    def content(self) -> Path | bytes:
        """Return the path of a file, or all the bytes of something that can't be rewound."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise QuantalError(f"{self.name} has neither a path nor bytes")
        if self.path.exists() and not self.path.is_file():
            return self.path.read_bytes()
        return self.path

    def bytes(self, limit: int = -1) -> bytes:
        """Return the first `limit` bytes, or all."""
        content = self.content()
        if isinstance(content, bytes):
            return content if limit < 0 else content[:limit]
        with content.open("rb") as file:
            return file.read(limit)

    def size(self) -> int:
        """Return the length in bytes."""
        content = self.content()
        return len(content) if isinstance(content, bytes) else content.stat().st_size

    def failure(self, error: Exception) -> Failure:
        """Return an error as a Failure, without the name, which precedes the reason."""
        reason = describe(error).removeprefix(f"{self.path} ").removesuffix(f": {self.path}")
        return Failure(self.name, reason)


def expand(
    names: Sequence[str], suffixes: Collection[str], recursive: bool = False
) -> tuple[list[Source], list[Failure]]:
    """Return the files of inputs in order, each once, and the inputs that are none.

    Folders give the files that have one of `suffixes`, and with `recursive` also those below; names
    that start with a dot are left out. A file named by itself may have any suffix.

    Args:
        names: as they were given.
        suffixes: of files in folders.
        recursive: whether folders of folders count.
    """
    sources: dict[str, Source] = {}
    failures: list[Failure] = []
    for name in names:
        if name == STDIN:
            if STDIN not in sources:
                sources[STDIN] = Source(STDIN, None, Path("stdin"), sys.stdin.buffer.read())
            continue
        path = Path(name)
        if not path.is_dir():
            source = Source(name, path, Path(path.name))
            sources.setdefault(os.path.abspath(path), source)
            continue
        found = False
        for file in _files_of(path, suffixes, recursive):
            found = True
            source = Source(str(file), file, file.relative_to(path))
            sources.setdefault(os.path.abspath(file), source)
        if not found:
            hint = "" if recursive else "; -r looks into its folders too"
            kinds = ", ".join(sorted(suffixes))
            failures.append(Failure(name, f"this folder holds no file to take ({kinds}){hint}"))
    return list(sources.values()), failures


def _files_of(folder: Path, suffixes: Collection[str], recursive: bool) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise MediaError(f"the folder {error.filename} can't be listed: {error.strerror}")

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for file in sorted(files):
            if not file.startswith(".") and os.path.splitext(file)[1].lower() in suffixes:
                yield Path(here, file)
