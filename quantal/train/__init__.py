"""Training: data, recipes, the loop and the export of what it learned.

`run` does what a recipe says, from pictures to a weights file. `build` and `export` serve a loop of
your own. Needs torch, numpy, Pillow, safetensors and PyYAML alone, so that it also works on a bare
machine with an accelerator; nothing here writes or reads .qtl files.
"""

from __future__ import annotations

from quantal.extras import install_error

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _error:
    raise install_error(_error, "training loops") or _error from _error

from quantal.train.exporting import export, export_checkpoint
from quantal.train.loop import train
from quantal.train.objectives.base import Objective
from quantal.train.reader import make_recipe, read_recipe
from quantal.train.recipe import Phase, Recipe
from quantal.train.running import run
from quantal.train.trainer import Export, Trainer, build

__all__ = [
    "Export",
    "Objective",
    "Phase",
    "Recipe",
    "Trainer",
    "build",
    "export",
    "export_checkpoint",
    "make_recipe",
    "read_recipe",
    "run",
    "train",
]
