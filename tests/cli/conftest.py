"""How the tests of the command line call it, and files for it to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

import quantal as package
from quantal import container
from quantal.cli import app


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


Quantal = Callable[..., Call]


@pytest.fixture
def quantal() -> Quantal:
    def call(*arguments: object, stdin: bytes | None = None) -> Call:
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(app, words, input=stdin, prog_name="quantal")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Call(result.exit_code, result.stdout, result.stderr, result.stdout_bytes)

    return call


@pytest.fixture(scope="session")
def coded(small_photograph: Image.Image) -> bytes:
    """The small photograph as the bytes of a .qtl file."""
    return package.compress(small_photograph)


@pytest.fixture
def qtl(tmp_path: Path) -> Path:
    """A well-formed file whose picture is nonsense: good for what looks at the container only."""
    header = container.Header("hyperprior", bytes(range(4)), width=640, height=480, rate=100)
    parts = [container.Part("image", b"\1" * 1000), container.Part("icc", b"profile")]
    path = tmp_path / "made.qtl"
    path.write_bytes(container.write(header, parts))
    return path
