"""Models that are shown latents, through a stem, or features in place of pixels."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quantal.codecs.info import Card
from quantal.codecs.wavelet.net import WaveletConfig, WaveletNet
from quantal.container import probe_features
from quantal.errors import ArgumentError, ModelError
from quantal.eval import rd
from quantal.eval.codecs import codec
from quantal.eval.perception import Plan, evaluate
from quantal.eval.perception.route import Joint, Late, Undrawn
from quantal.latents.adapters import replace_stem
from quantal.latents.features import Basis, Codebook
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
    with torch.inference_mode():
        joint = Joint("mobilenet_v2", stem.teacher, stem.config.first)
        shown = Undrawn(stem(latents[None])[0], joint)
    found = Late(classifier, "mobilenet_v2")(shown)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_stems_that_do_not_fit_are_named(room, tmp_path) -> None:
    base = f"wavelet:weights={room}/wavelet.safetensors,latents="
    nobody = torch.zeros(4, dtype=torch.uint8)
    for number, (changes, reason) in enumerate(
        [
            ({"backbone": "vgg11"}, "those of vgg11, the model is mobilenet_v2"),
            ({}, "those of mobilenet_v2 with other weights"),
        ]
    ):
        other = write_stem(tmp_path / f"{number}.safetensors", nobody, width=8, **changes)
        with pytest.raises(ArgumentError, match=reason):
            evaluate(plan(room, tmp_path / f"out{number}", f"{base}{other}"))
    context = f"context-s:latents={room}/stem.safetensors"
    with pytest.raises(ArgumentError, match="expected a stem for 'context-s'"):
        evaluate(plan(room, tmp_path / "again", context))


def test_features_are_a_curve_beside_pixels(room, tmp_path) -> None:
    spec = f"features:weights={room}/classifier.pth,layer=7"
    found = evaluate(replace(plan(room, tmp_path / "out", spec), qualities={"": (12.0,)}))
    assert not found.study.failures
    original = found.study.entries["original", 0.0, "float32"]
    coded = found.study.entries[f"features:weights={room}/classifier.pth,layer=7", 12.0, "float32"]
    for name, entry in coded.items():
        # 12 bits for a value keep the answer, and cost 32 x 28 x 28 of them.
        assert entry["prediction"] == original[name]["prediction"]
        assert 11 < 8 * entry["bytes"] / (32 * 28 * 28) <= 12


def test_features_are_files_of_their_own(room) -> None:
    one = codec(f"features:weights={room}/classifier.pth,layer=4")
    picture = np.random.default_rng(3).integers(0, 256, (80, 70, 3)).astype(np.uint8)
    data = one.encode(picture, 2.0)
    header = probe_features(data).header
    assert header.layer == "features.4" and header.tensors[0].shape == (24, 56, 56)
    assert header.network == bytes(one.joint.teacher.tolist())
    assert not one.draws
    with pytest.raises(ModelError, match="no picture can be drawn"):
        one.decode(data)


def test_features_by_a_basis(room, tmp_path) -> None:
    plain = codec(f"features:weights={room}/classifier.pth,layer=11")
    rng = np.random.default_rng(4)
    pictures = [rng.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(4)]
    shown = [plain.undrawn(plain.encode(picture, 12.0)).features for picture in pictures]
    Basis.fit(shown).write(tmp_path / "basis.safetensors")
    spec = f"features:weights={room}/classifier.pth,layer=11,basis={tmp_path}/basis.safetensors"
    one = codec(spec)
    data = one.encode(pictures[0], 1.0)
    assert 8 * len(data) <= 64 * 14 * 14
    assert one.undrawn(data).features.shape == (64, 14, 14)
    assert "basis" in one.version and "basis" not in plain.version


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("layer=19", "19 layers in its `features`, of which layer 19"),
        ("layer=0", "expected one of 1..999"),
        ("model=resnet18", "the weights are not those of resnet18"),
        ("model=vgg99", "vgg99"),
        ("basis=missing.safetensors", "missing.safetensors"),
    ],
)
def test_features_that_do_not_exist_are_refused(room, options, reason) -> None:
    with pytest.raises((ArgumentError, ModelError), match=re.escape(reason)):
        codec(f"features:weights={room}/classifier.pth,{options}")


def test_what_a_model_can_not_be_shown_is_refused_before_the_first_picture(room, tmp_path) -> None:
    spec = f"features:weights={room}/classifier.pth,layer=7"
    torch.save(models.mobilenet_v2(num_classes=2).state_dict(), tmp_path / "other.pth")
    torch.save(models.resnet18(num_classes=2).state_dict(), tmp_path / "resnet.pth")
    torch.save(models.vgg11(num_classes=2).state_dict(), tmp_path / "vgg.pth")
    for model, weights, reason in (
        ("mobilenet_v2", "other.pth", "with other weights"),
        ("resnet18", "resnet.pth", "reads pixels only"),
        ("vgg11", "vgg.pth", "those of mobilenet_v2, the model is vgg11"),
    ):
        asked = replace(plan(room, tmp_path / "out", spec), model=model, weights=tmp_path / weights)
        with pytest.raises(ArgumentError, match=reason):
            evaluate(replace(asked, codecs=(spec,), qualities={}))
    with pytest.raises(ArgumentError, match="draws no pictures that could be compared"):
        rd.measure_rd(rd.Plan(codecs=[spec], data=room / "pictures" / "0", out=tmp_path / "rd"))


def test_a_codebook_has_one_quality(room, tmp_path) -> None:
    maps = torch.randn(64, 14, 14, generator=torch.Generator().manual_seed(0))
    Codebook.fit(maps, 8).write(tmp_path / "tokens.safetensors")
    one = codec(f"features:weights={room}/classifier.pth,basis={tmp_path}/tokens.safetensors")
    assert one.qualities == (1.0,) and one.limits == (1.0, 1.0)
    data = one.encode(np.zeros((64, 64, 3), np.uint8), 1.0)
    assert one.undrawn(data).features.shape == (64, 14, 14)


def test_a_student_is_named_before_its_weights_are_found() -> None:
    with pytest.raises(ModelError, match="'student' has no weights of its own"):
        codec("student")
