"""Errors of allocators, of the machine and of a GPU, as one error of ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from quantal.errors import OutOfMemoryError

__all__ = ["is_out_of_memory", "memory_errors"]

#: What torch's allocators and kernels say, and libraries that get no mapping or thread.
_MESSAGES = re.compile(
    "can't allocate memory|out of memory|not enough memory|cannot allocate memory|"
    "failed to map segment|can't start new thread|could not create a primi",
    re.IGNORECASE,
)
_NEEDED = (
    re.compile(r"tried to allocate ([\d.]+ ?[KMGTPE]?i?B?\w*)", re.IGNORECASE),
    re.compile(r"Unable to allocate ([\d.]+ [KMGTPE]?i?B)"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is about memory, of Python, the system, numpy or torch."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    kinds = (RuntimeError, ImportError, OSError)
    return isinstance(error, kinds) and bool(_MESSAGES.search(str(error)))


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Convert an allocator's error to OutOfMemoryError.

    Args:
        what: The work that failed, for example "coding a picture of 4000x3000 pixels".
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        found = next(filter(None, (pattern.search(str(error)) for pattern in _NEEDED)), None)
        last = f"; the last request was for {_readable(found[1])}" if found else ""
        raise OutOfMemoryError(
            f"{what} needs more memory than there is{last}; do less at once, or give it "
            "something smaller",
            code="memory",
        ) from error


def _readable(amount: str) -> str:
    """Return an amount of memory with its unit; torch's processor allocator says bare bytes."""
    digits = amount.split()[0]
    return f"{int(digits) / 1e6:,.0f} MB" if digits.isdigit() and "B" not in amount else amount
