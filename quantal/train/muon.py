"""Muon: momentum whose matrices are made orthogonal before they are followed.

Every direction of a weight matrix then moves at the same pace, not only the few that most of the
gradient lies in (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024).
Steps are as large as AdamW's of the same learning rate (Liu et al., "Muon is scalable for LLM
training", 2025), so that one schedule serves both. It takes 1x1 convolutions and linear layers;
AdamW takes the other parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from quantal.team import Team

__all__ = ["Muon", "is_matrix"]

_MOMENTUM = 0.95
#: Root mean square of AdamW's usual step, in learning rates.
_RMS = 0.2
#: Jordan's polynomial, which pulls singular values towards 1, quickly rather than exactly.
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
#: Narrower layers aren't worth it: a column or two is no matrix.
_NARROWEST = 32


def is_matrix(parameter: Tensor) -> bool:
    """Return whether a parameter mixes channels and nothing else."""
    return (
        parameter.ndim >= 2
        and parameter[0, 0].numel() == 1
        and min(parameter.shape[:2]) >= _NARROWEST
    )


class Muon(torch.optim.Optimizer):
    """The optimiser, for parameters of is_matrix().

    Args:
        groups: of parameters, as torch's optimisers take them.
        lr: learning rate of groups that have none.
        team: the processes that share the work; all of them end with the same weights.
        dtype: of the products, for which bfloat16 is exact enough.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, team: Team, dtype: torch.dtype
    ) -> None:
        super().__init__(groups, {"lr": lr})
        self.team, self.dtype = team, dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step with the parameters that have gradients; closure is not used."""
        moving = [
            (parameter, gradient, group["lr"])
            for group in self.param_groups
            for parameter in group["params"]
            if (gradient := parameter.grad) is not None
        ]
        owners = self.team.divide([_work(parameter) for parameter, _, _ in moving])
        updates = []
        for (parameter, gradient, _), owner in zip(moving, owners, strict=True):
            momentum = self._momentum(parameter, gradient)
            own = owner == self.team.rank
            updates.append(_orthogonal(momentum) if own else torch.zeros_like(momentum))
        self.team.add(updates)
        for (parameter, _, rate), update in zip(moving, updates, strict=True):
            size = _RMS * max(update.shape) ** 0.5
            parameter.add_(update.view_as(parameter).to(parameter.dtype), alpha=-rate * size)

    def _momentum(self, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        """Return the gradient with Nesterov momentum [rows, columns]."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(state["momentum"], _MOMENTUM).flatten(1).to(self.dtype)


def _orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with equal singular values, by Newton-Schulz iteration."""
    tall = len(matrix) > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(torch.finfo(torch.bfloat16).tiny)
    first, third, fifth = _POLYNOMIAL
    for _ in range(_ITERATIONS):
        square = x @ x.T
        mixed = torch.addmm(square, square, square, beta=third, alpha=fifth)
        x = torch.addmm(x, mixed, x, beta=first)
    return (x.T if tall else x).contiguous()


def _work(parameter: nn.Parameter) -> float:
    """Return the multiplications for a matrix, up to a factor."""
    short, long = sorted(parameter.shape[:2])
    return float(short * short * (2 * long + short))
