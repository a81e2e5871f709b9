"""`quantal verify`: checks every bit of .qtl and .qcube files."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from quantal.cli._batch import Outcome
from quantal.cli._cubes import holds_cube
from quantal.cli._engine import EngineOption, run_engine
from quantal.cli._features import holds_features, verify_features
from quantal.cli._inputs import expand
from quantal.cli._options import Inputs, JsonFlag, Plugin, Recursive, Weights
from quantal.cli._report import Bar, print_json
from quantal.cli._sources import Failure, Source
from quantal.cli._streams import lost_output, say
from quantal.errors import ArgumentError
from quantal.names import printable

__all__ = ["verify"]


def verify(
    inputs: Inputs,
    checksums: Annotated[
        bool,
        typer.Option(
            "--checksums", help="Check structure and checksums only; fast, loads no model."
        ),
    ] = False,
    weights: Weights = None,
    plugin: Plugin = None,
    recursive: Recursive = False,
    engine: EngineOption = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="With --engine: a folder or a URL for the manifest of results.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="With --engine: number of processes or actors."),
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Check checksums and parse every symbol of .qtl and .qcube files; exit 1 if one is bad.

    A file that needs weights of your own, or features that need a basis, are parsed if --weights
    names them; otherwise only structure and checksums are checked. With --json: a list of {"file",
    "ok", "error", "note"}.
    """
    if engine is not None:
        from quantal.engine.rows import Order

        return run_engine(
            "verify",
            inputs,
            out,
            partial(verify_one, deep=not checksums, weights=weights),
            Order({".qtl", ".qcube"}, "", recursive),
            {"checksums": checksums},
            engine=engine,
            jobs=jobs,
            as_json=as_json,
        )
    if out is not None or jobs is not None:
        raise ArgumentError("-o and --jobs of verify need --engine; leave them out, or name one")
    found = expand(inputs, {".qtl", ".qcube"}, recursive)
    notes: dict[str, str | None] = {}
    reasons: dict[str, str | None] = {failure.name: failure.reason for failure in found.failures}
    with Bar("verifying", len(found.sources), shown=not as_json and sys.stderr.isatty()) as bar:
        for source in found.sources:
            if lost_output() is not None:  # nobody would see the rest
                break
            try:
                notes[source.name] = _verify(source, not checksums, weights)
                reasons[source.name] = None
            except Exception as error:
                reasons[source.name] = source.failure(error).reason
            if not as_json and reasons[source.name] is None:
                bar.say(f"{printable(source.name)}: {_verdict(notes[source.name])}", err=False)
            bar.advance()
    for name, reason in reasons.items():
        if reason is not None:
            say(Failure(name, reason).line, err=True)
    if as_json:
        print_json(
            [
                {"file": n, "ok": r is None, "error": r, "note": notes.get(n)}
                for n, r in reasons.items()
            ]
        )
    return 1 if any(reasons.values()) else 0


def _verdict(note: str | None) -> str:
    return "ok" if note is None else f"checksums ok, symbols not parsed: {note}"


def verify_one(source: Source, deep: bool, weights: str | None) -> Outcome:
    """Verify one file; at module level, so that worker processes can import it."""
    note = _verify(source, deep, weights)
    lines = () if note is None else (_verdict(note),)
    return Outcome(b"", "", 0, 0, source.size(), 0.0, None, lines=lines)


def _verify(source: Source, deep: bool, weights: str | None) -> str | None:
    """Return why an otherwise sound file was not parsed; None if it was."""
    from quantal import container

    if holds_cube(source):
        from quantal import cubes

        cubes.verify(source.content(), deep=deep, weights=weights)
        return None
    if holds_features(source):
        return verify_features(source, deep, weights)
    start = source.bytes(container.HEADER_LIMIT)
    if container.media_of(start) == "video":
        _verify_clip(source, deep, weights)
        return None
    # The header first: other files are refused before they are read as a whole.
    info = container.probe(start, source.size())
    file = container.read(source.bytes())
    if not deep:
        return None
    from quantal.codecs import load
    from quantal.files import verify

    codec = None if weights is None else load(info.header.codec, "cpu", weights)
    return verify(file, codec=codec)


def _verify_clip(source: Source, deep: bool, weights: str | None) -> None:
    from quantal.files import open_clip, verify_clip
    from quantal.files.matching import video_codec

    content, codec = source.content(), None
    if deep and weights is not None:
        with open_clip(content) as clip:
            codec = video_codec(clip.header.codec, "cpu", weights)
    verify_clip(content, deep=deep, codec=codec)
