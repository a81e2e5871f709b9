"""`quantal compress`: pictures and clips to .qtl files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._batch import Outcome, Request, convert
from quantal.cli._clips import (
    CLIP_SUFFIXES,
    ClipCompression,
    check_options,
    is_video_file,
    parse_rate,
    parse_time,
)
from quantal.cli._eval_options import split
from quantal.cli._options import (
    Begin,
    Device,
    DeviceOption,
    End,
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


class Mode(str, Enum):
    """How frames of a clip are predicted."""

    motion = "motion"
    still = "still"


def compress(
    inputs: Inputs,
    out: Out = None,
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One of `quantal codecs`, or compressai/ARCHITECTURE; default context-m, and "
            "video-m for clips.",
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
    kbps: Annotated[
        float | None,
        typer.Option(metavar="F", help="Aim at this many kilobits per second of a clip instead."),
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
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="How frames of a clip are predicted: by motion (the default), or still, without "
            "it: larger, but cheap to decode.",
        ),
    ] = None,
    intra_period: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            metavar="N",
            help="At most so many frames of a clip from one at which decoding can begin to the "
            "next; default 48.",
        ),
    ] = None,
    begin: Begin = None,
    end: End = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Frames per second of numbered pictures such as frames/%04d.png, which are one "
            "clip; default 25.",
        ),
    ] = None,
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
    """Compress pictures and clips to .qtl files.

    A folder given as IN means the pictures and clips in it, and OUT then is a folder that gets the
    same tree. A name such as frames/%04d.png means numbered pictures, which are one clip. At most
    one of -q, --bpp, --psnr, --kbps and --max-bytes can be given.
    """
    rates = {
        "-q": quality,
        "--bpp": bpp,
        "--psnr": psnr,
        "--kbps": kbps,
        "--max-bytes": max_bytes,
    }
    asked = [name for name, value in rates.items() if value is not None]
    if len(asked) > 1:
        raise ArgumentError(f"{' and '.join(asked)} ask for different things; give one of them")
    for name, value in (("--bpp", bpp), ("--psnr", psnr), ("--kbps", kbps)):
        if value is not None and not 0 < value < float("inf"):
            raise ArgumentError(f"{name} {value} is not a positive number")
    from quantal import codecs, media
    from quantal.files.targets import Target, check_effort, check_resilient, check_target

    known = {info.name: info.media for info in codecs.available()}
    if codec is not None and codec not in (*known, *codecs.names()):
        raise ArgumentError(f"there is no codec {codec!r}; there are: {', '.join(codecs.names())}")
    codes_clips = codec is not None and known.get(codec.partition("@")[0]) == "video"
    if codec is None:
        kind, suffixes = "picture or clip", {*media.PICTURE_SUFFIXES, *CLIP_SUFFIXES}
    elif codes_clips:
        kind, suffixes = "clip", set(CLIP_SUFFIXES)
    else:
        kind, suffixes = "picture", set(media.PICTURE_SUFFIXES)
    target = Target(quality=quality, bpp=bpp, psnr=psnr, max_bytes=max_bytes)
    stripped = media.stripped_kinds(split(strip or ""))
    if strip is not None and not stripped:
        raise ArgumentError(f"--strip {strip!r} names nothing; expected all, or exif,xmp,icc")
    of_pictures = {
        "--max-bytes": max_bytes is not None,
        "--effort": effort > 0,
        "--resilient": resilient,
        "--strip": strip is not None,
    }
    of_clips = {
        "--kbps": kbps is not None,
        "--mode": mode is not None,
        "--intra-period": intra_period is not None,
        "--from": begin is not None,
        "--to": end is not None,
    }
    of_numbered = {"--rate": rate is not None}

    def is_clip(source: Source) -> bool:
        return codes_clips or is_video_file(source)

    def prepare(sources: Sequence[Source]) -> None:
        """Report missing weights, and what they can't do, once and not for each file."""
        films = [is_clip(source) for source in sources]
        numbered = [source.pattern is not None for source in sources]
        check_options(of_pictures, any(films), "a clip")
        check_options(of_clips, not all(films), "a picture")
        check_options(of_numbered, not all(numbered), "anything but numbered pictures")
        if any(films):
            clip_work.prepare()
        if all(films):
            return
        loaded = named_codec(codec or codecs.DEFAULT_CODEC, device.value, weights)
        check_target(target, loaded)
        check_effort(effort, loaded)
        check_resilient(resilient, effort, loaded)

    from quantal.files.matching import named_codec

    clip_work = ClipCompression(
        codec=codec,
        still=mode is Mode.still,
        aims={"quality": quality, "bpp": bpp, "psnr": psnr, "kbps": kbps},
        intra_period=intra_period,
        begin=parse_time(begin, "--from"),
        end=parse_time(end, "--to"),
        rate=parse_rate(rate),
        device=device.value,
        weights=weights,
    )
    work = partial(
        compress_one,
        codec=codec or codecs.DEFAULT_CODEC,
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
            suffixes,
            recursive,
            out,
            lambda _: ".qtl",
            {".qtl"},
            force,
            skip_existing,
            keep_time,
            kind=kind,
        ),
        work,
        clip_work=clip_work,
        is_clip=is_clip,
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
