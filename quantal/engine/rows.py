"""What there is to do and what came of it, a row for each file; what a run is of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

__all__ = ["Batch", "Job", "Order", "Product", "Result", "Row", "Status"]


class Status:
    """What became of a row: `done`, `failed`, or `halted`, which nothing after it can overcome."""

    done = "done"
    failed = "failed"
    halted = "halted"


@dataclass(frozen=True, slots=True)
class Row:
    """A file to work on.

    Attributes:
        path: Below the source.
        size: In bytes.
        mtime: The time of its last change as text.
        output: Of its result, below the target; empty if nothing is written.
        pixels: As its header says, or an estimate.
        member: Its name inside `path`, if that is a tar; its number, if that is a table.
        offset: Where it begins in `path`, in bytes; its number, if that is a table.
        beside: Names, offsets and sizes of what belongs to it in the same tar.
        column: Where it is in `path`, if that is a table.
    """

    path: str
    size: int
    mtime: str
    output: str
    pixels: int = 0
    member: str = ""
    offset: int = 0
    beside: tuple[tuple[str, int, int], ...] = ()
    column: str = ""

    @property
    def name(self) -> str:
        """Its path, and its name inside a tar."""
        return f"{self.path}/{self.member}" if self.member else self.path


@dataclass(frozen=True)
class Batch:
    """Rows that one worker does one after another, by a number that no other batch has."""

    number: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Product:
    """What a function makes of a file.

    Attributes:
        data: What is to be written; None if nothing is.
        model_hash: Of the codec that wrote or reads it, in hexadecimal digits.
        note: What else there is to say, such as warnings; empty if nothing.
    """

    data: bytes | None
    model_hash: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a row; a line of the manifest.

    Attributes:
        path, member, size, mtime, output: Of the row.
        bytes: Size of the output, or of a file that was only read.
        sha256: Of the same bytes, in hexadecimal digits.
        status: See Status.
        error: Why it is not done, in one line.
        note: Warnings and the like.
        seconds: That it took.
        model_hash: See Product.
        processor: That computed it: equal bytes are promised on equal ones alone.
    """

    path: str
    member: str
    size: int
    mtime: str
    output: str
    bytes: int = 0
    sha256: str = ""
    status: str = Status.done
    error: str = ""
    note: str = ""
    seconds: float = 0.0
    model_hash: str = ""
    processor: str = ""

    @property
    def name(self) -> str:
        """See Row."""
        return f"{self.path}/{self.member}" if self.member else self.path

    @classmethod
    def of(cls, row: Row, **what: object) -> Result:
        """Return the result of a row."""
        return cls(row.path, row.member, row.size, row.mtime, row.output, **what)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Order:
    """What a call asks for, beside its job.

    Attributes:
        suffixes: Of files that are taken.
        output: The suffix of results; empty if nothing is written.
        recursive: Whether folders of the source's folders count.
        force: Whether files that exist are overwritten, and an earlier manifest with them.
        skip_existing: Whether files whose outputs exist are left.
    """

    suffixes: Collection[str]
    output: str
    recursive: bool = False
    force: bool = False
    skip_existing: bool = False


#: Makes something of a file: of its name, for messages, and its bytes.
Function = Callable[[str, bytes], Product]


@dataclass(frozen=True)
class Job:
    """What all rows have in common; picklable, and small.

    Attributes:
        source: Path or URL of the folder that is read.
        target: Path or URL of the folder that is written.
        function: Of a module's top level, or a partial of one with plain arguments.
        describe: Returns an error in one line.
        options: What decides the results, in plain values, by the names that people know.
        run: Name of this call, which no other has.
        tar: Whether a batch becomes one tar instead of files.
        split: Of the data set whose shard a batch becomes; empty for files or tars.
    """

    source: str
    target: str
    function: Function
    describe: Callable[[Exception], str]
    options: Mapping[str, object] = field(default_factory=dict)
    run: str = ""
    tar: bool = False
    split: str = ""

    @property
    def digest(self) -> str:
        """A hash of the options."""
        text = json.dumps(dict(self.options), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
