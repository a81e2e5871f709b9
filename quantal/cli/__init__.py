"""The command `quantal`: one file per subcommand, each of which parses, calls and prints.

Nothing heavy is imported here or at the top of a command's file, so `quantal --help` answers before
torch could be loaded. Private modules have what several commands share.
"""

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
    info,
    latents,
    onnx,
    train,
    verify,
)
from quantal.cli._guard import describe, guarded
from quantal.cli._options import Command
from quantal.cli._signals import raise_on_signals, shield_tracker, status_of
from quantal.cli._streams import adopt_streams, closing_status, say

__all__ = ["app", "main"]

app = typer.Typer(
    name="quantal",
    help="Learned image codecs that write real .qtl files.",
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
    codecs.codecs,
    latents.latents,
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
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Learned image codecs that write real .qtl files."""


def main() -> None:
    """Entry point of the console script."""
    adopt_streams()
    raise_on_signals()
    status = 0
    try:
        app(prog_name="quantal")
    except KeyboardInterrupt as interrupt:  # before or after a command ran
        status = status_of(interrupt)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except Exception as error:  # of what happens before a command, which is guarded itself
        say(f"quantal: {describe(error)}", err=True)
        status = 1
    raise SystemExit(closing_status(status))
