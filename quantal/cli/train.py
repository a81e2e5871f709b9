"""`quantal train`: train a codec by a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from quantal.cli._options import Plugin
from quantal.cli._streams import say
from quantal.errors import ArgumentError, QuantalError

__all__ = ["train"]


class Dashboard(str, Enum):
    """Programs that show runs."""

    tensorboard = "tensorboard"
    wandb = "wandb"


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[key=value ...]",
            help="Values that replace those of the recipe; dots separate the keys of sections.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint of this run.")
    ] = False,
    dashboard: Annotated[
        Dashboard | None,
        typer.Option("--log", help="Show the run in TensorBoard or Weights & Biases as well."),
    ] = None,
    plugin: Plugin = None,
) -> int:
    """Train a codec by a recipe."""
    changes = list(overrides or [])
    for change in changes:
        if "=" not in change.lstrip("="):
            raise ArgumentError(f"{change!r} is not key=value")
    if dashboard is not None:
        changes.append(f"dashboard={dashboard.value}")
    if not recipe.is_file():
        raise ArgumentError(f"there is no recipe {recipe}")

    try:
        from quantal.train import read_recipe, run
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise ArgumentError("training needs PyYAML: pip install 'quantal[train]'") from error
    from quantal.train.joining import launched, place
    from quantal.train.launching import launch

    processes = read_recipe(recipe, changes).processes
    if processes > 1 and not launched():
        plugins = [f"--plugin={each}" for each in plugin or ()]
        return launch(
            processes,
            ["train", *plugins, *(["--resume"] if resume else []), "--", str(recipe), *changes],
        )
    rank, size = place()
    try:
        path = run(recipe, changes, resume, log=_Printer())
    except QuantalError as error:
        if size > 1:
            error.args = (f"process {rank + 1} of {size}: {error}",)
        raise
    if rank == 0:
        say(f"weights: {path}")
    return 0


class _Printer:
    """Prints a run's log until the output is closed; the run goes on, its log.jsonl has it all."""

    def __init__(self) -> None:
        self._closed = False

    def __call__(self, entry: Mapping[str, Any]) -> None:
        if not self._closed:
            try:
                _print(entry)
            except OSError:
                self._closed = True


def _print(entry: Mapping[str, Any]) -> None:
    """One line a log entry: what a person watching a run wants to know."""
    if "loss" in entry:
        shown = {name: entry[name] for name in ("lpips", "mse", "entropy") if name in entry}
        if bpp := [value for name, value in entry.items() if name.endswith("_bpp")]:
            shown["bpp"] = sum(bpp)
        parts = "".join(f"{name} {value:.3f}  " for name, value in shown.items())
        say(
            f"step {entry['step']:>7}  loss {entry['loss']:.3f}  {parts}rate {entry['lr']:.1e}  "
            f"{entry['minutes']:.1f} min, about {entry['minutes_left']:.0f} left"
        )
    elif entry.get("event") == "evaluation" and entry["points"]:
        points = "  ".join(map(_point, entry["points"]))
        say(f"evaluation at step {entry['step']}: {points}")
    elif entry.get("event") == "start":
        several = f" in {entry['processes']} processes" if entry["processes"] > 1 else ""
        say(f"{entry['pictures']} pictures, {entry['device']}{several}, from step {entry['step']}")


def _point(point: Mapping[str, Any]) -> str:
    if "accuracy" in point:
        size = f" at {point['bytes']:.0f} bytes" if "bytes" in point else ""
        return f"{point['accuracy']:.1f} % of {point['pictures']} right{size}"
    if "bpsp" in point:
        return f"{point['bpsp']:.4f} bits per sample"
    lpips = f" LPIPS {point['lpips']:.3f}" if "lpips" in point else ""
    return f"{point['bpp']:.3f} bpp {point['psnr']:.2f} dB{lpips}"
