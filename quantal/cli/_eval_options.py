"""Options that the commands of `quantal eval` share, and the lists that they take."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from quantal.errors import ArgumentError

__all__ = [
    "Codecs",
    "Data",
    "EvalJobs",
    "Folder",
    "Interpolation",
    "MinOverlap",
    "Pareto",
    "Qualities",
    "Weights",
    "on_terminal",
    "parse_qualities",
    "split",
]


class Interpolation(str, Enum):
    """How a curve is drawn through its points for a BD-rate."""

    pchip = "pchip"
    akima = "akima"
    cubic = "cubic"


Codecs = Annotated[
    str,
    typer.Option(
        metavar="A,B,...",
        help="Codecs with their options: hyperprior,avif:speed=4,webp. An unknown name prints the "
        "list of codecs.",
    ),
]
Data = Annotated[
    Path, typer.Option(metavar="DIR", help="A folder of pictures or of clips, or a single file.")
]
Folder = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", help="Folder for the results; a stopped run continues there."
    ),
]
EvalJobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=0,
        help="Number of processes; 0: this process only. Default: one for each core.",
    ),
]
Qualities = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[CODEC=]Q,Q,...",
        help="Qualities to measure, of all codecs or of one, named as in --codecs; can be repeated."
        "",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder with network weights for metrics such as LPIPS."),
]
MinOverlap = Annotated[
    float,
    typer.Option(
        min=0.01,
        max=1.0,
        help="Share of the shorter curve's range of quality that both curves must cover.",
    ),
]
Pareto = Annotated[
    bool,
    typer.Option(
        help="Leave out points of more rate and less quality, instead of refusing the curve."
    ),
]


def on_terminal() -> bool:
    """Whether standard error is a terminal; a caller may have closed it."""
    return sys.stderr is not None and sys.stderr.isatty()


def split(text: str) -> tuple[str, ...]:
    """Return the items of a comma-separated list; ArgumentError if one of several is empty."""
    items = tuple(item.strip() for item in text.split(","))
    if any(items) and not all(items):
        raise ArgumentError(f"{text!r} has an empty item; leave it out")
    return tuple(filter(None, items))


def parse_qualities(texts: list[str] | None) -> dict[str, tuple[float, ...]]:
    """Map `[CODEC=]Q,Q,...` to qualities by codec; under "" those of every codec.

    >>> parse_qualities(["avif:speed=4=10,50", "30,60"])
    {'avif:speed=4': (10.0, 50.0), '': (30.0, 60.0)}
    """
    found = {}
    for text in texts or []:
        codec, _, numbers = text.rpartition("=")
        if codec in found:
            raise ArgumentError(f"qualities of {codec or 'all codecs'} are given twice")
        try:
            found[codec] = tuple(float(number) for number in split(numbers))
        except ValueError:
            found[codec] = ()
        if not found[codec]:
            raise ArgumentError(f"qualities {text!r} are not [CODEC=]NUMBER,NUMBER,...")
    return found
