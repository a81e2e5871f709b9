"""A family of another package is trained by the same command, and its weights code pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from skimage import data

from quantal.codecs import registry
from tests.calling import call

PLUGIN = Path(__file__).with_name("tiny_codec.py")
MAIN = "from quantal.cli import main; main()"


@pytest.fixture(autouse=True)
def own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call registers here, it registers for one test."""
    monkeypatch.setenv("QUANTAL_PLUGINS", "")  # what calls add is undone
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    Image.fromarray(data.astronaut()[:128, :160]).save(tmp_path / "a.png")
    values = {
        "codec": "tiny-a",
        "data": [str(tmp_path / "a.png")],
        "out": str(tmp_path / "run"),
        "model": {"channels": 24},
        "objective": {"evaluation_rates": [31]},
        "evaluation": [str(tmp_path / "a.png")],
        "steps": 120,
        "warmup_steps": 5,
        "phases": [{"until": 1.0, "crop": 48, "batch": 4, "rounded": True}],
        "export_batches": 4,
        "device": "cpu",
        "threads": 1,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_family_of_another_package_trains_and_codes(recipe, tmp_path):
    """A process of its own trains, as a user has it; its weights code pictures in this one."""
    command = [sys.executable, "-c", MAIN, "train", "--plugin", str(PLUGIN), str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "evaluation at step 120" in done.stdout
    weights = tmp_path / "run" / "tiny-a.safetensors"
    options = ("--plugin", PLUGIN, "--weights", weights)
    packed, drawn = tmp_path / "a.qtl", tmp_path / "drawn.png"
    found = call("compress", *options, "--codec", "tiny-a", tmp_path / "a.png", "-o", packed)
    assert found.status == 0, found.err
    found = call("decompress", *options, packed, "-o", drawn)
    assert found.status == 0, found.err
    true, found = (np.asarray(Image.open(p)).astype(float) for p in (tmp_path / "a.png", drawn))
    assert np.square(true - found).mean() < 400


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.chanels=3", "did you mean 'model.channels'?"),
        ("phases=[{until: 1.0, crop: 40, batch: 2}]", "multiples of 16 for 'tiny-a'"),
        ("phases=[{until: 1.0, crop: 48, batch: 2, hold: [entropie]}]", "did you mean 'entropy'?"),
        ("start_from=recipe.yaml", "start from no weights"),
    ],
)
def test_wrong_recipes_of_it_are_named(recipe, override, message, monkeypatch):
    monkeypatch.chdir(recipe.parent)
    done = call("train", "--plugin", PLUGIN, recipe, override)
    assert done.status != 0
    assert message in " ".join(done.err.split())


def test_a_family_without_a_trainer_says_so(recipe):
    done = call("train", recipe, "codec=compressai")
    assert "'compressai' can't be trained" in " ".join(done.err.split())
