"""`quantal train`: train a codec by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantal.errors import ArgumentError

__all__ = ["train"]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="What to train, and how.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value ...]", help="Values that replace those of the recipe."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of this run.")
    ] = False,
) -> int:
    """Train a codec by a recipe, a YAML file; dotted keys reach into its sections."""
    changes = list(overrides or [])
    for change in changes:
        if "=" not in change.lstrip("="):
            raise ArgumentError(f"{change!r} is no key=value")
    if not recipe.is_file():
        raise ArgumentError(f"there is no recipe {recipe}")

    try:
        from quantal.train import run
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise ArgumentError("training needs PyYAML: pip install 'quantal[train]'") from error
    run(recipe, changes, resume)
    return 0
