"""Training: data, recipes, the loop and the export of what it learned.

Runs on torch, numpy, Pillow, safetensors and PyYAML alone, so that it also works on a bare
machine with an accelerator; nothing here writes or reads .qtl files.
"""

from __future__ import annotations

from quantal.train.exporter import export
from quantal.train.loop import run, train
from quantal.train.recipe import Phase, Recipe, read_recipe

__all__ = ["Phase", "Recipe", "export", "read_recipe", "run", "train"]
