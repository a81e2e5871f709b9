"""What becomes of files that can't be read among many: they are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantal.errors import QuantalError
from quantal.names import shown

__all__ = ["Failed", "Progress", "named"]

#: Called with what is done and what there is to do.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Failed:
    """A file that is left out.

    Attributes:
        name: of the file.
        error: why.
    """

    name: str
    error: QuantalError


def named(name: str, error: QuantalError) -> QuantalError:
    """Return an error whose message begins with a name."""
    return type(error)(f"{shown(name)}: {error}", code=error.code, **error.facts)
