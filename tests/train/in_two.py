"""What tests run in two processes: torchrun ... in_two.py FOLDER RECIPE ... LAST.

Exchanges and runs come first; in the last run a process dies, and torchrun starts both again.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

import quantal.team
from quantal.errors import QuantalError
from quantal.team import Team
from quantal.train import read_recipe, train
from quantal.train.joining import joined
from quantal.train.state import State


def exchange(folder: Path) -> None:
    """Note what comes of each way to agree."""
    with joined(torch.device("cpu")) as team:
        both = torch.nn.Parameter(torch.zeros(2, 3))
        first = torch.nn.Parameter(torch.zeros(2))
        none = torch.nn.Parameter(torch.zeros(1))
        both.grad = torch.full((2, 3), 1.0 + team.rank)
        if team.leads:
            first.grad = torch.tensor([1.0, 2.0])
        team.average([both, first, none])
        found = {
            "gradients": [each.grad for each in (both, first, none)],
            "clock": team.agreed(100.0 + team.rank),
            "bytes": team.sent(b"of the first" if team.leads else b"of another"),
            "place": team.place(3 - team.rank),
            "mean_of": team.mean_of(torch.arange(1.0 + 2 * team.rank)),
            "noise": uniform(team),
        }
        led: list[float] = []
        quantal.team._BEAT = 0.01
        team.lead(lambda: led.append(time.sleep(0.2) or 1))  # meanwhile it shows signs of life
        found["led"] = len(led)
        try:
            team.lead(fail)
        except (QuantalError, ZeroDivisionError) as error:
            found["failed"] = f"{type(error).__name__}: {error}"
        torch.save(found, folder / f"{team.rank}.pt")


def uniform(team: Team) -> torch.Tensor:
    torch.manual_seed(1)
    own = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    return team.uniform_like(own)


def fail() -> None:
    raise ZeroDivisionError("the work of the first failed")


def die_once() -> None:
    """Let the second process die before its fifth step, unless torchrun has started it again."""
    follow = State.follow

    def dying(self, *arguments):
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if self.step == 4 and os.environ["RANK"] == "1" and first:
            os._exit(9)
        return follow(self, *arguments)

    State.follow = dying


if __name__ == "__main__":
    folder, *recipes, last = sys.argv[1:]
    torch.set_num_threads(1)
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        exchange(Path(folder))
        with joined(torch.device("cpu")):  # a group that exists already, as Ray Train makes it
            train(read_recipe(recipes.pop(0)))
        for recipe in recipes:
            train(read_recipe(recipe))
    die_once()
    train(read_recipe(last))
