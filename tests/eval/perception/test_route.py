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
from quantal.latents.recognisers import StemConfig, StemNet, write_recogniser

sys.path.insert(0, str(Path(__file__).parents[2] / "codecs"))

from small import write_untrained

models = pytest.importorskip("torchvision.models")

CHANNELS = 8


def write_stem(path: Path, **changes: object) -> Path:
    torch.manual_seed(2)
    write_recogniser(path, StemNet(StemConfig("wavelet", CHANNELS, **changes)), Card())  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a codec, a stem, a classifier of two classes and pictures of them."""
    root, rng = tmp_path_factory.mktemp("route"), np.random.default_rng(0)
    torch.manual_seed(1)
    net = WaveletNet(WaveletConfig(CHANNELS, 16, 0, 8, (0,), 3))
    net.initialise(torch.rand(4, 3, 64, 64))
    write_untrained(root / "wavelet.safetensors", net)
    write_stem(root / "stem.safetensors", width=8, blocks=1)
    classifier = models.mobilenet_v2(num_classes=2)
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


def test_stems_that_do_not_fit_are_named(room, tmp_path) -> None:
    base = f"wavelet:weights={room}/wavelet.safetensors,latents="
    other = write_stem(tmp_path / "other.safetensors", backbone="vgg11", first=3, width=8, blocks=0)
    found = evaluate(plan(room, tmp_path / "out", f"{base}{other}"))
    reasons = {entry["error"] for entry in found.study.failures}
    assert len(reasons) == 1 and "layers of vgg11, the model is mobilenet_v2" in reasons.pop()
    context = f"context-s:latents={room}/stem.safetensors"
    with pytest.raises(ArgumentError, match="expected a stem for 'context-s'"):
        evaluate(plan(room, tmp_path / "again", context))
