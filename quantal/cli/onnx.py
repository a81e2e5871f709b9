"""`quantal onnx`: a codec's analysis and synthesis networks for other runtimes."""

from __future__ import annotations

from typing import Annotated

import typer

from quantal.cli._options import Force, Weights
from quantal.cli._streams import say
from quantal.errors import OutputError
from quantal.names import printable

__all__ = ["onnx"]


def onnx(
    codec: Annotated[str, typer.Argument(metavar="CODEC", help="One of `quantal codecs`.")],
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.")
    ] = ".",
    weights: Weights = None,
    force: Force = False,
) -> int:
    """Write the analysis and synthesis networks of a codec as ONNX files."""
    from quantal import codecs
    from quantal.codecs.pyramid.onnx import export_onnx, onnx_paths

    loaded = codecs.load(codec, "cpu", weights)
    for path in onnx_paths(loaded.name, out):
        if path.exists() and not force:
            raise OutputError(f"{path} exists already; --force overwrites it")
    for path in export_onnx(loaded, out):
        say(f"{printable(path)}  {path.stat().st_size:,} bytes")
    return 0
