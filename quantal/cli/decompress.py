"""`quantal decompress`: .qtl files to pictures."""

from __future__ import annotations

import os
from enum import Enum
from functools import partial
from typing import Annotated

import typer

from quantal.cli._batch import Outcome, Request, convert
from quantal.cli._options import (
    Device,
    DeviceOption,
    Force,
    Inputs,
    Jobs,
    JsonFlag,
    KeepTime,
    Out,
    Plugin,
    Recursive,
    SkipExisting,
    Weights,
)
from quantal.cli._sources import Source
from quantal.errors import ArgumentError, TruncatedError

__all__ = ["decompress"]


class Format(str, Enum):
    """The format of results."""

    png = "png"
    jpg = "jpg"
    webp = "webp"


SUFFIXES = {".jpeg": Format.jpg} | {f".{entry.value}": entry for entry in Format}


def decompress(
    inputs: Inputs,
    out: Out = None,
    format: Annotated[
        Format | None,
        typer.Option(help="What to write; default: by the suffix of OUT, else png."),
    ] = None,
    max_parts: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Draw the picture from the first K parts of the stream (context codecs) or its "
            "first K tokens (tokens), also of a cut file.",
        ),
    ] = None,
    conceal: Annotated[
        bool,
        typer.Option(
            "--conceal",
            help="Draw damaged files that were written with --resilient, make up what is lost, "
            "and say what that is.",
        ),
    ] = False,
    weights: Weights = None,
    plugin: Plugin = None,
    jobs: Jobs = 1,
    device: DeviceOption = Device.auto,
    recursive: Recursive = False,
    force: Force = False,
    skip_existing: SkipExisting = False,
    keep_time: KeepTime = False,
    as_json: JsonFlag = False,
) -> int:
    """Decompress .qtl files to pictures.

    PNG and WebP are written losslessly, JPEG at quality 95.
    """
    if conceal and max_parts is not None:
        raise ArgumentError("--conceal and --max-parts ask for different things; give one of them")
    kind = _format(out, format, to_folder=len(inputs) > 1 or os.path.isdir(inputs[0]))
    return convert(
        "decompressing",
        Request(
            inputs,
            {".qtl"},
            recursive,
            out,
            f".{kind.value}",
            SUFFIXES,
            force,
            skip_existing,
            keep_time,
        ),
        partial(
            decompress_one,
            format=kind.value,
            device=device.value,
            weights=weights,
            max_parts=max_parts,
            conceal=conceal,
        ),
        prepare=partial(_check, device.value, weights),
        jobs=jobs,
        as_json=as_json,
    )


def _check(device: str, weights: str | None) -> None:
    """Report what is wrong for every input, once."""
    from quantal.codecs.registry import device_name
    from quantal.codecs.weights import find_weights

    device_name(device)
    if weights is not None:
        find_weights(weights)


def _format(out: str | None, asked: Format | None, to_folder: bool) -> Format:
    suffix = os.path.splitext(out or "")[1].lower()
    if not suffix or out is None or to_folder or os.path.isdir(out):
        return asked or Format.png
    named = SUFFIXES.get(suffix)
    if asked is None and named is None:
        raise ArgumentError(f"{suffix} can't be written; png, jpg and webp can, or give --format")
    if asked is not None and named is not None and asked is not named:
        raise ArgumentError(f"--format {asked.value} and the name {out} contradict each other")
    return asked or named or Format.png


def decompress_one(
    source: Source,
    format: str,
    device: str,
    weights: str | None,
    max_parts: int | None,
    conceal: bool,
) -> Outcome:
    """Decompress one file; at module level, so that worker processes can import it."""
    from quantal import codecs, container, media
    from quantal.files import decode_picture

    # The header first: other files are refused before they are read as a whole.
    size = source.size()
    start = source.bytes(container.HEADER_LIMIT)
    # decode_picture() decides what can be done about a cut file.
    info = container.probe(start, size, cut=True)
    codec = None if weights is None else codecs.load(info.header.codec, device, weights)
    try:
        picture = decode_picture(source.bytes(), device, codec, max_parts, conceal)
    except TruncatedError as error:
        if error.code or max_parts is not None or not _has_parts(info.header.codec):
            raise
        raise TruncatedError(f"{error}, or draw its first parts", code="parts") from error
    return Outcome(
        data=media.write(picture, format),
        codec=info.header.codec,
        width=info.header.width,
        height=info.header.height,
        bytes_in=size,
        bpp=info.bpp,
        quality=info.quality,
        warnings=picture.warnings,
    )


def _has_parts(codec: str) -> bool:
    """Whether the first parts of a codec's files can be drawn."""
    from quantal.codecs.contract import Progressive
    from quantal.codecs.registry import codec_class

    return issubclass(codec_class(codec), Progressive)
