"""Names of files become text that can be encoded, and lines of a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quantal.names import printable, shown


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("plain.png", "plain.png", "plain.png"),
        ("Größe 日.png", "Größe 日.png", "Größe 日.png"),
        (b"caf\xe9.png", "caf\\xe9.png", "caf\\xe9.png"),
        ("two\nlines", "two\nlines", "two\\nlines"),
        ("\x1b[2J", "\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\u202eb", "a\\u202eb"),
        ("a\ud800b", "a\\ud800b", "a\\ud800b"),
    ],
)
def test_names(name: str | bytes, text: str, line: str) -> None:
    assert shown(name) == text
    assert printable(name) == line
    assert shown(Path(name if isinstance(name, str) else os.fsdecode(name))) == text
    shown(name).encode("utf-8")
