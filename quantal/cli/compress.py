"""`quantal compress`: pictures and clips to .qtl files, data cubes to .qcube files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from importlib.util import find_spec
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
from quantal.cli._cubes import CUBE_CODECS, CUBE_SUFFIXES, CubeCompression, is_cube, parse_bounds
from quantal.cli._engine import EngineOption, Tar, check_tar, run_engine
from quantal.cli._eval_options import split
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
from quantal.cli._sources import Source
from quantal.errors import ArgumentError

if TYPE_CHECKING:
    from quantal.codecs.contract import Codec, Progress
    from quantal.files import Target

__all__ = ["compress"]

#: The codec of --lossless.
LOSSLESS = "lossless"


class Content(str, Enum):
    """What a picture shows."""

    auto = "auto"
    photo = "photo"
    screen = "screen"


class Tune(str, Enum):
    """What a codec's weights were trained for."""

    psnr = "psnr"
    eyes = "eyes"


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
            help="A codec that `quantal codecs` lists, or compressai/ARCHITECTURE; default: "
            "context-m for pictures, video-m for clips. For data cubes: ffv1 (default), x265 or a "
            "codec of clips.",
        ),
    ] = None,
    lossless: Annotated[
        bool,
        typer.Option("--lossless", help="Keep every sample of a picture: codec lossless."),
    ] = False,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality",
            "-q",
            min=1,
            max=100,
            help="1 (smallest file) to 100 (finest picture), default 60; models of CompressAI have "
            "qualities 1 to 8.",
        ),
    ] = None,
    bpp: Annotated[
        float | None, typer.Option(metavar="F", help="Target bits per pixel, instead of -q.")
    ] = None,
    psnr: Annotated[
        float | None, typer.Option(metavar="F", help="Target PSNR-RGB in dB, instead of -q.")
    ] = None,
    kbps: Annotated[
        float | None,
        typer.Option(metavar="F", help="Target kilobits per second of a clip, instead of -q."),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Use the best quality whose file has at most N bytes."
        ),
    ] = None,
    effort: Annotated[
        int,
        typer.Option(
            min=0,
            max=3,
            help="How long to search for symbols that code the picture better: 0 (fastest, "
            "default) to 3.",
        ),
    ] = 0,
    resilient: Annotated[
        bool,
        typer.Option(
            "--resilient",
            help="Write a somewhat larger file whose damage can be concealed (codec vq).",
        ),
    ] = False,
    tune: Annotated[
        Tune | None,
        typer.Option(
            help="What the codec's weights were trained for: psnr, least squared error (the "
            "default), or eyes, what people see: smaller files that look as good (context-m)."
        ),
    ] = None,
    content: Annotated[
        Content,
        typer.Option(
            help="Kind of picture. A context codec codes text and flat areas in exact colours "
            "where that is smaller: auto if the picture has enough of them, screen wherever there "
            "are any, photo never."
        ),
    ] = Content.auto,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="How frames of a clip are predicted: motion (default), or still, which uses no "
            "motion: larger files that decode faster.",
        ),
    ] = None,
    intra_period: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            metavar="N",
            help="Maximum number of frames of a clip from one intra frame to the next; default 48.",
        ),
    ] = None,
    begin: Begin = None,
    end: End = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Frames per second of numbered pictures such as frames/%04d.png, which form one "
            "clip; default 25.",
        ),
    ] = None,
    max_error: Annotated[
        str | None,
        typer.Option(
            metavar="E",
            help="Maximum error of a data cube, in the units of its variables: 0.01, or by name "
            "t2m=0.05,precip=0.1, or both.",
        ),
    ] = None,
    dims: Annotated[
        str | None,
        typer.Option(
            metavar="T,Y,X",
            help="Names of the time, y and x dimensions of a data cube, such as time,lat,lon.",
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(metavar="N", help="Bit depth of x265 for data cubes: 8, 10 or 12 (default)."),
    ] = None,
    strip: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="Metadata to leave out: all, or some of exif,xmp,icc."),
    ] = None,
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
    """Compress pictures and clips to .qtl files, data cubes (NetCDF, Zarr) to .qcube files.

    If IN is a folder, the pictures, clips and cubes in it are compressed, and OUT is a folder that
    gets the same tree. A name such as frames/%04d.png stands for numbered pictures that form one
    clip. At most one of -q, --bpp, --psnr, --kbps and --max-bytes can be given.
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
        raise ArgumentError(f"{' and '.join(asked)} can't be combined; give one of them")
    for name, value in (("--bpp", bpp), ("--psnr", psnr), ("--kbps", kbps)):
        if value is not None and not 0 < value < float("inf"):
            raise ArgumentError(f"{name} {value} is not a positive number")
    from quantal import codecs, media
    from quantal.files.targets import (
        Target,
        check_content,
        check_effort,
        check_resilient,
        check_target,
    )

    if lossless:
        if codec not in (None, LOSSLESS):
            raise ArgumentError(
                f"--lossless is codec {LOSSLESS}, and --codec says {codec!r}; leave one out"
            )
        codec = LOSSLESS
    if tune is not None and weights is not None:
        raise ArgumentError("--tune and --weights both choose weights; give one of them")
    known = {info.name: info.media for info in codecs.available()}
    if codec is not None and codec not in (*known, *codecs.names(), *CUBE_CODECS):
        every = ", ".join((*codecs.names(), *CUBE_CODECS))
        raise ArgumentError(f"there is no codec {codec!r}; there are: {every}")
    picture_codec = codec or codecs.DEFAULT_CODEC
    if tune is not None:
        picture_codec = codecs.tuned(picture_codec, tune.value)
    codes_clips = codec is not None and known.get(codec.partition("@")[0]) == "video"
    if codec is None:
        kind = "picture, clip or cube"
        suffixes = {*media.PICTURE_SUFFIXES, *CLIP_SUFFIXES}
        if find_spec("xarray") is not None:  # else folders with a cube among pictures would fail
            suffixes |= CUBE_SUFFIXES
    elif codes_clips:
        kind, suffixes = "clip or cube", {*CLIP_SUFFIXES, *CUBE_SUFFIXES}
    elif codec in CUBE_CODECS:
        kind, suffixes = "cube", set(CUBE_SUFFIXES)
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
        "--content": content is not Content.auto,
        "--tune": tune is not None,
    }
    of_clips = {
        "--kbps": kbps is not None,
        "--mode": mode is not None,
        "--intra-period": intra_period is not None,
        "--from": begin is not None,
        "--to": end is not None,
    }
    of_numbered = {"--rate": rate is not None}

    of_cubes = {
        "--max-error": max_error is not None,
        "--dims": dims is not None,
        "--bits": bits is not None,
    }
    of_frames = {"--bpp": bpp is not None, "--psnr": psnr is not None}

    def is_data_cube(source: Source) -> bool:
        return codec in CUBE_CODECS or is_cube(source)

    def is_clip(source: Source) -> bool:
        return not is_data_cube(source) and (codes_clips or is_video_file(source))

    def prepare(sources: Sequence[Source]) -> None:
        """Report missing weights, and what they can't do, once and not for each file."""
        if any(map(is_data_cube, sources)):
            others = {**of_pictures, **of_clips, **of_numbered, **of_frames}
            check_options(others, True, "a data cube")
            cube_work.prepare()
        sources = [source for source in sources if not is_data_cube(source)]
        if not sources:
            return
        check_options(of_cubes, True, "a picture or a clip")
        films = [is_clip(source) for source in sources]
        numbered = [source.pattern is not None for source in sources]
        check_options(of_pictures, any(films), "a clip")
        check_options(of_clips, not all(films), "a picture")
        check_options(of_numbered, not all(numbered), "anything but numbered pictures")
        if any(films):
            clip_work.prepare()
        if not all(films):
            prepare_pictures()

    def prepare_pictures() -> Codec:
        loaded = named_codec(picture_codec, device.value, weights)
        check_target(target, loaded)
        check_effort(effort, loaded)
        check_resilient(resilient, effort, loaded)
        check_content(content.value, loaded)
        return loaded

    from quantal.engine.rows import Order
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
    cube_work = CubeCompression(
        codec=codec,
        bounds=parse_bounds(max_error),
        quality=quality,
        bits=bits,
        dims=dims,
        device=device.value,
        weights=weights,
    )
    work = partial(
        compress_one,
        codec=picture_codec,
        target=target,
        effort=effort,
        resilient=resilient,
        strip=stripped,
        content=content.value,
        device=device.value,
        weights=weights,
    )
    check_tar(tar, engine)
    if engine is not None:
        if kind not in ("picture", "picture, clip or cube"):
            raise ArgumentError(f"--engine takes pictures, and codec {codec} takes none")
        check_options({**of_clips, **of_cubes, **of_numbered}, True, "a picture")
        loaded = prepare_pictures()
        return run_engine(
            "compress",
            inputs,
            out,
            work,
            Order(media.PICTURE_SUFFIXES, ".qtl", recursive, force, skip_existing),
            {
                "codec": loaded.name,
                "model_hash": loaded.model_hash.hex(),
                "quality": quality,
                "bpp": bpp,
                "psnr": psnr,
                "max_bytes": max_bytes,
                "effort": effort,
                "resilient": resilient,
                "strip": sorted(stripped),
                "content": content.value,
                "precision": None if precision is None else precision.value,
            },
            engine=engine,
            jobs=jobs,
            as_json=as_json,
            tar=tar,
            keep_time=keep_time,
        )
    return convert(
        "compressing",
        Request(
            inputs,
            suffixes,
            recursive,
            out,
            lambda source: ".qcube" if is_data_cube(source) else ".qtl",
            {".qtl", ".qcube"},
            force,
            skip_existing,
            keep_time,
            kind=kind,
        ),
        work,
        clip_work=lambda step, force, report: (
            cube_work if is_data_cube(step.source) else clip_work
        )(step, force, report),
        is_clip=lambda source: is_data_cube(source) or is_clip(source),
        prepare=prepare,
        jobs=jobs or 1,
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
    content: str,
    device: str,
    weights: str | None,
    progress: Progress | None = None,
) -> Outcome:
    """Compress one picture; at module level, so that worker processes can import it."""
    from quantal import codecs, media
    from quantal.codecs.contract import no_progress
    from quantal.files.encode import encode_picture, suited

    picture = media.strip(media.read(source.content()), strip)
    coder = codecs.load(codec, device, weights)
    picture = suited(picture, coder)
    progress = progress or no_progress
    encoded = encode_picture(picture, coder, target, effort, progress, resilient, content)
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
