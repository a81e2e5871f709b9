"""A run on a tiny network: it learns, survives interruption, and what it exports codes pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from skimage import data

import quantal
from quantal.codecs.hyperprior.net import HyperpriorNet
from quantal.codecs.pyramid.weights import read_entropy_net_weights
from quantal.errors import ArgumentError, ModelError, OutOfMemoryError, OutputError
from quantal.train import export_checkpoint, read_recipe, run
from quantal.train.data import CropSampler, read_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two pictures, which tests leave as it is."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(data.astronaut()[:300, :330]).save(folder / "a.png")
    Image.fromarray(data.astronaut()[200:, 200:]).save(folder / "b.webp")
    return folder


def write_recipe(folder: Path, pictures: Path, sizes: dict[str, Any]) -> Path:
    """A recipe of seconds, without an evaluation."""
    path = folder / "recipe.yaml"
    values = {
        "codec": "hyperprior",
        "data": [str(pictures)],
        "out": str(folder / "run"),
        "model": sizes,
        "steps": 60,
        "warmup_steps": 5,
        "phases": [
            {"until": 0.5, "crop": 64, "batch": 4},
            {"until": 1.0, "crop": 128, "batch": 2},
        ],
        "export_batches": 2,
        "objective": {"evaluation_rates": [0, 63]},
        "device": "cpu",
        "threads": 1,
    }
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture
def recipe(tmp_path: Path, pictures: Path, sizes: dict[str, Any]) -> Path:
    return write_recipe(tmp_path, pictures, sizes)


@pytest.fixture(scope="module")
def evaluated(pictures: Path) -> str:
    """An override that evaluates; its plots take longer than some runs."""
    return f"evaluation=[{pictures / 'a.png'}]"


@dataclass(frozen=True)
class Trained:
    """A run of 60 steps that several tests look at or go on from."""

    folder: Path
    weights: Path
    logged: list[Any]


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, sizes: dict[str, Any], evaluated: str
) -> Trained:
    folder, logged = tmp_path_factory.mktemp("trained"), []
    weights = run(write_recipe(folder, pictures, sizes), [evaluated], log=logged.append)
    return Trained(folder / "run", weights, logged)


def log(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_weights_that_code_pictures(trained):
    assert trained.weights == trained.folder / "hyperprior.safetensors"
    assert trained.logged == log(trained.folder)
    (evaluation,) = (entry for entry in trained.logged if entry.get("event") == "evaluation")
    low, high = evaluation["points"]
    assert low["bpp"] < high["bpp"] and low["psnr"] < high["psnr"]
    codec = quantal.load("hyperprior", "cpu", weights=trained.weights)
    pixels = data.astronaut()[100:200, 100:230]
    drawn = np.asarray(codec.decompress(codec.compress(pixels, quality=90)))
    assert np.square(drawn.astype(float) - pixels).mean() < 600


def test_a_run_leaves_threads_and_random_numbers_as_they_were(recipe, evaluated, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(5)
        state = torch.get_rng_state()
        run(recipe, ["steps=2", "threads=1", evaluated])
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
        with pytest.raises(ArgumentError):
            run(recipe, ["data=[nowhere]", f"out={tmp_path / 'other'}", "threads=1"])
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)


def test_an_interrupted_run_goes_on(recipe, tmp_path):
    run(recipe, ["steps=10"])
    with pytest.raises(ArgumentError, match="--resume"):
        run(recipe, ["steps=20"])
    run(recipe, ["steps=20"], resume=True)
    starts = [entry["step"] for entry in log(tmp_path / "run") if entry.get("event") == "start"]
    assert starts == [0, 10]
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert checkpoint["step"] == 20


def test_training_goes_on_from_a_weights_file(recipe, trained, tmp_path):
    weights = trained.weights
    again = run(recipe, ["steps=1", f"start_from={weights}", f"out={tmp_path / 'again'}"])
    first, second = (read_entropy_net_weights(w, HyperpriorNet).net for w in (weights, again))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=2e-3)
    with pytest.raises(ModelError, match="sizes"):
        other = f"out={tmp_path / 'other'}"
        run(recipe, [f"start_from={weights}", "model.channels=[8, 12, 20]", other])


def test_steps_that_are_not_finite_change_nothing(recipe, tmp_path, monkeypatch):
    from quantal.train.objectives.rate_distortion import RateDistortion

    plain = RateDistortion.losses
    calls = iter(range(1000))

    def spoiled(*arguments):
        losses = plain(*arguments)
        if next(calls) % 3 == 1:
            losses["loss"] = losses["loss"] * float("nan")
        return losses

    monkeypatch.setattr(RateDistortion, "losses", spoiled)
    run(recipe, ["steps=9"])
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert checkpoint["skipped"] == 3
    assert all(torch.isfinite(v).all() for v in checkpoint["ema"].values())


def test_a_checkpoint_of_other_sizes_is_refused(recipe, tmp_path):
    run(recipe, ["steps=2"])
    with pytest.raises(ModelError, match="does not fit"):
        run(recipe, ["steps=4", "model.channels=[8, 12, 20]"], resume=True)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        export_checkpoint(tmp_path / "run" / "checkpoint.pt", tmp_path / "w.safetensors")


def test_shards_and_folders_give_the_same_pictures(pictures, tmp_path):
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as file:
        for path in sorted(pictures.iterdir()):
            file.add(path, path.name)
    for one, other in zip(read_pictures([shard]), read_pictures([pictures]), strict=True):
        assert torch.equal(one, other)


def test_crops_are_parts_of_pictures(pictures):
    sampler = CropSampler(read_pictures([pictures], 64), torch.device("cpu"), seed=1)
    crops = sampler.batch(5, 64)
    assert crops.shape == (5, 3, 64, 64)
    assert crops.min() >= 0 and crops.max() <= 1
    sampler.reseed(1)
    assert torch.equal(sampler.batch(5, 64), crops)


@pytest.mark.parametrize("data, message", [("[]", "no picture"), ("[nowhere]", "does not exist")])
def test_missing_pictures_are_named(recipe, data, message):
    with pytest.raises(ArgumentError, match=message):
        run(recipe, [f"data={data}"])


@pytest.mark.parametrize(
    "override, message",
    [
        ("stepz=3", "unknown key 'stepz'; did you mean 'steps'"),
        ("steps=0", "steps >= 1"),
        ("phases=[{until: 1.0, crop: 100, batch: 2}]", "multiples of 64"),
        ("phases=[{until: 1.0, crop: 64, batch: 2, hold: 3}]", "recipe.yaml"),
        ("phases=[{until: 1.0, crop: 64, batch: 2, hold: [analyses]}]", "'analyses'"),
        ("phases=[{until: 1.0, crop: 64, batch: 2, held: [mean]}]", "yaml: .*held'; .* .*hold'"),
        ("nonsense", "key=value"),
        ("model.channels=[8]", "`model.channels` is .*, expected a list of 3 whole numbers"),
        ("codec=nonesuch", "nonesuch"),
        ("device=abacus", "abacus"),
        ("model=3", "mapping"),
        ("steps.most=3", "not a section"),
        ("steps=[", "not YAML"),
        ("objective.middle_rates=1", "at least 0 and below 1, not 1"),
        ("objective.distortion=rgb", "distortion` is 'rgb', expected a mapping"),
        ("objective.distortion={mse: 1}", "unknown key 'objective.distortion.mse'"),
        ("objective.distortion={lpips: 1}", "LPIPS needs weights"),
        ("objective.distortion={ms_ssim: 1}", "crops of 176 pixels a side or more, not 64"),
    ],
)
def test_wrong_recipes_are_named_before_any_picture_is_read(recipe, override, message):
    with pytest.raises((ArgumentError, ModelError), match=message):
        run(recipe, ["data=[nowhere]", override])


def test_overrides_reach_into_sections(recipe):
    changed = read_recipe(recipe, ["model.z_channels=12", "learning_rate=1e-3"])
    assert changed.model.z_channels == 12
    assert changed.learning_rate == pytest.approx(1e-3)


def test_a_phase_holds_parts_and_prices_rounded_symbols(recipe, tmp_path):
    first = {"until": 0.5, "crop": 64, "batch": 2}
    last = {"until": 1.0, "crop": 64, "batch": 2, "hold": ["analysis"], "rounded": True}
    run(recipe, ["steps=10", f"phases={json.dumps([first, last])}"])
    half = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    run(recipe, ["steps=20", f"phases={json.dumps([first, last])}"], resume=True)
    whole = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    for part, stands in (("analysis", True), ("synthesis", False)):
        names = [n for n in half["net"] if n.startswith(part) and n.endswith("weight")]
        assert all(torch.equal(half["net"][n], whole["net"][n]) for n in names) == stands
    with pytest.raises(ArgumentError, match="'analyses'"):
        other = json.dumps([{**last, "hold": ["analyses"]}])
        run(recipe, [f"phases={other}", f"out={tmp_path / 'other'}"])


def test_a_context_codec_goes_on_from_another_codec_s_transforms(recipe, trained, tmp_path, sizes):
    weights = trained.weights
    changes = {"codec": "context-s", "start_from": str(weights), "steps": 6, "out": "x"}
    changes["out"] = str(tmp_path / "context")
    sizes = {**sizes, "blocks": [2, 1, 1], "order": "places"}
    options = [f"{key}={value}" for key, value in changes.items()]
    hold = json.dumps([{"until": 1.0, "crop": 64, "batch": 2, "hold": ["analysis", "synthesis"]}])
    grown = run(recipe, [*options, f"model={json.dumps(sizes)}", f"phases={hold}"])
    codec = quantal.load("context-s", "cpu", weights=grown)
    other = quantal.load("hyperprior", "cpu", weights=weights)
    # One block more, which began as the identity and stood still: the transforms are the same.
    pixels = data.astronaut()[:64, :64]
    torch.testing.assert_close(codec.analyse(pixels), other.analyse(pixels), rtol=0, atol=1e-3)
    drawn = np.asarray(codec.decompress(codec.compress(pixels, quality=90)))
    assert np.square(drawn.astype(float) - pixels).mean() < 2000


def test_a_step_without_memory_says_what_helps(recipe, tmp_path, monkeypatch):
    from quantal.train.objectives.rate_distortion import RateDistortion

    run(recipe, ["steps=2"])
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(RateDistortion, "losses", lambda *_: torch.empty(1 << 50))
    with pytest.raises(OutOfMemoryError, match="a step on 4 crops of 64x64 pixels needs") as caught:
        run(recipe, ["steps=9"], resume=True)
    assert "set a smaller `batch` or `crop`" in str(caught.value)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_what_cannot_be_written_is_named(recipe, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/run can't be created as a folder"):
        run(recipe, [f"out={tmp_path / 'file' / 'run'}"])
    out = tmp_path / "run"
    out.mkdir()
    (out / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"log\.jsonl can't be written: No space left"):
        run(recipe, ["steps=1"])
    (out / "log.jsonl").unlink()
    (out / "checkpoint.partial").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"checkpoint .*checkpoint\.pt can't be written: "):
        run(recipe, ["steps=1"])
    assert sorted(path.name for path in out.iterdir()) == ["log.jsonl"]


def test_a_closed_output_does_not_stop_a_run(recipe, evaluated, tmp_path):
    command = [sys.executable, "-m", "quantal", "train", str(recipe), "steps=10", evaluated]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    ) as process:
        process.stdout.readline()
        process.stdout.close()  # as `| head -1` does
        process.wait(300)
    assert (tmp_path / "run" / "hyperprior.safetensors").is_file()
    assert log(tmp_path / "run")[-1]["step"] == 10
