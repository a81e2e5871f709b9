"""`quantal features`: tensors that a network computed to .qtl files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantal.cli._inputs import expand
from quantal.cli._options import Force, Out
from quantal.cli._streams import say
from quantal.cli._targets import plan, write_file, write_stdout
from quantal.errors import ArgumentError, MediaError, QuantalError
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.cli._sources import Source

__all__ = ["features"]

_SUFFIXES = {".safetensors", ".npy"}


def features(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Files .safetensors or .npy, folders, or -."),
    ],
    out: Out = None,
    max_error: Annotated[
        float | None,
        typer.Option("--max-error", metavar="F", help="The largest error of a value."),
    ] = None,
    bits: Annotated[
        float | None,
        typer.Option("--bits", metavar="F", help="The most bits for a value, on average."),
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option("--basis", metavar="FILE", help="A basis or a codebook to code them with."),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option("--rate", min=0, max=63, help="How finely a basis quantises."),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            "--channels",
            metavar="AXIS",
            help="The axis of the channels; default: the third from the end, of a matrix the last.",
        ),
    ] = None,
    layer: Annotated[
        str, typer.Option("--layer", help="The name of the layer, for the header.")
    ] = "",
    force: Force = False,
) -> int:
    """Code tensors of a network's features as .qtl files.

    The tensors of a .safetensors file are coded in the order of their names. `quantal latents`
    makes tensors of the result again.
    """
    from quantal.latents import features as medium

    known = None if basis is None else medium.read_known(basis)
    found = expand(inputs, _SUFFIXES)
    planned = plan(found.sources, inputs, out, lambda _: ".qtl", force, {".qtl"})
    failures = [*found.failures, *planned.failures]
    for step in planned.steps:
        try:
            tensors = _read(step.source)
            data = medium.encode(
                tensors,
                max_error=max_error,
                bits=bits,
                basis=known,
                rate=rate,
                channels=channels,
                layer=layer,
            )
        except (QuantalError, OSError) as error:
            failures.append(step.source.failure(error))
            continue
        if step.target is None:
            write_stdout(data, force)
            continue
        write_file(step.target, data, force)
        several = tensors if isinstance(tensors, list) else [tensors]
        values = sum(each.numel() for each in several)
        rated = f", {8 * len(data) / values:.4f} bits per value" if values else ""
        say(
            f"{printable(step.source.name)} -> {printable(step.output)}  {values:,} values in "
            f"{len(data):,} bytes{rated}"
        )
    for failure in failures:
        say(failure.line, err=True)
    return 1 if failures else 0


def _read(source: Source) -> Any:
    """Return the tensor of a .npy file, or the tensors of a .safetensors file.

    Raises:
        MediaError: If it is neither.
    """
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = source.bytes()
    try:
        if data.startswith(np.lib.format.MAGIC_PREFIX):
            return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
        named = load(data)
    except (SafetensorError, ValueError, TypeError, EOFError) as error:
        line = " ".join(str(error).split())[:200]
        raise MediaError(f"it is neither a .npy nor a .safetensors file: {line}") from error
    if not named:
        raise ArgumentError("the file holds no tensor")
    tensors = [named[name] for name in sorted(named)]
    return tensors[0] if len(tensors) == 1 else tensors
