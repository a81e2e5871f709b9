"""`quantal features`: tensors that a network computed to .qtl files."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantal.cli._inputs import expand
from quantal.cli._options import Force, Out, Recursive
from quantal.cli._streams import say
from quantal.cli._targets import plan, write_file, write_stdout
from quantal.errors import MediaError, QuantalError
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.cli._sources import Source

__all__ = ["features"]

_SUFFIXES = {".safetensors", ".npy"}
_NPY = b"\x93NUMPY"


def features(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...", help="Files (.safetensors or .npy), folders, or - for standard input."
        ),
    ],
    out: Out = None,
    recursive: Recursive = False,
    max_error: Annotated[
        float | None,
        typer.Option("--max-error", metavar="F", help="Maximum error of a value."),
    ] = None,
    bits: Annotated[
        float | None,
        typer.Option("--bits", metavar="F", help="Maximum bits per value, on average."),
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option("--basis", metavar="FILE", help="A basis or a codebook to code with."),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate", min=0, max=63, help="How finely the latents of a basis are quantised."
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            "--channels",
            metavar="AXIS",
            help="Axis of the channels; default: the third from the end; of a matrix, the last.",
        ),
    ] = None,
    layer: Annotated[
        str, typer.Option("--layer", help="Name of the layer, stored in the header.")
    ] = "",
    force: Force = False,
) -> int:
    """Code tensors of a network's features as .qtl files.

    The tensors of a .safetensors file are coded in the order of their names. `quantal latents`
    decodes the result to tensors.
    """
    from quantal.latents import features as medium

    known = None if basis is None else medium.read_known(basis)
    found = expand(inputs, _SUFFIXES, recursive)
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
        except (QuantalError, OSError, MemoryError) as error:
            failures.append(step.source.failure(error))
            continue
        if step.target is None:
            write_stdout(data, force)
            continue
        write_file(step.target, data, force)
        several = tensors if isinstance(tensors, list) else [tensors]
        values = sum(math.prod(each.shape) for each in several)
        rated = f", {8 * len(data) / values:.4f} bits per value" if values else ""
        say(
            f"{printable(step.source.name)} -> {printable(step.output)}  {values:,} "
            f"value{'s'[: values != 1]} in {len(data):,} bytes{rated}"
        )
    for failure in failures:
        say(failure.line, err=True)
    return 1 if failures else 0


def _read(source: Source) -> Any:
    """Return the tensor of a .npy file, or the tensors of a .safetensors file.

    Raises:
        MediaError: If it is neither, or damaged.
    """
    data = source.bytes()
    if data.startswith(_NPY):
        return _array(data)
    from safetensors.torch import load

    try:
        named = load(data)
    except Exception as error:  # what is wrong in a header comes as many types
        line = " ".join(str(error).split())[:200]
        raise MediaError(f"it is neither a .npy nor a .safetensors file: {line}") from error
    if not named:
        raise MediaError("it holds no tensor")
    tensors = [named[name] for name in sorted(named, key=_by_number)]
    return tensors[0] if len(tensors) == 1 else tensors


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """Return what sorts names as people do: `tensor.9` comes before `tensor.10`."""
    parts = filter(None, re.split(r"(\d+)", name))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _array(data: bytes) -> Any:
    """Return the array of a .npy file; MediaError if it is damaged."""
    import numpy as np

    npy: Any = np.lib.format
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(file)
    except Exception as error:  # headers are Python's literals, which fail in many ways
        line = " ".join(str(error).split())[:200]
        raise MediaError(f"the header of the .npy file is damaged: {line}") from error
    if dtype.kind not in "fiu":
        raise MediaError(f"its values are {dtype}, expected floats or integers")
    expected, found = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
    if found != expected:
        raise MediaError(
            f"the .npy file has {found:,} bytes of values, expected {expected:,} for {dtype} "
            f"{[*shape]}; it was cut, or is more than one file"
        )
    file.seek(0)
    array = npy.read_array(file, allow_pickle=False)
    return array.astype(dtype.newbyteorder("="), copy=False)
