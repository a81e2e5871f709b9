"""The optimisers of a run: AdamW, and Muon for the matrices if the recipe wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quantal.team import Team
from quantal.train.muon import Muon, is_matrix
from quantal.train.recipe import Recipe

__all__ = ["make_optimisers"]

#: What transforms call the layers that a KLT fills.
_KLT_LAYERS = {"klt", "mixes"}


def make_optimisers(
    net: nn.Module, recipe: Recipe, team: Team, half: bool
) -> tuple[torch.optim.Optimizer, ...]:
    """Return the optimisers of a network; their groups have a `pace`, which scales learning rates.

    Args:
        net: the network.
        recipe: of the run.
        team: the processes of the run.
        half: whether products are in bfloat16.
    """
    matrices: set[nn.Parameter] = set()
    if recipe.optimiser == "muon":
        matrices = {parameter for parameter in net.parameters() if is_matrix(parameter)}
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            _groups(net, recipe, lambda parameter: parameter not in matrices),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    ]
    if matrices:
        groups = _groups(net, recipe, lambda parameter: parameter in matrices)
        dtype = torch.bfloat16 if half else torch.float32
        optimisers.append(Muon(groups, recipe.learning_rate, team, dtype))
    return tuple(optimisers)


def _groups(
    net: nn.Module, recipe: Recipe, wanted: Callable[[nn.Parameter], bool]
) -> list[dict[str, Any]]:
    """Return parameters in groups: the layers that a KLT fills start good and move slowly."""
    slow: list[Tensor] = []
    fast: list[Tensor] = []
    for name, parameter in net.named_parameters():
        if wanted(parameter):
            (fast if _KLT_LAYERS.isdisjoint(name.split(".")) else slow).append(parameter)
    groups = [{"params": fast, "pace": 1.0}, {"params": slow, "pace": recipe.klt_pace}]
    return [group for group in groups if group["params"]]
