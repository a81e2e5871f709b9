"""What becomes of files that can't be read among many: they are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantal.errors import MediaError, QuantalError
from quantal.names import shown

__all__ = ["Failed", "Progress", "named", "read_file"]

#: Called with what is done and what there is to do.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Failed:
    """A file that is left out.

    Attributes:
        name: name of the file.
        error: the reason.
    """

    name: str
    error: QuantalError


def named(name: str, error: QuantalError) -> QuantalError:
    """Return an error whose message begins with a name."""
    return type(error)(f"{shown(name)}: {error}", code=error.code, **error.facts)


def read_file(path: Path, count: int = -1) -> bytes:
    """Return the bytes of a file, or its first ones; MediaError if it can't be read.

    A pipe or a device in a folder is none: it may wait for a writer for ever.
    """
    try:
        if path.exists() and not path.is_file():
            raise MediaError("it is not a file; expected a .qtl file")
        with open(path, "rb") as file:
            return file.read(count)
    except (OSError, ValueError) as error:  # a null character in a path is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"it can't be read: {reason}") from error
