"""Models that are shown latents in place of pixels, through a stem."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quantal.codecs.info import Card
from quantal.codecs.wavelet.net import WaveletConfig, WaveletNet
from quantal.errors import ArgumentError
from quantal.eval.perception import Plan, evaluate
from quantal.eval.perception.route import Undrawn, answered
from quantal.latents.adapters import replace_stem
from quantal.latents.recognisers import (
    StemConfig,
    StemNet,
    fingerprint,
    read_recogniser,
    write_recogniser,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "codecs"))

from small import write_untrained

models = pytest.importorskip("torchvision.models")

CHANNELS = 8


def write_stem(path: Path, teacher: torch.Tensor, **changes: object) -> Path:
    torch.manual_seed(2)
    stem = StemNet(StemConfig("wavelet", CHANNELS, **changes))  # type: ignore[arg-type]
    stem.teacher.copy_(teacher)
    write_recogniser(path, stem, Card())
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a codec, a stem, a classifier of two classes and pictures of them."""
    root, rng = tmp_path_factory.mktemp("route"), np.random.default_rng(0)
    torch.manual_seed(1)
    net = WaveletNet(WaveletConfig(CHANNELS, 16, 0, 8, (0,), 3))
    net.initialise(torch.rand(4, 3, 64, 64))
    write_untrained(root / "wavelet.safetensors", net)
    classifier = models.mobilenet_v2(num_classes=2).eval()
    write_stem(root / "stem.safetensors", fingerprint(classifier), width=8, blocks=1)
    torch.save(classifier.state_dict(), root / "classifier.pth")
    for name in ("0", "1"):
        (root / "pictures" / name).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / "pictures" / name / f"{number}.png")
    return root


@pytest.fixture(autouse=True)
def own_weights(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(room))


def plan(room: Path, out: Path, spec: str, model: str = "mobilenet_v2") -> Plan:
    weights = room / "classifier.pth" if model == "mobilenet_v2" else None
    return Plan(
        codecs=(f"wavelet:weights={room}/wavelet.safetensors", spec),
        data=room / "pictures",
        task="classify",
        model=model,
        out=out,
        qualities={"": (50.0,)},
        weights=weights,
        jobs=0,
        metrics=("psnr",),
    )


def test_latents_are_a_curve_beside_pixels(room, tmp_path) -> None:
    spec = f"wavelet:weights={room}/wavelet.safetensors,latents={room}/stem.safetensors"
    found = evaluate(plan(room, tmp_path / "out", spec))
    assert not found.study.failures
    pixels, latents = found.curves
    assert latents.codec.endswith("stem.safetensors")
    (one,), (other,) = pixels.points, latents.points
    assert one.bpp == other.bpp and one.pictures == other.pictures == 4
    assert one.metrics == other.metrics
    assert found.study.versions[latents.codec] != found.study.versions[pixels.codec]


def test_a_model_answers_as_the_network_with_its_stem(room) -> None:
    classifier = models.mobilenet_v2(num_classes=2).eval()
    classifier.load_state_dict(torch.load(room / "classifier.pth", weights_only=True))
    stem = read_recogniser(room / "stem.safetensors")
    latents = torch.randn(CHANNELS, 4, 4)
    with torch.inference_mode():
        expected = replace_stem(classifier, stem, stem.config.first)(latents[None])[0]
    shown = Undrawn(latents, stem)
    found = answered(classifier, "mobilenet_v2", fingerprint(classifier), torch.float32, shown)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_stems_that_do_not_fit_are_named(room, tmp_path) -> None:
    base = f"wavelet:weights={room}/wavelet.safetensors,latents="
    nobody = torch.zeros(4, dtype=torch.uint8)
    for number, (changes, reason) in enumerate(
        [
            ({"backbone": "vgg11"}, "layers of vgg11, the model is mobilenet_v2"),
            ({}, "trained for mobilenet_v2 with other weights"),
        ]
    ):
        other = write_stem(tmp_path / f"{number}.safetensors", nobody, width=8, **changes)
        found = evaluate(plan(room, tmp_path / f"out{number}", f"{base}{other}"))
        reasons = {entry["error"] for entry in found.study.failures}
        assert len(reasons) == 1 and reason in reasons.pop()
    context = f"context-s:latents={room}/stem.safetensors"
    with pytest.raises(ArgumentError, match="expected a stem for 'context-s'"):
        evaluate(plan(room, tmp_path / "again", context))
