"""A whole run: read a recipe, train, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quantal.train.exporting import export_checkpoint
from quantal.train.joining import place
from quantal.train.loop import Log, train
from quantal.train.reader import read_recipe

__all__ = ["run"]


def run(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    resume: bool = False,
    log: Log | None = None,
) -> Path:
    """Read a recipe, train as it says, and export the weights.

    Args:
        recipe: path of the YAML file.
        overrides: `key=value` that replace what it says.
        resume: whether to continue from the checkpoint in the recipe's `out`.
        log: called with each entry of the log.

    Returns:
        The path of the weights file, CODEC.safetensors in `out`. Of several processes the first
        writes it.

    Raises:
        ArgumentError: If the recipe or its data are wrong.
        ModelError: If weights or a checkpoint don't fit.
    """
    plan = read_recipe(recipe, overrides)
    checkpoint = train(plan, resume, log)
    weights = checkpoint.with_name(f"{plan.codec}.safetensors")
    if place()[0] == 0:
        export_checkpoint(checkpoint, weights)
    return weights
