"""`quantal pack` and `quantal unpack`: folders of .qtl files to shards of latents, and back."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._engine import EngineName, Nodes, engine_of
from quantal.cli._guard import describe
from quantal.cli._options import EngineJobs, Force, JsonFlag, Plugin, SkipExisting, Weights
from quantal.cli._report import Bar, print_json
from quantal.cli._sources import Failure
from quantal.cli._streams import say
from quantal.engine.pool import Death
from quantal.errors import ArgumentError, ModelError, QuantalError
from quantal.names import printable, shown

if TYPE_CHECKING:
    from quantal.codecs import Codec
    from quantal.latents import Failed, Found

__all__ = ["pack", "unpack"]


def pack(
    folder: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="A folder; all .qtl files of its tree are packed."),
    ],
    out: Annotated[
        str,
        typer.Option("--output", "-o", metavar="OUT", help="A folder for the shards."),
    ],
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Write shards that are faster to read and larger by half."),
    ] = False,
    weights: Weights = None,
    plugin: Plugin = None,
    jobs: EngineJobs = None,
    engine: Nodes = EngineName.processes,
    force: Force = False,
    as_json: JsonFlag = False,
) -> int:
    """Pack the symbols of a folder's .qtl files into shards for training.

    `quantal unpack` restores the files, byte for byte. Files that can't be read are named and left
    out. With --force, shards in OUT are replaced.
    """
    from quantal import latents

    if not os.path.isdir(folder):
        raise ArgumentError(f"{folder} is not a folder; name one that holds .qtl files")
    if os.path.exists(out) and not os.path.isdir(out):
        raise ArgumentError(f"{out} is a file; name a folder for the shards")
    _check(weights)
    began = time.perf_counter()
    files = latents.find_files(Path(folder))
    with Bar("packing", len(files), shown=not as_json and sys.stderr.isatty()) as bar:
        results = _parsed(files, weights, engine, jobs, bar)
        with closing(results):
            packed = latents.write_shards(
                results,
                Path(out),
                compact=not quick,
                skip=True,
                force=force,
                failed=partial(_report, bar, folder),
            )
    if as_json:
        print_json(
            {
                "input": folder,
                "output": out,
                "pictures": packed.pictures,
                "bytes_in": packed.bytes_in,
                "bytes_out": packed.bytes_out,
                "shards": [str(path) for path in packed.shards],
                "seconds": round(time.perf_counter() - began, 4),
            }
        )
    elif packed.pictures:
        count = len(packed.shards)
        say(
            f"{printable(folder)} -> {printable(out)}  {packed.pictures:,} pictures in {count} "
            f"shard{'s' if count > 1 else ''}  {packed.bytes_in:,} -> {packed.bytes_out:,} bytes"
        )
    return 1 if packed.failures else 0


def _check(weights: str | None) -> None:
    """Report what is wrong for every file, once."""
    if weights is not None:
        from quantal.codecs.weights import find_weights

        find_weights(weights)


def _codec_of(weights: str, names: list[str]) -> Codec:
    """Return the codec that weights are of, one of several that shards name."""
    from quantal import codecs

    for name in names[:-1]:
        with suppress(ModelError):
            return codecs.load(name, "cpu", weights)
    return codecs.load(names[-1], "cpu", weights)


def _report(bar: Bar, folder: str, failed: Failed) -> None:
    name = os.path.join(folder, failed.name)
    bar.say(Failure(name, describe(failed.error)).line, err=True)


def _parsed(
    files: list[tuple[str, Path]],
    weights: str | None,
    engine: EngineName,
    jobs: int | None,
    bar: Bar,
) -> Generator[Found | Failed, None, None]:
    """Yield parsed files in their order, whatever the number of processes."""
    work = partial(parse_one, weights=weights)
    here = engine is EngineName.processes and (jobs or 1) == 1
    if here or len(files) < 2:
        for item in files:
            yield work(item)
            bar.advance()
        return
    from quantal.latents import Failed

    early: dict[int, Found | Failed] = {}
    due = 0
    files = [(name, path.absolute()) for name, path in files]  # nodes begin in other folders
    crew = engine_of(engine, jobs or 1 if engine is EngineName.processes else jobs)
    with closing(crew), closing(crew.spread(work, files, describe)) as results:
        for place, result in results:
            if isinstance(result, Death):
                result = Failed(files[place][0], QuantalError(result.reason))
            early[place] = result
            bar.advance()
            while due in early:
                yield early.pop(due)
                due += 1


def parse_one(item: tuple[str, Path], weights: str | None) -> Found | Failed:
    """Parse one file; at module level, so that worker processes can import it."""
    from quantal import codecs, container, latents

    try:
        codec = None
        if weights is not None:
            with open(item[1], "rb") as file:
                info = container.probe(file.read(container.HEADER_LIMIT), cut=True)
            codec = codecs.load(info.header.codec, "cpu", weights)
        return latents.parse_file(item, codec)
    except QuantalError as error:
        return latents.Failed(item[0], error)
    except Exception as error:
        return latents.Failed(item[0], QuantalError(describe(error)))


def unpack(
    shards: Annotated[
        list[str], typer.Argument(metavar="SHARDS...", help="Shards, or folders of them.")
    ],
    out: Annotated[
        str,
        typer.Option("--output", "-o", metavar="OUT", help="A folder for the .qtl files."),
    ],
    weights: Weights = None,
    plugin: Plugin = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
    as_json: JsonFlag = False,
) -> int:
    """Restore the .qtl files that were packed into shards, byte for byte.

    Pictures that can't be restored are named and left out.
    """
    from quantal import latents

    if force and skip_existing:
        raise ArgumentError("--skip-existing and --force contradict each other; give one of them")
    if os.path.exists(out) and not os.path.isdir(out):
        raise ArgumentError(f"{out} is a file; name a folder for the .qtl files")
    _check(weights)
    failures: list[Failure] = []
    opened = []
    for name in shards:
        try:
            opened += [latents.Shard(path) for path in latents.find_shards(name)]
        except QuantalError as error:
            reason = describe(error).removeprefix(shown(name)).lstrip(": ")
            failures.append(Failure(name, reason))
    began = time.perf_counter()
    total = sum(map(len, opened))
    with Bar("unpacking", total, shown=not as_json and sys.stderr.isatty()) as bar:

        def report(failed: Failed) -> None:
            failures.append(Failure(failed.name, describe(failed.error)))
            bar.say(failures[-1].line, err=True)

        for failure in failures:
            bar.say(failure.line, err=True)
        done = latents.Unpacked(0)
        if opened:
            names = list(dict.fromkeys(shard.codec for shard in opened))
            codec = None if weights is None else _codec_of(weights, names)
            done = latents.unpack(
                [shard.path for shard in opened],
                out,
                on_error="skip",
                force=force,
                skip_existing=skip_existing,
                codec=codec,
                progress=lambda *_: bar.advance(),
                failed=report,
            )
    if as_json:
        print_json(
            {
                "input": shards,
                "output": out,
                "pictures": done.pictures,
                "skipped": done.skipped,
                "seconds": round(time.perf_counter() - began, 4),
            }
        )
    elif done.pictures:
        say(f"{', '.join(map(printable, shards))} -> {printable(out)}  {done.pictures:,} pictures")
    if done.skipped:
        what = "picture whose file exists" if done.skipped == 1 else "pictures whose files exist"
        say(f"skipped {done.skipped} {what}", err=True)
    return 1 if failures else 0
