"""The journal of a long run: one JSON object per line, appended as results come in.

A run can be stopped at any time and resumed from its journal. An incomplete last line is dropped.
Tables are made from the journal at the end (rows.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantal.errors import EvaluationError
from quantal.names import shown
from quantal.outputs import output_errors

__all__ = ["Journal"]


class Journal:
    """The entries of a file, oldest first; `append` writes to the file immediately."""

    def __init__(self, path: str | Path) -> None:
        """Read the existing entries, if any; EvaluationError if the file is not a journal."""
        self.path = Path(path)
        self.entries: list[dict[str, Any]] = []
        try:
            data = self.path.read_bytes() if self.path.is_file() else b""
        except OSError as error:
            raise EvaluationError(
                f"{shown(self.path)} can't be read: {error.strerror}; name another output folder"
            ) from error
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise EvaluationError(
                    f"{shown(self.path)}: line {number} is not a JSON object, so this is not a "
                    "journal of measurements; remove it or name another output folder"
                )
            self.entries.append(entry)
        if len(whole) < len(data):  # the last run stopped within a line
            with output_errors(self.path), self.path.open("r+b") as file:
                file.truncate(len(whole))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry; the operating system has it when this returns.

        Raises:
            OutputError: The file can't be written; its earlier entries stay valid.
        """
        with output_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.entries.append(dict(entry))
