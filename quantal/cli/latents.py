"""`quantal latents`: the latents of a .qtl file as tensors, without drawing it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from quantal.cli._features import features_as_safetensors
from quantal.cli._inputs import expand
from quantal.cli._options import Device, DeviceOption, Force, Plugin, Weights, standard_output
from quantal.cli._streams import say
from quantal.cli._targets import plan, write_file, write_stdout
from quantal.errors import ArgumentError
from quantal.names import printable

__all__ = ["latents"]


def latents(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .qtl file, or - for standard input.")
    ],
    out: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.safetensors",
            callback=standard_output,
            help="A file, or - for standard output.",
        ),
    ],
    weights: Weights = None,
    plugin: Plugin = None,
    device: DeviceOption = Device.auto,
    force: Force = False,
) -> int:
    """Write the latents of a .qtl file as safetensors, or the tensors of a file of features.

    Features that were coded with a basis need it as --weights.
    """
    if os.path.isdir(file):
        raise ArgumentError(f"{file} is a folder; name a .qtl file in it")

    from quantal import codecs, container
    from quantal.files import read_latents

    found = expand([file], {".qtl"})
    planned = plan(found.sources, [file], out, lambda _: ".safetensors", force)
    failures = [*found.failures, *planned.failures]
    for failure in failures:
        say(failure.line, err=True)
    for step in planned.steps:
        coded = step.source.bytes()
        if container.media_of(coded) == "features":
            data = features_as_safetensors(coded, weights)
        else:
            name = container.probe(coded).header.codec
            codec = None if weights is None else codecs.load(name, device.value, weights)
            data = read_latents(coded, device.value, codec).to_safetensors()
        if step.target is None:
            write_stdout(data, force)
        else:
            write_file(step.target, data, force)
            say(f"{printable(file)} -> {printable(step.output)}  {len(data):,} bytes")
    return 1 if failures else 0
