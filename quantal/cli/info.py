"""`quantal info`: prints the headers of .qtl files; loads no model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from quantal.cli._inputs import expand
from quantal.cli._options import Inputs, JsonFlag, Recursive
from quantal.cli._report import print_json
from quantal.cli._sources import Source
from quantal.cli._streams import lost_output, say
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.container import Info

__all__ = ["info"]


def info(inputs: Inputs, recursive: Recursive = False, as_json: JsonFlag = False) -> int:
    """Show header, sizes of every part and bits per pixel of .qtl files.

    With --json one FILE gives an object (null if it can't be read), several or a folder a list.
    """
    given = expand(inputs, {".qtl"}, recursive)
    failures = list(given.failures)
    found: list[tuple[Source, Info]] = []
    for source in given.sources:
        if lost_output() is not None:  # nobody would see the rest
            break
        try:
            info = _probe(source)
        except Exception as error:
            failures.append(source.failure(error))
            continue
        if as_json:
            found.append((source, info))
        else:
            _print(source, info)
    if as_json:
        entries = [_document(source, entry) for source, entry in found]
        single = len(inputs) == 1 and not os.path.isdir(inputs[0])
        print_json((entries[0] if entries else None) if single else entries)
    for failure in failures:
        say(failure.line, err=True)
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
    say(
        f"{printable(source.name)}: {header.width} x {header.height} pixels, quality {info.quality}"
    )
    say(f"  {info.bytes:,} bytes, {info.bpp:.4f} bits per pixel")
    for field in container.describe(header):
        value = field.value.hex() if isinstance(field.value, bytes) else field.value
        say(f"  {field.name:<12} {str(value).lower()}")
    say(f"  {'header':<12} {info.header_bytes} bytes")
    for part in info.parts:
        say(f"  {part.name:<12} {part.bytes:,} bytes at {part.offset:,}")
