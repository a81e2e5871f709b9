"""How the tests of the command line call it, and files for it to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import quantal as package
from quantal import container
from tests.calling import Call, call

Quantal = Callable[..., Call]


@pytest.fixture
def quantal() -> Quantal:
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
