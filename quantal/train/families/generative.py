"""What `vq` and `tokens` share: the objective, and that they start from their own weights alone."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.errors import ModelError
from quantal.train.objectives.base import Objective
from quantal.train.objectives.generative import Generative, GenerativeSettings
from quantal.train.recipe import Recipe
from quantal.train.trainer import Trainer

__all__ = ["GenerativeTrainer"]


class GenerativeTrainer(Trainer):
    """Trains networks that draw pixels at a given rate.

    Attributes:
        optional: sizes of parts that the weights of a start may lack.
    """

    settings = GenerativeSettings
    optional: tuple[str, ...] = ()

    @abstractmethod
    def read(self, path: Path) -> Any:
        """Return the network of a weights file of this family."""

    def start_from(self, net: Any, path: Path, crops: Tensor) -> None:
        found = self.read(path)
        own, known = net.config.to_dict(), found.config.to_dict()
        sizes = {name: size for name, size in own.items() if name not in self.optional}
        if sizes != {name: known[name] for name in sizes}:
            raise ModelError(
                f"weights {path.name} have sizes {found.config}, the recipe {net.config}; set "
                "`model` to those of the file"
            )
        net.load_state_dict({**net.state_dict(), **found.state_dict()})

    def objective(self, net: Any, ema: Any, recipe: Recipe, device: torch.device) -> Objective:
        # Weights that a run starts from have their smaller codebooks already.
        return Generative(net, ema, recipe.objective, device, recipe.start_from is not None)
