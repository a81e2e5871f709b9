"""`quantal decompress`: .qtl files to pictures and clips, .qcube files to data cubes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Annotated

import typer

from quantal.cli._batch import Outcome, Request, convert
from quantal.cli._clips import (
    ClipDecompression,
    check_options,
    holds_clip,
    parse_options,
    parse_time,
)
from quantal.cli._cubes import CubeDecompression, holds_cube
from quantal.cli._engine import EngineOption, Tar, check_tar, run_engine
from quantal.cli._options import (
    Begin,
    Device,
    DeviceOption,
    End,
    EngineJobs,
    Force,
    Inputs,
    JsonFlag,
    KeepTime,
    Out,
    Plugin,
    PrecisionOption,
    Recursive,
    SkipExisting,
    Weights,
)
from quantal.cli._sources import Source, is_folder
from quantal.errors import ArgumentError, TruncatedError

__all__ = ["decompress"]


class Format(str, Enum):
    """The format of results."""

    png = "png"
    jpg = "jpg"
    webp = "webp"
    mp4 = "mp4"
    mkv = "mkv"
    y4m = "y4m"
    nc = "nc"
    zarr = "zarr"


SUFFIXES = {".jpeg": Format.jpg, ".nc4": Format.nc} | {f".{entry.value}": entry for entry in Format}


def decompress(
    inputs: Inputs,
    out: Out = None,
    format: Annotated[
        Format | None,
        typer.Option(
            help="Output format; default: by the suffix of OUT, else png for pictures, mp4 for "
            "clips and nc for data cubes. With png, a clip becomes a folder of pictures.",
        ),
    ] = None,
    begin: Begin = None,
    end: End = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="An option for the encoder of clips, such as crf=18 or preset=slow; can be "
            "repeated.",
        ),
    ] = None,
    max_parts: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Decode only the first K parts of the stream (context codecs) or its first K "
            "tokens (tokens); works on cut files too.",
        ),
    ] = None,
    conceal: Annotated[
        bool,
        typer.Option(
            "--conceal",
            help="Decode damaged files that were written with --resilient: lost content is "
            "concealed, and a warning names it.",
        ),
    ] = False,
    weights: Weights = None,
    plugin: Plugin = None,
    jobs: EngineJobs = None,
    engine: EngineOption = None,
    tar: Tar = False,
    device: DeviceOption = Device.auto,
    precision: PrecisionOption = None,
    recursive: Recursive = False,
    force: Force = False,
    skip_existing: SkipExisting = False,
    keep_time: KeepTime = False,
    as_json: JsonFlag = False,
) -> int:
    """Decompress .qtl files to pictures and clips, and .qcube files to data cubes.

    PNG and WebP are written losslessly, JPEG at quality 95. Clips become MP4 (H.264, crf 12), MKV
    (FFV1, lossless), Y4M, or a folder of PNG if OUT has no suffix; sound is copied. Data cubes
    become NetCDF or a folder of Zarr.
    """
    if conceal and max_parts is not None:
        raise ArgumentError("--conceal and --max-parts can't be combined; give one of them")
    kind = _format(out, format, to_folder=len(inputs) > 1 or is_folder(inputs[0]))
    of_clips = {"--from": begin is not None, "--to": end is not None, "--option": bool(options)}
    of_pictures = {"--max-parts": max_parts is not None, "--conceal": conceal}
    # A name without a suffix, which is not that of a folder that exists, is one for pictures.
    named = out is not None and not out.endswith(("-", "/")) and not os.path.isdir(out)
    pictures_of_clips = named and len(inputs) == 1 and not os.path.splitext(out or "")[1]

    def prepare(sources: Sequence[Source]) -> None:
        cubes = [holds_cube(source) for source in sources]
        check_options({**of_clips, **of_pictures}, any(cubes), "a data cube")
        films = [holds_clip(source) for source in sources]
        check_options(of_clips, not all(films), "a picture")
        check_options(of_pictures, any(films), "a clip")
        _check(device.value, weights)

    clip_format = kind or (Format.png if pictures_of_clips else Format.mp4)

    cube_format = kind or Format.nc

    def suffix_of(source: Source) -> str:
        if holds_cube(source):
            return f".{cube_format.value}"
        if not holds_clip(source):
            return f".{(kind or Format.png).value}"
        return "" if clip_format is Format.png else f".{clip_format.value}"

    clip_work = ClipDecompression(
        clip_format.value,
        parse_time(begin, "--from"),
        parse_time(end, "--to"),
        parse_options(options),
        device.value,
        weights,
    )
    cube_work = CubeDecompression(cube_format.value, device.value, weights)
    work = partial(
        decompress_one,
        format=(kind or Format.png).value,
        device=device.value,
        weights=weights,
        max_parts=max_parts,
        conceal=conceal,
    )
    check_tar(tar, engine)
    if engine is not None:
        from quantal.engine.rows import Order

        check_options(of_clips, True, "a picture")
        _check(device.value, weights)
        return run_engine(
            "decompress",
            inputs,
            out,
            work,
            Order({".qtl"}, f".{(kind or Format.png).value}", recursive, force, skip_existing),
            {
                "format": (kind or Format.png).value,
                "max_parts": max_parts,
                "conceal": conceal,
                "precision": None if precision is None else precision.value,
            },
            engine=engine,
            jobs=jobs,
            as_json=as_json,
            tar=tar,
            keep_time=keep_time,
        )
    return convert(
        "decompressing",
        Request(
            inputs,
            {".qtl", ".qcube"},
            recursive,
            out,
            suffix_of,
            SUFFIXES,
            force,
            skip_existing,
            keep_time,
        ),
        work,
        clip_work=lambda step, force, report: (cube_work if holds_cube(step.source) else clip_work)(
            step, force, report
        ),
        is_clip=lambda source: holds_cube(source) or holds_clip(source),
        prepare=prepare,
        jobs=jobs or 1,
        as_json=as_json,
    )


def _check(device: str, weights: str | None) -> None:
    """Report what is wrong for every input, once."""
    from quantal.codecs.registry import device_name
    from quantal.codecs.weights import find_weights

    if device == "cuda":
        device_name(device)
    if weights is not None:
        find_weights(weights)


def _format(out: str | None, asked: Format | None, to_folder: bool) -> Format | None:
    """Return the format that the call asks for; None if it depends on the input."""
    suffix = os.path.splitext(out or "")[1].lower()
    if not suffix or out is None or to_folder or is_folder(out):
        return asked
    named = SUFFIXES.get(suffix)
    if asked is None and named is None:
        known = ", ".join(entry.value for entry in Format)
        raise ArgumentError(f"{suffix} can't be written; {known} can, or give --format")
    if asked is not None and named is not None and asked is not named:
        raise ArgumentError(f"--format {asked.value} and the name {out} contradict each other")
    return asked or named


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

    if format not in ("png", "jpg", "webp"):
        raise ArgumentError(f"a picture can't be written as {format}; png, jpg and webp can")

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
