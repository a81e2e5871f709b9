"""`quantal info`: prints the headers of .qtl files; loads no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from quantal.cli._options import Inputs, JsonFlag, Recursive
from quantal.cli._report import print_json
from quantal.cli._sources import Source, expand

if TYPE_CHECKING:
    from quantal.container import Info

__all__ = ["info"]


def info(inputs: Inputs, recursive: Recursive = False, as_json: JsonFlag = False) -> int:
    """Show header, sizes of every part and bits per pixel of .qtl files.

    With --json one FILE gives an object (null if it can't be read), several or a folder a list.
    """
    sources, failures = expand(inputs, {".qtl"}, recursive)
    found: list[tuple[Source, Info]] = []
    for source in sources:
        try:
            found.append((source, _probe(source)))
        except Exception as error:
            failures.append(source.failure(error))
    if as_json:
        entries = [_document(source, entry) for source, entry in found]
        single = len(inputs) == 1 and [source.name for source in sources] == list(inputs)
        print_json((entries[0] if entries else None) if single else entries)
    else:
        for source, entry in found:
            _print(source, entry)
    for failure in failures:
        typer.echo(f"{failure.name}: {failure.reason}", err=True)
    return 1 if failures else 0


def _probe(source: Source) -> Info:
    from quantal import container

    return container.probe(source.bytes(container.HEADER_LIMIT), source.size())


def _document(source: Source, info: Info) -> dict[str, object]:
    header = info.header
    return {
        "format_version": header.version,
        "codec": header.codec,
        "model_hash": header.model_hash.hex(),
        "media": header.media,
        "width": header.width,
        "height": header.height,
        "frames": 1,
        "bytes": info.bytes,
        "bpp": info.bpp,
        "quality": info.quality,
        "parts": [
            {"name": part.name, "offset": part.offset, "bytes": part.bytes} for part in info.parts
        ],
        "file": source.name,
        "grey": header.grey,
        "header_bytes": info.header_bytes,
    }


def _print(source: Source, info: Info) -> None:
    from quantal import container

    header = info.header
    typer.echo(f"{source.name}: {header.width} x {header.height} pixels, quality {info.quality}")
    typer.echo(f"  {info.bytes:,} bytes, {info.bpp:.4f} bits per pixel")
    for field in container.describe(header):
        value = field.value.hex() if isinstance(field.value, bytes) else field.value
        typer.echo(f"  {field.name:<12} {str(value).lower()}")
    typer.echo(f"  {'header':<12} {info.header_bytes} bytes")
    for part in info.parts:
        typer.echo(f"  {part.name:<12} {part.bytes:,} bytes at {part.offset:,}")
