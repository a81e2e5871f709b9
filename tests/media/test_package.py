"""The package: its exports, its imports, and the examples in docstrings."""

from __future__ import annotations

import doctest
import subprocess
import sys
from types import ModuleType

import pytest

from quantal import media
from quantal.media import _alpha, _arrays, _image


def test_everything_exported_is_there() -> None:
    assert all(hasattr(media, name) for name in media.__all__)


def test_torch_is_not_imported() -> None:
    code = "import sys, quantal.media; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("module", [_alpha, _image, _arrays])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed
