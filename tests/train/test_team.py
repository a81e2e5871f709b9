"""Several processes train as one does, and one that stops is missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from skimage import data

from quantal.errors import ArgumentError, ModelError, QuantalError
from quantal.team import Team
from quantal.train import read_recipe, run, train
from quantal.train.checks import check_equal, check_team
from quantal.train.joining import joined

IN_TWO = Path(__file__).with_name("in_two.py")
CPU = torch.device("cpu")
PHASES = [{"until": 0.5, "crop": 64, "batch": 4}, {"until": 1, "crop": 128, "batch": 2}]
SMALL = [{"until": 1, "crop": 64, "batch": 4}]
ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VQ = {
    "channels": [4, 6, 8, 8],
    "analysis_blocks": [1, 1, 1, 1],
    "synthesis_blocks": [1, 1, 1, 1],
    "code_channels": 4,
    "entries": [64, 8, 4],
}


class Recipes:
    """Recipes of seconds, of pictures in a folder.

    Args:
        folder: gets recipes, pictures and runs.
        sizes: of the network, where a recipe names no others.
    """

    def __init__(self, folder: Path, sizes: dict[str, Any]) -> None:
        self.folder, self._sizes = folder, sizes
        self._pictures = folder / "pictures"
        self._pictures.mkdir()
        Image.fromarray(data.astronaut()[:200, :230]).save(self._pictures / "a.png")
        Image.fromarray(data.chelsea()[:180, :300]).save(self._pictures / "b.png")

    def __call__(self, name: str, **changes: object) -> Path:
        values = {
            "codec": "context-m",
            "data": [str(self._pictures)],
            "out": str(self.folder / name),
            "model": self._sizes,
            "steps": 20,
            "warmup_steps": 2,
            "phases": PHASES,
            "export_batches": 2,
            "device": "cpu",
            "threads": 1,
            "bfloat16": False,
            **changes,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path


@pytest.fixture
def write(tmp_path: Path, sizes: dict[str, Any]) -> Recipes:
    """Write a recipe of seconds."""
    return Recipes(tmp_path, sizes)


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """An objective of `vq` with random weights for LPIPS, and a discriminator soon.

    With other weights a feature may lie between two entries of a codebook, and sums in another
    order choose the other.
    """
    folder = tmp_path_factory.mktemp("perceptual")
    state, heads = {}, {}
    torch.manual_seed(0)
    for place, (number, (out, inside, side)) in enumerate(ALEX.items()):
        weight = torch.randn(out, inside, side, side) / (inside * side * side) ** 0.5
        state |= {f"features.{number}.weight": weight, f"features.{number}.bias": torch.zeros(out)}
        heads[f"lin{place}.model.1.weight"] = torch.rand(1, out, 1, 1) / out
    torch.save(state, folder / "alex.pth")
    torch.save(heads, folder / "heads.pth")
    files = {"backbone": str(folder / "alex.pth"), "heads": str(folder / "heads.pth")}
    return {**files, "adversarial_from": 0.3, "shrink_at": 0.2}


@dataclass(frozen=True)
class Trained:
    """What two processes left behind.

    Attributes:
        write: writes recipes, in the folder of the runs.
        changes: what the recipes of two runs, NAME-2, change.
        died: the recipe of a run in which a process died.
    """

    write: Recipes
    changes: dict[str, dict[str, Any]]
    died: Path


@pytest.fixture(scope="module")
def in_two(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, Any], perceptual: dict[str, object]
) -> Trained:
    """Let torchrun run in_two.py in two processes, once for all tests: each start takes seconds."""
    write = Recipes(tmp_path_factory.mktemp("team"), sizes)
    vq = {"codec": "vq", "model": VQ, "objective": perceptual, "phases": SMALL}
    wide = {**sizes, "channels": [8, 12, 32]}  # wide enough for Muon
    runs = {"context": {"optimiser": "muon", "model": wide}, "codebooks": vq}
    recipes = [write(f"{name}-2", **changes) for name, changes in runs.items()]
    died = write("run", steps=8, checkpoint_minutes=0.0)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    options = ["--nproc-per-node", "2", "--max-restarts", "1", "--monitor-interval", "0.2"]
    done = subprocess.run(
        [*torchrun, *options, *map(str, (IN_TWO, write.folder, *recipes, died))],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    print(done.stderr)  # a restart may hide what failed first
    assert done.returncode == 0
    return Trained(write, runs, died)


def test_two_processes_agree_and_train_as_one(in_two):
    """20 steps in float32 give the parameters of one process; also codebooks, which are sums."""
    folder = in_two.write.folder
    for name, changes in in_two.changes.items():
        train(read_recipe(in_two.write(f"{name}-1", **changes)))
        one, two = (
            torch.load(folder / f"{name}-{count}" / "checkpoint.pt", weights_only=True)
            for count in (1, 2)
        )
        assert two["step"] == 20 and two["skipped"] == one["skipped"]
        for part in ("net", "ema"):
            for key, value in one[part].items():
                torch.testing.assert_close(two[part][key], value, rtol=0, atol=1e-5, msg=key)

    first, second = (torch.load(folder / f"{r}.pt", weights_only=False) for r in range(2))
    for found in (first, second):
        both, lone, none = found["gradients"]
        assert torch.equal(both, torch.full((2, 3), 1.5))
        assert torch.equal(lone, torch.tensor([0.5, 1.0])) and none is None
        assert (found["clock"], found["bytes"]) == (100.0, b"of the first")
    assert (first["place"], second["place"]) == ((0, 5), (3, 5))
    assert (first["mean_of"] + second["mean_of"]) / 2 == torch.tensor([0.0, 0.0, 1.0, 2.0]).mean()
    assert (first["led"], second["led"]) == (1, 0)
    assert first["failed"].startswith("ZeroDivisionError")
    assert second["failed"].startswith("QuantalError: the first process")
    torch.manual_seed(1)
    whole = torch.rand_like(torch.zeros(4, 3, 4, 5).contiguous(memory_format=torch.channels_last))
    assert torch.equal(torch.cat([first["noise"], second["noise"]]), whole)


def test_a_run_whose_process_died_goes_on_from_its_checkpoint(in_two):
    recipe, out = in_two.died, in_two.write.folder / "run"
    entries = (out / "log.jsonl").read_text().splitlines()
    starts = [e["step"] for e in map(json.loads, entries) if e.get("event") == "start"]
    assert starts == [0, 4]
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 8
    with pytest.raises(ModelError, match=r"its `model\.z_channels` is 8, here it is 16"):
        run(recipe, ["model.z_channels=16", "steps=9"], resume=True)
    with pytest.raises(ModelError, match="another recipe: its `codec` is 'context-m'"):
        run(recipe, ["codec=hyperprior", "steps=9"], resume=True)


def test_the_command_starts_processes_and_names_what_fails_in_them(write, tmp_path):
    recipe = write("run", steps=2, processes=2, phases=SMALL)
    command = [sys.executable, "-m", "quantal", "train", str(recipe), "stream=true", "buffer=16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "in 2 processes" in done.stdout and done.stdout.count("weights:") == 1
    assert (tmp_path / "run" / "context-m.safetensors").exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "process 1 of 2:" in done.stderr and "go on with --resume" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "processes", "says"),
    [
        ({}, 2, "torchrun --nproc-per-node 2 -m quantal train RECIPE"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, 1, "WORLD_SIZE='two', expected a whole number"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, 1, "no MASTER_ADDR and no MASTER_PORT"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, 1, "RANK=2"),
    ],
)
def test_a_wrong_environment_is_named(write, monkeypatch, environment, processes, says):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match=says):
        train(read_recipe(write("run", processes=processes)))


def test_wrong_teams_are_refused():
    with pytest.raises(ArgumentError, match="a batch of 3 can't be shared by 2 processes"):
        Team(0, 2).rows(3)


def test_machines_with_other_data_are_refused(monkeypatch):
    monkeypatch.setattr(Team, "agreed", lambda self, value: 100.0)
    with pytest.raises(
        ArgumentError, match="process 2 has 99 training pictures, the first one 100"
    ):
        check_equal(99, Team(1, 2))


def test_processes_beside_those_of_torchrun_are_refused(write, monkeypatch):
    recipe = read_recipe(write("run", processes=2))
    with pytest.raises(ArgumentError, match="leave `processes` out"):
        check_team(recipe, Team(0, 4))
    with pytest.raises(ArgumentError, match="at least one process"):
        read_recipe(write("run", processes=0))


def test_one_alone_changes_nothing():
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    done: list[int] = []
    with joined(CPU) as team:
        team.average([parameter])
        team.lead(lambda: done.append(1))
        assert team.agreed(7.5) == 7.5 and team.rows(5) == range(5) and done
        with pytest.raises(QuantalError):
            team.lead(lambda: (_ for _ in ()).throw(QuantalError("alone")))
    assert torch.equal(parameter.grad, torch.ones(3))
