"""Calls of the command line in this process, and what they leave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from quantal.cli import app

__all__ = ["Call", "call"]


@dataclass(frozen=True)
class Call:
    """What a call of the command line left: its status and what it said on both streams."""

    status: int
    out: str
    err: str
    raw: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def call(*arguments: object, stdin: bytes | None = None) -> Call:
    """Call the command with words; an exception that it lets through is raised."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words, input=stdin, prog_name="quantal")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Call(result.exit_code, result.stdout, result.stderr, result.stdout_bytes)
