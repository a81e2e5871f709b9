"""Training of codecs of indices: recipes, phases, export, and what can be wrong with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import quantal
from quantal.errors import ArgumentError, ModelError
from quantal.train import run
from quantal.train.objectives.perceptual import BACKBONES, Lpips

sys.path.insert(0, str(Path(__file__).parents[1] / "codecs"))

from small_vq import pictures, scene

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def recipe(tmp_path: Path, perceptual: dict[str, str]) -> Callable[..., Path]:
    """A recipe of ours, from a KLT and cut down to seconds."""
    data = tmp_path / "data"
    data.mkdir()
    for number, picture in enumerate(pictures(2, 272)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(data / f"{number}.png")

    def write(name: str, **changes: object) -> Path:
        values = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
        values |= {"data": [str(data)], "out": str(tmp_path / name), "steps": 6, "minutes": None}
        values["objective"] = {**values.get("objective", {}), **perceptual}
        values |= {"bfloat16": False, "threads": 1, "start_from": None, "export_batches": 2}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return path

    return write


VQ = {
    "channels": [4, 6, 8, 8],
    "analysis_blocks": [1, 1, 1, 1],
    "synthesis_blocks": [1, 1, 1, 1],
    "code_channels": 4,
    "entries": [16, 8, 4],
}
PHASES = [{"until": 1.0, "crop": 64, "batch": 4}]


def log(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_vq_trains_refines_and_its_cells_are_learned(recipe, tmp_path) -> None:
    """Three runs one after the other: a codec, its refinement, its concealment."""
    logged: list[dict[str, object]] = []
    small = {"model": VQ, "phases": PHASES, "evaluation": [str(tmp_path / "data")]}
    weights = run(recipe("vq", **small), log=lambda entry: logged.append(dict(entry)))
    points = next(e["points"] for e in logged if e.get("event") == "evaluation")
    assert [p["rate"] for p in points] == ["coarse", "medium", "mixed"]  # type: ignore[attr-defined, index]
    assert all(np.isfinite([p["bpp"], p["psnr"], p["lpips"]]).all() for p in points)  # type: ignore[attr-defined, index]
    codec = quantal.load("vq", "cpu", weights=weights)
    assert codec.decompress(codec.compress(scene(70, 50))).size == (70, 50)

    held = [{"until": 1.0, "crop": 64, "batch": 4, "hold": ["analysis", "synthesis", "rungs"]}]
    refined = run(
        recipe("vq", model={**VQ, "refine_width": 8}, phases=held, start_from=str(weights)),
        [f"out={tmp_path / 'refined'}", "objective.commitment=1", "objective.adversarial=0"],
    )
    data = codec.compress(scene(70, 50))
    finer = quantal.load("vq", "cpu", weights=refined)
    assert finer.decompress(data).size == (70, 50)  # the hash is the same: older files are read
    one, other = (c.networks() for c in (codec, finer))  # type: ignore[attr-defined]
    assert other.refiner is not None and bool(other.refiner.leave.weight.abs().max() > 0)
    for name, value in one.state_dict().items():
        if not name.endswith((".counts", ".sums")):
            assert torch.equal(other.state_dict()[name], value)

    sizes = {"code_channels": 4, "width": 16, "blocks": 1, "heads": 2}
    cells = [{"until": 1.0, "crop": 256, "batch": 2}]
    beside = run(recipe("vq-conceal", model=sizes, phases=cells, start_from=str(weights)))
    beside.rename(weights.with_name("vq-conceal.safetensors"))
    damaged = bytearray(codec.compress(scene(64, 320), resilient=True))
    damaged[-7] ^= 1
    with pytest.warns(UserWarning, match="made up"):
        assert codec.decompress(bytes(damaged), conceal=True).size == (64, 320)


def test_tokens_train(recipe, tmp_path) -> None:
    model = {
        "channels": [4, 6, 8],
        "analysis_blocks": [1, 1, 1],
        "synthesis_blocks": [1, 1, 1],
        "tokens": 12,
        "encoder_blocks": 1,
        "decoder_blocks": 1,
        "heads": 2,
    }
    path = recipe("tokens", model=model, phases=[{"until": 1.0, "crop": 256, "batch": 2}])
    codec = quantal.load("tokens", "cpu", weights=run(path))
    assert codec.decompress(codec.compress(scene(70, 50))).size == (70, 50)


def test_a_run_goes_on_with_its_discriminator(recipe, tmp_path) -> None:
    path = recipe("vq", model=VQ, phases=PHASES)
    with_discriminator = ["objective.adversarial_from=0.0", "objective.shrink_at=0.0"]
    run(path, ["steps=3", *with_discriminator])
    run(path, ["steps=5", *with_discriminator], resume=True)
    saved = torch.load(tmp_path / "vq" / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 5 and saved["objective"]["shrunk"]
    moved = [v["step"] for v in saved["objective"]["optimiser"]["state"].values()]
    assert moved and all(int(step) == 5 for step in moved)


def test_the_discriminator_learns_to_tell(perceptual) -> None:
    from quantal.train.objectives.discriminator import Discriminator

    torch.manual_seed(1)
    lpips = Lpips("alex", perceptual["heads"], perceptual["backbone"])
    discriminator = Discriminator(lpips.widths, 16)
    optimiser = torch.optim.AdamW(discriminator.parameters(), lr=2e-3)
    stripes = ((torch.arange(64) // 4) % 2).float().expand(4, 3, 64, 64)
    flat = torch.full((4, 3, 64, 64), 0.5)

    def margin() -> torch.Tensor:
        true, fake = (discriminator(p, lpips.features(p)) for p in (stripes, flat))
        return torch.stack([a.mean() - b.mean() for a, b in zip(true, fake, strict=True)]).mean()

    before = float(margin().detach())
    for _ in range(30):
        optimiser.zero_grad()
        (-margin()).backward()
        optimiser.step()
    assert float(margin().detach()) > before + 0.5


def test_lpips_is_nothing_between_equal_pictures_and_grows(perceptual) -> None:
    lpips = Lpips("alex", perceptual["heads"], perceptual["backbone"])
    picture = torch.rand(2, 3, 64, 64)
    near, far = (picture + part * torch.randn_like(picture) for part in (0.02, 0.3))
    assert float(lpips(picture, picture).abs().max()) == 0
    assert (lpips(near, picture) < lpips(far, picture)).all()


def test_lpips_is_that_of_the_package() -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "perceptual"
    if not folder.is_dir():
        pytest.skip("needs LPIPS' weights in ../shared/data/perceptual")
    from quantal.eval.metrics import metric

    backbone = folder / "alexnet_features_torchvision.pth"
    ours = Lpips("alex", folder / "lpips_lin_v0.1_alex.pth", backbone)
    one, other = scene(96, 80), scene(96, 80)[::-1].copy()
    tensors = [torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (one, other)]
    theirs = metric("lpips", folder)(one, other)
    assert float(ours(*tensors)) == pytest.approx(theirs, abs=1e-5)


def test_wrong_recipes_are_named(recipe, tmp_path, perceptual) -> None:
    path = recipe("vq", model=VQ, phases=PHASES)
    for change, error, message in (
        ("objective.colour=1", ArgumentError, "unknown key 'objective.colour'"),
        ("objective.pixel=much", ArgumentError, "`objective.pixel` is 'much', expected a number"),
        ("objective.net=resnet", ArgumentError, "LPIPS has no network 'resnet'"),
        (f"objective.heads={tmp_path / 'none.pth'}", ModelError, "can't be read"),
        (f"objective.heads={perceptual['backbone']}", ModelError, "lack"),
        ("model.entries=[4, 8]", ArgumentError, "smaller"),
        ("model.entries=[]", ArgumentError, "1 to 16 codebooks"),
        ("model.entries=[5000, 8]", ArgumentError, "2 to 2048 entries"),
        ("model.channels=[4, 4]", ArgumentError, "channels"),
        ("start_from=quantal/weights/hyperprior.safetensors", ModelError, "format"),
    ):
        with pytest.raises(error, match=message):
            run(path, [change, f"out={tmp_path / 'wrong'}"])
    lone = recipe("vq-conceal")
    with pytest.raises(ArgumentError, match="start_from"):
        run(lone, [f"out={tmp_path / 'lone'}"])


def test_backbones_are_those_of_the_papers() -> None:
    assert BACKBONES["alex"].taps == (0, 3, 6, 8, 10)
    assert len(BACKBONES["vgg"].layers) == 13
