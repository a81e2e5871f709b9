"""The state of a training run: weights, their average, the optimisers; saved and resumed."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from quantal.errors import ModelError, OutputError
from quantal.names import shown
from quantal.team import Team
from quantal.train.joining import launch_name
from quantal.train.objectives.base import Objective
from quantal.train.recipe import Recipe

__all__ = ["State", "saved_in"]

#: A gradient so many times larger than the running mean of its norm is not followed.
_SPIKE = 8.0
#: What reading a checkpoint may raise.
_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, EOFError, UnpicklingError)
#: What the running mean starts from: more than it will be.
_FIRST_NORM = 10.0


@dataclass
class State:
    """Everything that a run needs to continue where it stopped.

    Attributes:
        net: the network that is trained.
        ema: its average.
        optimisers: of the network.
        objective: of the run.
        step: steps that are over.
        seconds: time that is over.
        skipped: steps that were not taken because of their gradient.
        norm: a running mean of the gradient's norm.
    """

    net: nn.Module
    ema: nn.Module
    optimisers: tuple[torch.optim.Optimizer, ...]
    objective: Objective
    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    norm: float = _FIRST_NORM

    def expect_more(self) -> None:
        """Forget how large gradients were: more of the network has begun to move."""
        self.norm = max(self.norm, _FIRST_NORM)

    def follow(self, loss: Tensor, recipe: Recipe, team: Team) -> float:
        """Take a step along the gradient of the team's losses.

        A gradient that is not finite, or far larger than recent ones, changes nothing: one such
        step can undo an hour.

        Args:
            loss: of this process.
            recipe: of the run.
            team: the processes of the run.

        Returns:
            The norm of the gradient.
        """
        self.net.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        team.average(self.net.parameters())
        norm = float(nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip))
        warming = self.step < recipe.warmup_steps
        if math.isfinite(norm) and (warming or norm < _SPIKE * self.norm):
            self.norm += 0.02 * (norm - self.norm)
            for optimiser in self.optimisers:
                optimiser.step()
            self._average(recipe.ema)
        else:
            self.skipped += 1
            # Creeps up, so that gradients which have grown for good are accepted in the end.
            self.norm *= 1.02
        self.step += 1
        return norm

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        """Move the averaged weights towards the trained ones; faster at first, from afar."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        averaged: list[Tensor] = [p.data for p in self.ema.parameters()]
        torch._foreach_lerp_(averaged, [p.data for p in self.net.parameters()], 1 - decay)
        # Codebooks are averages already, and other buffers mean nothing half.
        for own, trained in zip(self.ema.buffers(), self.net.buffers(), strict=True):
            own.copy_(trained)

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write a checkpoint, whole or not at all; OutputError if it can't be written."""
        partial = path.with_suffix(".partial")
        content = {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "norm": self.norm,
            "objective": self.objective.state(),
            "recipe": json.dumps(recipe.to_dict()),
            "launch": launch_name(),
        }
        try:
            torch.save(content, partial)
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:  # torch has its own error for a full disk
            with suppress(OSError):
                partial.unlink()
            raise OutputError(
                f"checkpoint {shown(path)} can't be written: {error}; make room, or choose another "
                "`out`. An earlier checkpoint is as it was"
            ) from error

    def load(self, path: Path, recipe: Recipe, team: Team) -> None:
        """Continue from a checkpoint, which the first process reads and sends to the others.

        Raises:
            ModelError: If it can't be read, or is of another codec or network.
        """
        try:
            content = team.sent(path.read_bytes() if team.leads else b"")
            saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            _check_recipe(path, json.loads(saved["recipe"]), recipe)
            self.net.load_state_dict(saved["net"])
            self.ema.load_state_dict(saved["ema"])
            for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.step, self.seconds = saved["step"], saved["seconds"]
            self.skipped, self.norm = saved["skipped"], saved["norm"]
            self.objective.restore(saved["objective"])
        except _UNREADABLE as error:
            raise ModelError(
                f"checkpoint {shown(path)} does not fit this recipe: {error}; go on with the "
                "recipe that it was made with, or choose another `out`"
            ) from error


def saved_in(path: Path, launch: str) -> bool:
    """Return whether a checkpoint was written in the same call of torchrun, before a restart."""
    if not launch:
        return False
    with suppress(*_UNREADABLE):
        return bool(torch.load(path, map_location="cpu", weights_only=True).get("launch") == launch)
    return False


def _check_recipe(path: Path, saved: Mapping[str, Any], recipe: Recipe) -> None:
    """Raise ModelError unless a checkpoint's recipe has the same codec, sizes and optimiser."""
    # As JSON has it: lists, not tuples.
    present = json.loads(json.dumps(recipe.to_dict()))
    for key in ("codec", "model", "optimiser"):
        own, wanted = saved.get(key), present[key]
        if own == wanted:
            continue
        name, pairs = f"`{key}`", [(own, wanted)]
        if isinstance(own, dict) and isinstance(wanted, dict):
            names = [each for each in {**own, **wanted} if own.get(each) != wanted.get(each)]
            name = f"`{key}.{names[0]}`"
            pairs = [(own.get(names[0]), wanted.get(names[0]))]
        ((own, wanted),) = pairs
        raise ModelError(
            f"checkpoint {shown(path)} is of another recipe: its {name} is {own!r}, here it is "
            f"{wanted!r}; it does not fit. Go on with the recipe that it was made with, or choose "
            "another `out`"
        )
