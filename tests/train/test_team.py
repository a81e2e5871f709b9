"""Several processes take the same steps, and one that stops is missed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from quantal.train.team import Team, team_of
from skimage import data

from quantal.errors import ArgumentError, QuantalError
from quantal.train import read_recipe, run


def average(team: Team, folder: Path) -> None:
    """Average gradients that differ, and note what came of them."""
    gradients = [torch.full((2, 3), 1.0 + team.rank), None, torch.arange(4.0) * team.rank]
    team.average(gradients)
    clock = team.agreed(100.0 + team.rank)
    torch.save((gradients, clock), folder / f"{team.rank}.pt")
    team.agreed(0.0)  # nobody leaves before all have written


def leave(team: Team) -> None:
    team.agreed(0.0)
    os._exit(1)


def test_gradients_become_means_and_clocks_the_first_ones(tmp_path):
    with team_of(2, average, tmp_path) as team:
        assert team.leads and team.size == 2
        average(team, tmp_path)
    for rank in range(2):
        (first, none, last), clock = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(first, torch.full((2, 3), 1.5))
        assert none is None
        assert torch.equal(last, torch.arange(4.0) / 2)
        assert clock == 100.0


def test_one_that_stops_stops_the_run():
    with pytest.raises(QuantalError, match="--resume"), team_of(2, leave) as team:
        team.agreed(0.0)
        team.agreed(0.0)


def test_one_alone_changes_nothing():
    gradient = torch.ones(3)
    with team_of(1, average) as team:
        team.average([gradient, None])
        assert team.agreed(7.5) == 7.5 and team.share(5) == 5
    assert torch.equal(gradient, torch.ones(3))


@pytest.fixture
def recipe(tmp_path: Path, sizes: dict[str, Any]) -> Path:
    Image.fromarray(data.astronaut()).save(tmp_path / "a.png")
    values = {
        "codec": "context-m",
        "data": [str(tmp_path / "a.png")],
        "out": str(tmp_path / "run"),
        "model": sizes,
        "steps": 6,
        "processes": 2,
        "phases": [{"until": 1.0, "crop": 64, "batch": 4}],
        "export_batches": 2,
        "device": "cpu",
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_run_of_two_processes_goes_on_and_exports(recipe, tmp_path):
    run(recipe, ["steps=3"])
    weights = run(recipe, resume=True)
    assert weights.exists()
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert (checkpoint["step"], checkpoint["skipped"]) == (6, 0)


@pytest.mark.parametrize(
    ("override", "more", "says"),
    [
        ("phases=[{until: 1.0, crop: 64, batch: 3}]", [], "a batch of 3 can't be shared by 2"),
        ("codec=vq", ["objective.heads=heads.pth"], "set `processes: 1`"),
    ],
)
def test_what_processes_cannot_share_is_refused(recipe, override, more, says):
    with pytest.raises(ArgumentError, match=says):
        run(recipe, [override, "model={}", *more])


def test_no_process_is_too_few(recipe):
    with pytest.raises(ArgumentError, match="at least one process"):
        read_recipe(recipe, ["processes=0"])
