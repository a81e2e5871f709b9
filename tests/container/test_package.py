"""The package: its exports, its imports, and the specification of the format."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from quantal import container
from quantal.container import _file, _rate, spec

FORMAT = Path(__file__).parents[2] / "docs" / "reference" / "format.md"


def test_everything_exported_is_there() -> None:
    assert all(hasattr(container, name) for name in container.__all__)


def test_only_the_standard_library_is_imported() -> None:
    code = "import sys, quantal.container; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"torch", "numpy", "PIL"} & set(done.stdout.split())


def test_the_specification_holds_the_tables_of_the_code() -> None:
    text = FORMAT.read_text(encoding="utf-8")
    assert f"{spec.BEGIN}\n{spec.tables()}\n{spec.END}" in text


def test_the_example_of_the_specification_is_a_file() -> None:
    text = FORMAT.read_text(encoding="utf-8")
    example = text.partition("```hex\n")[2].partition("```")[0]
    data = bytes.fromhex("".join(line.partition("#")[0] for line in example.splitlines()))
    file = container.read(data)
    assert container.write(file.header, file.parts) == data
    assert file.part("image") == b"coded"


@pytest.mark.parametrize("module", [_file, _rate])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed
