"""`quantal onnx`: a codec's networks for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantal.cli._options import Force, Weights
from quantal.cli._streams import say
from quantal.errors import OutputError
from quantal.names import printable

__all__ = ["onnx"]


def onnx(
    codec: Annotated[
        str, typer.Argument(metavar="CODEC", help="A codec that `quantal codecs` lists.")
    ],
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.")
    ] = ".",
    graphs: Annotated[
        bool,
        typer.Option("--graphs", help="Write all networks without weights, for use without torch."),
    ] = False,
    weights: Weights = None,
    force: Force = False,
) -> int:
    """Write the analysis and synthesis networks of a codec as ONNX files.

    With --graphs, all networks are written without weights to the folder DIR/NAME.graphs, for
    weights NAME.safetensors. With this folder beside them, the weights run without torch.
    """
    if graphs:
        return _write_graphs(codec, Path(out), weights, force)
    from quantal import codecs
    from quantal.codecs.pyramid.onnx import export_onnx, onnx_paths

    loaded = codecs.load(codec, "cpu", weights)
    for path in onnx_paths(loaded.name, out):
        if path.exists() and not force:
            raise OutputError(f"{path} exists already; --force overwrites it")
    for path in export_onnx(loaded, out):
        say(f"{printable(path)}  {path.stat().st_size:,} bytes")
    return 0


def _write_graphs(codec: str, out: Path, weights: str | None, force: bool) -> int:
    from quantal.codecs.backends.export import export_graphs
    from quantal.codecs.registry import networks_of

    net, file = networks_of(codec, weights)
    folder = out / f"{file.path.stem}.graphs"
    if folder.exists() and not force:
        raise OutputError(f"{folder} exists already; --force overwrites it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = export_graphs(net, file, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{printable(folder)}  {len(made.networks)} graphs, {size:,} bytes")
    return 0
