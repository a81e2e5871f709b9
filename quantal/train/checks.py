"""What a run refuses before its first step, beside what its recipe and its family refuse."""

from __future__ import annotations

import difflib

from quantal.errors import ArgumentError
from quantal.team import Team
from quantal.train.recipe import Recipe

__all__ = ["check_equal", "check_parts", "check_team"]


def check_team(recipe: Recipe, team: Team) -> None:
    """Raise ArgumentError unless so many processes can run this recipe."""
    wanted = recipe.processes
    if wanted not in (1, team.size):
        remedy = f"`torchrun --nproc-per-node {wanted} -m quantal train RECIPE` starts {wanted}"
        if team.size > 1:
            remedy = "leave `processes` out"
        raise ArgumentError(
            f"the recipe says `processes: {wanted}`, and this run has {team.size}; {remedy}"
        )
    for phase in recipe.phases:
        team.rows(phase.batch)


def check_equal(pictures: int, team: Team) -> None:
    """Raise ArgumentError unless the first process has as many pictures."""
    first = int(team.agreed(pictures))
    if pictures != first:
        raise ArgumentError(
            f"process {team.rank + 1} has {pictures} training pictures, the first one {first}; "
            "give all machines the same `data`, or set `stream: true`"
        )


def check_parts(recipe: Recipe, parts: tuple[str, ...]) -> None:
    """Raise ArgumentError unless every part that a phase holds is one of the network's."""
    for name in (name for phase in recipe.phases for name in phase.hold):
        if name not in parts:
            raise ArgumentError(
                f"a phase holds {name!r}, which is none of {', '.join(parts)}{_near(name, parts)}"
            )


def _near(name: str, parts: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, parts, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
