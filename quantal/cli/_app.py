"""The application of Typer that holds every command."""

from __future__ import annotations

from typing import Annotated

import typer

from quantal import __version__
from quantal.cli import (
    codecs,
    compress,
    decompress,
    eval_bdrate,
    eval_perception,
    eval_rd,
    features,
    info,
    latents,
    onnx,
    pack,
    train,
    verify,
    view,
)
from quantal.cli._guard import describe, guarded
from quantal.cli._options import Command
from quantal.cli._signals import shield_tracker
from quantal.cli._streams import adopt_streams, closing_status, say

__all__ = ["app", "run"]

app = typer.Typer(
    name="quantal",
    help="Learned codecs for pictures, clips and data cubes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (
    compress.compress,
    decompress.decompress,
    info.info,
    verify.verify,
    view.view,
    codecs.codecs,
    latents.latents,
    features.features,
    pack.pack,
    pack.unpack,
    onnx.onnx,
    train.train,
):
    app.command(cls=Command)(guarded(_command))

_evaluation = typer.Typer(
    name="eval",
    help="Measure codecs: rate-distortion, BD-rate, machine perception.",
    no_args_is_help=True,
)
for _measurement in (eval_rd.rd, eval_bdrate.bdrate, eval_perception.perception):
    _evaluation.command(cls=Command)(guarded(_measurement))
_evaluation.callback()(shield_tracker)
app.add_typer(_evaluation)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"quantal {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Learned codecs for pictures, clips and data cubes."""


def run() -> int:
    """Run the command that the words of the command line name; return the exit status."""
    adopt_streams()
    status = 0
    try:
        app(prog_name="quantal")
    except SystemExit as end:
        interrupt = _behind(end)
        if interrupt is not None:
            raise interrupt from None
        status = end.code if isinstance(end.code, int) else 0
    except Exception as error:  # of what happens before a command, which is guarded itself
        say(f"quantal: {describe(error)}", err=True)
        status = 1
    return closing_status(status)


def _behind(end: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interruption that Typer has made an exit status of, whatever its signal."""
    while end is not None and not isinstance(end, KeyboardInterrupt):
        end = end.__cause__ or end.__context__
    return end
