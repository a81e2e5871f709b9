"""File names as text.

Names on POSIX systems are bytes. Python holds those that are not UTF-8 as lone surrogates, which no
encoder, terminal or table takes.
"""

from __future__ import annotations

import os

__all__ = ["printable", "shown"]


def shown(name: str | bytes | os.PathLike[str]) -> str:
    r"""Return a file name as text that can be encoded; bytes that are not UTF-8 become `\xNN`.

    For JSON, tables and pages.

    >>> shown(b"caf\xe9.png")
    'caf\\xe9.png'
    """
    text = os.fspath(name)
    try:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte, as JSON may hold them
        data = str(text).encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def printable(name: str | bytes | os.PathLike[str]) -> str:
    r"""Return a file name as one line for a terminal; control characters are escaped too.

    >>> printable("two\nlines.png")
    'two\\nlines.png'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown(name)
    )
