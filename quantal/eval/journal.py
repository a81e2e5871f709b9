"""What a long run has measured so far: one JSON object a line, appended as results come.

A run that is stopped at any moment goes on from here: the worst that a stop leaves is a cut last
line, and that is dropped. Tables for people are made from it at the end (rows.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantal.errors import EvaluationError

__all__ = ["Journal"]


class Journal:
    """Entries of a file, old ones first; `append` writes through to the file at once."""

    def __init__(self, path: str | Path) -> None:
        """Read what is there already, if anything; EvaluationError if it is no journal."""
        self.path = Path(path)
        self.entries: list[dict[str, Any]] = []
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise EvaluationError(
                    f"{self.path}: line {number} is no JSON object, so this is not a journal of "
                    "measurements; remove it or name another output folder"
                )
            self.entries.append(entry)
        if len(whole) < len(data):  # the stop came in the middle of a line
            with self.path.open("r+b") as file:
                file.truncate(len(whole))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry; it is with the operating system when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.entries.append(dict(entry))
