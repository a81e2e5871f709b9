"""What a run leaves for people to look at: samples, curves, TensorBoard, Weights & Biases."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from skimage import data

from quantal.errors import ArgumentError, InstallError
from quantal.train import read_recipe, train
from quantal.train.journal import journal


@pytest.fixture
def recipe(tmp_path: Path, sizes: dict[str, Any]) -> Path:
    for name, picture in (("a", data.astronaut()), ("b", data.chelsea())):
        Image.fromarray(picture[:150, :330]).save(tmp_path / f"{name}.png")
    values = {
        "codec": "hyperprior",
        "data": [str(tmp_path / "a.png")],
        "evaluation": [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
        "objective": {"evaluation_rates": [48, 8]},
        "out": str(tmp_path / "run"),
        "model": sizes,
        "steps": 2,
        "phases": [{"until": 1, "crop": 64, "batch": 2}],
        "device": "cpu",
        "threads": 1,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_an_evaluation_leaves_samples_and_curves(recipe: Path, tmp_path: Path) -> None:
    train(read_recipe(recipe, ["dashboard=tensorboard"]))
    with Image.open(tmp_path / "run" / "samples" / "00000002.png") as opened:
        picture = np.asarray(opened)
    # Two rows of the original and two rates, 256 x 150 in the middle, 4 pixels apart.
    assert picture.shape == (2 * 150 + 4, 3 * 256 + 8, 3)
    original = data.astronaut()[:150, 37:293]
    assert np.array_equal(picture[:150, :256], original)
    coarse, fine = picture[:150, 260:516], picture[:150, 520:]
    errors = [np.square(each.astype(float) - original).mean() for each in (coarse, fine)]
    assert errors[0] > errors[1]
    with Image.open(tmp_path / "run" / "curves.png") as opened:
        assert opened.width > 100

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    assert {"evaluation/psnr at 8", "evaluation/bpp at 48"} <= {*found.Tags()["scalars"]}
    assert found.Tags()["images"] == ["samples"]
    entries = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    points = next(e["points"] for e in map(json.loads, entries) if e.get("event") == "evaluation")
    assert found.Scalars("evaluation/psnr at 8")[0].value == pytest.approx(points[1]["psnr"])


def test_weights_and_biases_is_told_of_every_entry(recipe, monkeypatch, tmp_path) -> None:
    """With a stand-in for the package, which starts a program of its own."""
    logged: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    finished: list[bool] = []
    told = types.SimpleNamespace(
        log=logged.append, define_metric=lambda *a, **k: None, finish=lambda: finished.append(True)
    )
    stand_in = types.ModuleType("wandb")
    stand_in.init = lambda **given: about.update(given) or told  # type: ignore[attr-defined]
    stand_in.Image = lambda pixels: pixels.shape  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    (tmp_path / "run").mkdir()
    with journal(read_recipe(recipe, ["dashboard=wandb"]), None) as opened:
        opened({"event": "start", "step": 0, "pictures": 1})
        opened({"step": 50, "loss": 3.5})
        opened({"event": "evaluation", "step": 60, "points": [{"rate": 8, "psnr": 30.0}]})
        opened.show(60, [[torch.zeros(3, 5, 6, dtype=torch.uint8)] * 2])
    assert logged == [
        {"step": 50, "training/loss": 3.5},
        {"step": 60, "evaluation/psnr at 8": 30.0},
        {"step": 60, "samples": (5, 16, 3)},
    ]
    assert about["name"] == "run" and about["config"]["codec"] == "hyperprior" and finished


def test_a_dashboard_that_is_missing_is_named(recipe, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InstallError, match=r"pip install 'quantal\[wandb\]'"):
        train(read_recipe(recipe, ["dashboard=wandb"]))
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    for module in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InstallError, match=r"pip install 'quantal\[tensorboard\]'"):
        train(read_recipe(recipe, ["dashboard=tensorboard"]))
    with pytest.raises(ArgumentError, match="`dashboard` is 'excel', expected one of tensorboard"):
        read_recipe(recipe, ["dashboard=excel"])
