"""The page docs/reference/cli-options.md, generated from the commands.

    python -m quantal.cli.spec docs/reference/cli-options.md

writes the page; a test checks that it is up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from quantal.cli._app import app
from quantal.markdown import escape, table

__all__ = ["page"]

_HEAD = """\
# Options of every command

This page is generated from the commands by `python -m quantal.cli.spec`. `quantal COMMAND --help`
prints the same text. [Command line](cli.md) describes inputs, outputs, JSON and exit statuses.
"""


def page() -> str:
    """Return the page: a section for each command, with its arguments and options."""
    root: Any = typer.main.get_command(app)
    return "\n".join([_HEAD, *_sections("quantal", root)])


def _sections(path: str, group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        whole = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _sections(whole, command)
        else:
            yield _section(whole, command)


def _section(path: str, command: Any) -> str:
    arguments = [_argument(each) for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-")]
    needed = [f"{each.opts[0]} {_value(each)}" for each in options if each.required]
    rows = [
        (_cell(each.metavar or each.name), "", escape(each.help or ""))
        for each in command.params
        if not each.opts[0].startswith("-")
    ]
    rows += [
        (", ".join(_cell(name) for name in _names(each)), _cell(_value(each)), _meaning(each))
        for each in options
    ]
    return "\n".join(
        [
            f"## {path}",
            "",
            "```",
            " ".join([path, *arguments, *needed, "[OPTIONS]"]),
            "```",
            "",
            (command.help or "").strip(),
            "",
            table(("argument or option", "value", "meaning"), rows, numbers=False),
            "",
        ]
    )


def _argument(argument: Any) -> str:
    name: str = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _names(option: Any) -> list[str]:
    """Return the names of an option, the short one first, and those that switch it off."""
    return sorted(option.opts, key=len) + list(option.secondary_opts)


def _value(option: Any) -> str:
    """Return what follows the option's name; empty for a flag."""
    if option.is_flag:
        return ""
    choices = getattr(option.type, "choices", None)
    if choices is not None:
        return "|".join(str(_plain(choice)) for choice in choices)
    low, high = (getattr(option.type, end, None) for end in ("min", "max"))
    name = str(option.metavar or "N" if low is not None else option.metavar or option.type.name)
    if low is not None and high is not None:
        return f"{low:g}..{high:g}"
    return f"{name} >= {low:g}" if low is not None else name.upper()


def _meaning(option: Any) -> str:
    text = " ".join((option.help or "").split())
    default = _plain(option.default)
    told = isinstance(default, (str, int, float)) and not isinstance(default, bool)
    if told and default != "" and "default" not in text and not option.required:
        text = f"{text} Default: `{default}`."
    return escape(text)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _cell(text: str) -> str:
    return f"`{escape(text)}`" if text else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
