"""`quantal compress`: pictures to .qtl files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._batch import Outcome, Request, convert
from quantal.cli._eval_options import split
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
from quantal.errors import ArgumentError

if TYPE_CHECKING:
    from quantal.codecs.contract import Progress
    from quantal.files import Target

__all__ = ["compress"]


def compress(
    inputs: Inputs,
    out: Out = None,
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One of `quantal codecs`, or compressai/ARCHITECTURE; default context-m.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality",
            "-q",
            min=1,
            max=100,
            help="1 (smallest) to 100 (finest), default 60; CompressAI's models have their 1 to 8.",
        ),
    ] = None,
    bpp: Annotated[
        float | None, typer.Option(metavar="F", help="Aim at this many bits per pixel instead.")
    ] = None,
    psnr: Annotated[
        float | None, typer.Option(metavar="F", help="Aim at this PSNR-RGB in dB instead.")
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="The best quality that fits in N bytes instead."),
    ] = None,
    effort: Annotated[
        int,
        typer.Option(
            min=0,
            max=3,
            help="0 (quickest, the default) to 3: how long to search for symbols that code better.",
        ),
    ] = 0,
    resilient: Annotated[
        bool,
        typer.Option(
            "--resilient",
            help="A somewhat larger file that can be concealed where it is damaged (codec vq).",
        ),
    ] = False,
    strip: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="Leave out metadata: all, or some of exif,xmp,icc."),
    ] = None,
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
    """Compress pictures to .qtl files.

    A folder given as IN means the pictures in it, and OUT then is a folder that gets the same tree.
    At most one of -q, --bpp, --psnr and --max-bytes can be given.
    """
    rates = {"-q": quality, "--bpp": bpp, "--psnr": psnr, "--max-bytes": max_bytes}
    asked = [name for name, value in rates.items() if value is not None]
    if len(asked) > 1:
        raise ArgumentError(f"{' and '.join(asked)} ask for different things; give one of them")
    for name, value in (("--bpp", bpp), ("--psnr", psnr)):
        if value is not None and not 0 < value < float("inf"):
            raise ArgumentError(f"{name} {value} is not a positive number")
    from quantal import codecs, media
    from quantal.files.targets import Target, check_effort, check_resilient, check_target

    known = codecs.names()
    name = codec or codecs.DEFAULT_CODEC
    if name not in known:
        raise ArgumentError(f"there is no codec {name!r}; there are: {', '.join(known)}")
    target = Target(quality=quality, bpp=bpp, psnr=psnr, max_bytes=max_bytes)
    stripped = media.stripped_kinds(split(strip or ""))
    if strip is not None and not stripped:
        raise ArgumentError(f"--strip {strip!r} names nothing; expected all, or exif,xmp,icc")

    def prepare() -> None:
        """Report missing weights, and what they can't do, once and not for each file."""
        loaded = codecs.load(name, device.value, weights)
        check_target(target, loaded)
        check_effort(effort, loaded)
        check_resilient(resilient, effort, loaded)

    work = partial(
        compress_one,
        codec=name,
        target=target,
        effort=effort,
        resilient=resilient,
        strip=stripped,
        device=device.value,
        weights=weights,
    )
    return convert(
        "compressing",
        Request(
            inputs,
            media.PICTURE_SUFFIXES,
            recursive,
            out,
            ".qtl",
            {".qtl"},
            force,
            skip_existing,
            keep_time,
            kind="picture",
        ),
        work,
        prepare=prepare,
        jobs=jobs,
        as_json=as_json,
        progresses=True,
    )


def compress_one(
    source: Source,
    codec: str,
    target: Target,
    effort: int,
    resilient: bool,
    strip: tuple[str, ...],
    device: str,
    weights: str | None,
    progress: Progress | None = None,
) -> Outcome:
    """Compress one picture; at module level, so that worker processes can import it."""
    from quantal import codecs, media
    from quantal.codecs.contract import no_progress
    from quantal.files import encode_picture

    picture = media.strip(media.read(source.content()), strip)
    coder = codecs.load(codec, device, weights)
    progress = progress or no_progress
    encoded = encode_picture(picture, coder, target, effort, progress, resilient)
    return Outcome(
        data=encoded.data,
        codec=encoded.codec,
        width=encoded.width,
        height=encoded.height,
        bytes_in=source.size(),
        bpp=encoded.bpp,
        quality=encoded.quality,
        warnings=(*picture.warnings, *encoded.warnings),
    )
