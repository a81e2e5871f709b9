"""docs/reference/cli-options.md lists every command and option as the commands declare them."""

from __future__ import annotations

from pathlib import Path

import typer

from quantal.cli import app
from quantal.cli.spec import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli-options.md"


def test_the_page_of_options_is_up_to_date() -> None:
    """Else run `python -m quantal.cli.spec docs/reference/cli-options.md`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_command_has_a_section() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    names = {name for name in commands if name != "eval"}
    names |= {f"eval {name}" for name in commands["eval"].commands}
    headings = {line[11:] for line in page().splitlines() if line.startswith("## quantal ")}
    assert headings == names
