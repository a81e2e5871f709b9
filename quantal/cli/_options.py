"""Options that several commands share, each with its range and default in its help."""

from __future__ import annotations

import os
from enum import Enum
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

__all__ = [
    "Begin",
    "Command",
    "Device",
    "DeviceOption",
    "End",
    "EngineJobs",
    "Force",
    "Inputs",
    "Jobs",
    "JsonFlag",
    "KeepTime",
    "Out",
    "Plugin",
    "Recursive",
    "SkipExisting",
    "Weights",
    "standard_output",
]


class Command(TyperCommand):
    """A command that refuses empty words, as `"$UNSET"` leaves them: a path would be `.`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            value = values.get(parameter.name)
            if value == "" or (isinstance(value, (list, tuple)) and "" in value):
                raise typer.BadParameter("it is empty", ctx=ctx, param=parameter)
        return super().parse_args(ctx, args)


class Device(str, Enum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(str, Enum):
    """What transforms are computed in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    auto = "auto"


def _adopt_precision(precision: Precision | None) -> Precision | None:
    # By the environment, so that worker processes have it too.
    if precision is not None:
        os.environ["QUANTAL_PRECISION"] = precision.value
    return precision


PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        callback=_adopt_precision,
        help="Precision of the transforms; values other than float32 need OpenVINO. auto: bfloat16 "
        "if it is faster and at most 0.02 dB worse.",
    ),
]
DeviceOption = Annotated[
    Device, typer.Option(help="Where the networks run; auto uses a GPU if there is one.")
]
Begin = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="Start of a part of a clip: seconds, MM:SS or HH:MM:SS."
    ),
]
End = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TIME", help="End of a part of a clip: seconds, MM:SS or HH:MM:SS."
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite existing outputs.")]
Inputs = Annotated[
    list[str],
    typer.Argument(metavar="IN...", help="Files, folders, or - for standard input."),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Number of processes.")]
EngineJobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        help="Number of processes; default 1. With --engine, the default is one for each core, or "
        "on a cluster one for each CPU but one of every node.",
        show_default=False,
    ),
]
KeepTime = Annotated[
    bool,
    typer.Option(
        "--keep-time", help="Give outputs the times of modification and access of their inputs."
    ),
]
JsonFlag = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document to standard output, and nothing else."),
]


def standard_output(out: str | None) -> str | None:
    """Return `-` for another name of standard output, where lines must not mix with a result."""
    return "-" if out == "/dev/stdout" else out


Out = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        callback=standard_output,
        help="A file, a folder, or - for standard output; default: beside the input.",
    ),
]


def _use_plugins(modules: list[str] | None) -> list[str] | None:
    """Let the registry import modules that register codecs, in worker processes as well."""
    if modules:
        # The registry's variable; its module is not imported before a command needs it.
        variable = "QUANTAL_PLUGINS"
        known = [name for name in os.environ.get(variable, "").split(",") if name]
        found = [os.path.abspath(m) if m.endswith(".py") else m for m in modules]
        os.environ[variable] = ",".join(dict.fromkeys([*known, *found]))
    return modules


Plugin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE",
        callback=_use_plugins,
        help="A Python module or file that registers codecs; can be repeated.",
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Include the files of subfolders.")
]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Skip inputs whose outputs exist, to finish a batch."),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Weights to use in place of the shipped ones; models of CompressAI's zoo require it.",
    ),
]
