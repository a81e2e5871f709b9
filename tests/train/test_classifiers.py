"""A frozen classifier takes part in the distortion of a codec of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quantal.errors import ArgumentError, ModelError
from quantal.train import run
from quantal.train.classifiers import FeatureDistance, classifier
from quantal.train.trainer import trainer_of

models = pytest.importorskip("torchvision.models")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("classifier") / "net.pth"
    torch.save(models.mobilenet_v2().state_dict(), path)
    return path


def test_a_distance_is_that_of_features(weights) -> None:
    net = classifier("mobilenet_v2", str(weights))
    distance = FeatureDistance(net, (2, 4), torch.device("cpu"))
    pixels = torch.rand(3, 3, 64, 64)
    assert distance(pixels, pixels).abs().max() == 0
    drawn = (pixels + 0.1 * torch.randn_like(pixels)).requires_grad_()
    found = distance(drawn, pixels)
    assert found.shape == (3,) and (found > 0).all()
    found.sum().backward()
    assert drawn.grad is not None and drawn.grad.abs().sum() > 0
    mean, spread = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    wanted = torch.zeros(3)
    for layer in (2, 4):
        with torch.no_grad():
            one, two = (net.features[: layer + 1]((x - mean) / spread) for x in (drawn, pixels))
        power = two.square().mean().clamp_min(1e-4)
        wanted += (one - two).square().mean((1, 2, 3)) / power / 2
    torch.testing.assert_close(found.detach(), wanted, rtol=1e-3, atol=1e-5)


def test_layers_that_work_in_place_change_no_features() -> None:
    net = models.vgg11(num_classes=2).eval()
    distance = FeatureDistance(net, (0, 3), torch.device("cpu"))
    pixels = torch.rand(1, 3, 32, 32)
    assert distance._features(pixels)[0].min() < 0
    assert distance(pixels, pixels) == 0


@pytest.mark.parametrize("layers", [(), (19,), (-1,)])
def test_layers_that_do_not_exist_are_refused(weights, layers) -> None:
    with pytest.raises(ArgumentError, match="expected some of 0 to 18"):
        FeatureDistance(classifier("mobilenet_v2", str(weights)), layers, torch.device("cpu"))


def test_networks_without_features_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no `features`"):
        FeatureDistance(models.resnet18(), (1,), torch.device("cpu"))


TEXT = """
codec: {codec}
data: [{data}]
evaluation: [{data}]
out: {out}
model: {model}
objective: {{quantise_from: 0.0, evaluation_rates: [20], recogniser: mobilenet_v2,
  recogniser_weights: {weights}, recogniser_layers: [2, 4], recognition: {weight}}}
steps: 50
phases: [{{until: 1.0, crop: 64, batch: 2}}]
warmup_steps: 1
learning_rate: 0.002
ema: 0.5
export_batches: 1
device: cpu
bfloat16: false
"""
MODELS = {
    "context-s": "{channels: [8, 12, 16], blocks: [1, 1, 1], z_channels: 8}",
    "wavelet": "{channels: 8, analysis_width: 12, analysis_blocks: 0, classes: 3}",
}


@pytest.mark.parametrize("codec", MODELS)
def test_a_codec_is_trained_for_what_a_recogniser_sees(codec, weights, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        pixels = rng.integers(0, 256, (80, 80, 3)).astype(np.uint8)
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{number}.png")
    given = {"data": tmp_path / "data", "model": MODELS[codec], "weights": weights}
    text = TEXT.format(codec=codec, **given, out=tmp_path / "run", weight=0.01)
    path, log = tmp_path / "recipe.yaml", []
    path.write_text(text, encoding="utf-8")
    run(path, log=log.append)
    steps = [entry for entry in log if "features" in entry]
    assert steps and all(entry["features"] > 0 for entry in steps)
    (point,) = next(entry["points"] for entry in log if entry.get("event") == "evaluation")
    assert point["features"] > 0 and point["psnr"] > 0
    for changed, error, reason in (
        (text.replace("[2, 4]", "[40]"), ArgumentError, "expected some of 0 to 18"),
        (text.replace("0.01}", "0}"), ArgumentError, "recognition is more than 0"),
        (text.replace(str(weights), "no.pth"), ArgumentError, "no file no.pth"),
        (text.replace("recogniser: mobilenet_v2", "recogniser: vgg11"), ModelError, "of vgg11"),
        (text.replace("recogniser: mobilenet_v2", "recogniser: nobody"), ArgumentError, "nobody"),
    ):
        path.write_text(changed.replace("/run", "/other"), encoding="utf-8")
        with pytest.raises(error, match=reason):
            run(path)


@pytest.mark.parametrize("codec", MODELS)
def test_crops_stand_upright_for_a_recogniser(codec) -> None:
    from quantal.train.reader import make_recipe

    trainer = trainer_of(codec)
    plain = {"codec": codec, "data": ["x"], "out": "y"}
    data = [torch.zeros(3, 64, 64, dtype=torch.uint8)]
    for objective, turns in (({}, 8), ({"recogniser": "vgg11"}, 2)):
        recipe = make_recipe({**plain, "objective": objective})
        assert trainer.sampler(data, torch.device("cpu"), recipe).turns == turns
