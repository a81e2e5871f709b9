"""`quantal compress`: pictures to .qtl files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from quantal.cli._batch import Outcome, run
from quantal.cli._options import Device, DeviceOption, Force, Inputs, JsonFlag, Out, Recursive
from quantal.cli._report import Report
from quantal.cli._sources import Source, expand
from quantal.cli._targets import STDOUT, plan
from quantal.errors import ArgumentError

if TYPE_CHECKING:
    from quantal.codecs.files import Target

__all__ = ["compress"]


def compress(
    inputs: Inputs,
    out: Out = None,
    codec: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One of `quantal codecs`; default hyperprior."),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality", "-q", min=1, max=100, help="1 (smallest) to 100 (finest); default 60."
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
    jobs: Annotated[int, typer.Option(min=1, help="Processes to work with.")] = 1,
    device: DeviceOption = Device.auto,
    recursive: Recursive = False,
    force: Force = False,
    as_json: JsonFlag = False,
) -> int:
    """Compress pictures to .qtl files.

    A folder given as IN stands for the pictures in it, and OUT then is a folder that gets the same
    tree. At most one of -q, --bpp, --psnr and --max-bytes can be asked for.
    """
    rates = {"-q": quality, "--bpp": bpp, "--psnr": psnr, "--max-bytes": max_bytes}
    asked = [name for name, value in rates.items() if value is not None]
    if len(asked) > 1:
        raise ArgumentError(f"{' and '.join(asked)} ask for different things; give one of them")
    for name, value in (("--bpp", bpp), ("--psnr", psnr)):
        if value is not None and not 0 < value < float("inf"):
            raise ArgumentError(f"{name} {value} is not a positive number")
    if as_json and out == STDOUT:
        raise ArgumentError("--json and -o - both want standard output; give one of them")

    from quantal import codecs, media
    from quantal.codecs.files import Target

    known = [entry.name for entry in codecs.available()]
    name = codec or codecs.DEFAULT_CODEC
    if name not in known:
        raise ArgumentError(f"there is no codec {name!r}; there are: {', '.join(known)}")
    sources, missing = expand(inputs, media.PICTURE_SUFFIXES, recursive)
    steps, refused = plan(sources, inputs, out, ".qtl", force)
    on_stdout = any(step.target is None for step in steps)
    if as_json and on_stdout:
        raise ArgumentError("--json needs an output by -o: the result would go to standard output")
    target = Target(quality=quality, bpp=bpp, psnr=psnr, max_bytes=max_bytes)
    if steps:
        codecs.load(name, device.value)  # missing weights are one error, not one for each file
    work = partial(compress_one, codec=name, target=target, device=device.value)
    failures = (*missing, *refused)
    total = len(steps) + len(failures)
    report = Report("compressing", total, as_json=as_json, data_on_stdout=on_stdout)
    for failure in failures:
        report.failed(failure)
    with report:
        run(steps, work, report, jobs=jobs, force=force)
    return report.finish()


def compress_one(source: Source, codec: str, target: Target, device: str) -> Outcome:
    """Compress one picture; stands at module level so that a worker process can find it."""
    from quantal import codecs, media
    from quantal.codecs.files import encode_picture

    picture = media.read(source.content())
    encoded = encode_picture(picture, codecs.load(codec, device), target)
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
