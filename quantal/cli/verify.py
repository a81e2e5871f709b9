"""`quantal verify`: is every bit of a .qtl file in order?"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quantal.cli._guard import describe
from quantal.cli._options import Inputs, JsonFlag, Recursive
from quantal.cli._report import Bar, print_json
from quantal.cli._sources import Source, expand

__all__ = ["verify"]


def verify(
    inputs: Inputs,
    checksums: Annotated[
        bool,
        typer.Option("--checksums", help="Structure and checksums only: quick, loads no model."),
    ] = False,
    recursive: Recursive = False,
    as_json: JsonFlag = False,
) -> int:
    """Check checksums and parse every symbol of .qtl files; exit 1 if any file is bad.

    With --json: a list of {"file", "ok", "error"}.
    """
    sources, missing = expand(inputs, {".qtl"}, recursive)
    reasons: dict[str, str | None] = {failure.name: failure.reason for failure in missing}
    with Bar("verifying", len(sources), shown=not as_json and sys.stderr.isatty()) as bar:
        for source in sources:
            try:
                _verify(source, deep=not checksums)
                reasons[source.name] = None
            except Exception as error:
                reasons[source.name] = describe(error)
            if not as_json and reasons[source.name] is None:
                bar.say(f"{source.name}: ok", err=False)
            bar.advance()
    for name, reason in reasons.items():
        if reason is not None:
            typer.echo(f"{name}: {reason}", err=True)
    if as_json:
        print_json([{"file": n, "ok": r is None, "error": r} for n, r in reasons.items()])
    return 1 if any(reasons.values()) else 0


def _verify(source: Source, deep: bool) -> None:
    from quantal import container

    container.probe(source.bytes(container.HEADER_LIMIT), source.size())
    data = source.bytes()
    container.read(data)
    if deep:
        from quantal.codecs import files

        files.verify(data)
