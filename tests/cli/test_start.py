"""The command line answers at once: help and version load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quantal as package
from quantal import __version__

HEAVY = {"torch", "torchvision", "numpy", "PIL", "av", "constriction", "safetensors"}


def modules_after(code: str) -> set[str]:
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    script = f"{code}\n{report}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return set(done.stdout.decode().split())


def test_importing_quantal_loads_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import quantal")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import quantal.cli")


def test_reading_a_header_loads_nothing_heavy(qtl) -> None:
    code = f"from quantal.cli import app; app(['info', {str(qtl)!r}], standalone_mode=False)"
    assert not HEAVY & modules_after(f"import os, sys; {code}; sys.stdout.write('\\n')")


def test_checksums_are_verified_without_heavy_modules(qtl) -> None:
    code = "from quantal.cli import app; "
    code += f"app(['verify', '--checksums', {str(qtl)!r}], standalone_mode=False)"
    assert not HEAVY & modules_after(code)


@pytest.mark.parametrize("how", [["--help"], ["-h"], []])
def test_help_lists_every_command(quantal, how) -> None:
    call = quantal(*how)
    assert call.status == (0 if how else 2)
    for command in ("compress", "decompress", "info", "verify", "codecs", "latents", "train"):
        assert command in call.out


def test_version(quantal) -> None:
    call = quantal("--version")
    assert (call.status, call.out.strip()) == (0, f"quantal {__version__}")


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "quantal", "--version"], capture_output=True)
    assert done.stdout.decode().strip() == f"quantal {__version__}"


def test_public_names_are_listed_and_others_refused() -> None:
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
