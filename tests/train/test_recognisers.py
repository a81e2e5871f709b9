"""Classifiers and stems are trained by recipes, exported and read again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal.errors import ArgumentError, ModelError
from quantal.latents.recognisers import read_recogniser
from quantal.train import run
from quantal.train.objectives.distillation import Teacher
from quantal.transforms.classifier import ClassifierAnalysis

sys.path.insert(0, str(Path(__file__).parents[1] / "codecs"))

from small import write_untrained

from quantal.codecs.wavelet.net import WaveletConfig, WaveletNet

NAMES = ("bright", "dark")
CHANNELS = 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of an untrained `wavelet` of 8 channels."""
    torch.manual_seed(1)
    net = WaveletNet(WaveletConfig(CHANNELS, 16, 0, 8, (0,), 3))
    net.initialise(torch.rand(4, 3, 64, 64))
    folder = tmp_path_factory.mktemp("weights")
    write_untrained(folder / "wavelet.safetensors", net)
    return folder


@pytest.fixture(scope="module")
def data(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and coded pictures of two classes that lightness tells apart."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    codec = quantal.load("wavelet", "cpu", weights=weights / "wavelet.safetensors")
    for name, level in zip(NAMES, (190, 60), strict=True):
        for kind in ("pictures", "coded"):
            (root / kind / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(level - 40, level + 40, (96, 96, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / "pictures" / name / f"{number}.png")
            quantal.write(root / "coded" / name / f"{number}.qtl", pixels, codec, quality=50)
    return root


def recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


CLASSIFIER = """
codec: classifier
data: [{data}]
evaluation: [{data}]
out: {out}
model: {{source: {source}, channels: {channels}, names: [bright, dark], widths: [8, 8],
  blocks: [1, 1], pixel_widths: [4, 4], pixel_blocks: [0, 0]}}
steps: 25
phases: [{{until: 1.0, crop: 64, batch: 8}}]
learning_rate: 0.01
warmup_steps: 2
ema: 0.5
export_batches: 2
device: cpu
bfloat16: false
"""


@pytest.mark.parametrize("kind", ["coded", "pictures"])
def test_a_classifier_learns(kind, data, weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(weights))
    source, channels = ("wavelet", CHANNELS) if kind == "coded" else ("pixels", 3)
    text = CLASSIFIER.format(
        data=data / kind, out=tmp_path / "run", source=source, channels=channels
    )
    log: list = []
    path = run(recipe(tmp_path, text), log=log.append)
    (point,) = [e["points"][0] for e in log if e.get("event") == "evaluation"]
    assert point == {"accuracy": 100.0, "pictures": 12}
    net = read_recogniser(path)
    assert net.config.names == NAMES
    if kind == "coded":
        codec = quantal.load("wavelet", "cpu", weights=weights / "wavelet.safetensors")
        latents = codec.latents(data / "coded" / "dark" / "0.qtl").y_hat
        assert int(net(torch.from_numpy(latents)[None]).argmax()) == 1


def test_what_does_not_fit_is_named(data, weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(weights))
    given = {"data": data / "coded", "source": "context-m", "channels": CHANNELS}
    text = CLASSIFIER.format(**given, out=tmp_path / "a")
    with pytest.raises(ArgumentError, match="the data are wavelet, the recipe is for context-m"):
        run(recipe(tmp_path, text))
    text = CLASSIFIER.format(**{**given, "source": "wavelet"}, out=tmp_path / "b")
    with pytest.raises(ArgumentError, match="pictures of class 'bright' found, expected one of"):
        run(recipe(tmp_path, text.replace("[bright, dark]", "[light, dark]")))
    with pytest.raises(ArgumentError, match=r"has 8 channels; set `model\.channels`"):
        run(recipe(tmp_path, text.replace("channels: 8", "channels: 64").replace("/b", "/e")))
    with pytest.raises(ArgumentError, match="all have a side below 128"):
        run(recipe(tmp_path, text.replace("crop: 64", "crop: 128").replace("/b", "/c")))
    with pytest.raises(ArgumentError, match="there is nothing at"):
        run(recipe(tmp_path, text.replace(str(data), str(tmp_path / "no")).replace("/b", "/d")))


STEM = """
codec: stem
data: [{data}]
evaluation: [{data}]
out: {out}
model: {{channels: 8, width: 8, blocks: 1}}
objective: {{weights: {weights}, layer: 13, repeats: 2, remembered: 16}}
steps: {steps}
phases: [{{until: 1.0, crop: 64, batch: 4}}]
learning_rate: 0.01
warmup_steps: 2
ema: 0.5
export_batches: 2
device: cpu
bfloat16: false
"""


def test_a_stem_learns_what_the_first_layers_give(data, weights, tmp_path, monkeypatch) -> None:
    models = pytest.importorskip("torchvision.models")
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(weights))
    torch.manual_seed(0)
    torch.save(models.mobilenet_v2().state_dict(), tmp_path / "mobilenet.pth")
    given = {"data": data / "pictures", "out": tmp_path / "run"}
    text = STEM.format(**given, weights=tmp_path / "mobilenet.pth", steps=101)
    log: list = []
    path = run(recipe(tmp_path, text), log=log.append)
    steps = [entry for entry in log if "distance" in entry]
    assert steps[-1]["distance"] < 0.8 * steps[0]["distance"]
    stem = read_recogniser(path)
    assert stem(torch.zeros(1, CHANNELS, 4, 4)).shape == (1, 64, 4, 4)
    changes = [
        ("channels: 8", "channels: 9", "have 8 channels; set `model.channels`"),
        ("channels: 8", "channels: 8, first: 4", r"layer 4 of mobilenet_v2 takes \[24, 16, 32\]"),
        ("channels: 8", "channels: 8, first: 40", "begin at layer 40 and features are"),
        ("channels: 8", "source: vq", "not of 'vq'"),
        ("layer: 13", "layer: 5", "begin at layer 11 and features are compared before layer 5"),
        ("layer: 13", "layer: 30", "compared before layer 30, expected layers of 1 to 18"),
        ("channels: 8", "channels: 8, backbone: resnet18", "holds no weights|has no `features`"),
    ]
    for number, (before, after, reason) in enumerate(changes):
        wrong = text.replace(before, after).replace("/run", f"/wrong{number}")
        with pytest.raises((ArgumentError, ModelError), match=reason):
            run(recipe(tmp_path, wrong))
    with pytest.raises(ModelError, match="holds no weights of mobilenet_v2"):
        (tmp_path / "words.pth").write_text("no weights")
        text = STEM.format(**given, weights=tmp_path / "words.pth", steps=1)
        run(recipe(tmp_path, text.replace("/run", "/other")))


def test_a_stem_may_begin_with_the_synthesis_of_its_codec(
    data, weights, tmp_path, monkeypatch
) -> None:
    models = pytest.importorskip("torchvision.models")
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(weights))
    torch.manual_seed(0)
    torch.save(models.mobilenet_v2().state_dict(), tmp_path / "mobilenet.pth")
    given = {"data": data / "pictures", "out": tmp_path / "run"}
    joint = "width: 32, first: 3, out_channels: 24, scale: 4, synthesis_width: 8"
    text = STEM.format(**given, weights=tmp_path / "mobilenet.pth", steps=2)
    text = text.replace("width: 8", f"{joint}, synthesis_blocks: [0]")
    text = text.replace("until: 1.0", "until: 1.0, hold: [synthesis]")
    stem = read_recogniser(run(recipe(tmp_path, text)))
    codec = quantal.load("wavelet", "cpu", weights=weights / "wavelet.safetensors").networks()
    latents = torch.randn(1, CHANNELS, 4, 6)
    torch.testing.assert_close(stem.inputs(latents), codec.synthesis.packets(latents))
    assert stem.inputs(latents).shape == (1, 768, 4, 6)
    assert stem(latents).shape == (1, 24, 16, 24)
    wrong = text.replace("blocks: [0]", "blocks: [1]").replace("/run", "/wrong")
    with pytest.raises(ArgumentError, match=r"`model.synthesis_blocks: \[1\]`"):
        run(recipe(tmp_path, wrong))


STUDENT = """
codec: student
data: [{data}]
evaluation: [{data}]
out: {out}
model: {{channels: 8, split: 3, encoder_blocks: 1, classes: 2, width: 8, blocks: 1}}
objective: {{weights: {weights}, layer: 7, repeats: 2, remembered: 8, evaluation_rates: [0, 63]}}
steps: 16
phases: [{{until: 0.8, crop: 64, batch: 4}}, {{until: 1.0, crop: 64, batch: 4, rounded: true}}]
learning_rate: 0.01
warmup_steps: 2
ema: 0.5
export_batches: 2
device: cpu
bfloat16: false
"""


def test_a_student_is_a_codec_and_a_stem(data, tmp_path) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    torch.save(models.mobilenet_v2().state_dict(), tmp_path / "mobilenet.pth")
    text = STUDENT.format(
        data=data / "pictures", out=tmp_path / "run", weights=tmp_path / "mobilenet.pth"
    )
    log: list = []
    path = run(recipe(tmp_path, text), log=log.append)
    points = next(entry["points"] for entry in log if entry.get("event") == "evaluation")
    assert [point["rate"] for point in points] == [0, 63]
    assert 0 < points[0]["bytes"] < points[1]["bytes"]
    codec = quantal.load("student", "cpu", weights=path)
    picture = data / "pictures" / "dark" / "0.png"
    coded = [quantal.compress(picture, codec, quality=quality) for quality in (1, 100)]
    assert len(coded[0]) < len(coded[1])
    assert abs(len(coded[1]) - 40 - points[1]["bytes"]) < 0.3 * points[1]["bytes"]
    latents = codec.latents(coded[1])
    stem = read_recogniser(path.with_name("student-stem.safetensors"))
    assert stem.config.source == "student" and stem.teacher.any()
    assert stem(torch.from_numpy(latents.y_hat)[None]).shape == (1, 24, 24, 24)
    with pytest.raises(ModelError, match="no picture can be drawn"):
        quantal.decompress(coded[0], codec=codec)
    with pytest.raises(ModelError, match="no picture can be drawn"):
        quantal.compress(picture, codec, psnr=30)
    changes = [
        ("split: 3", "split: 40", "has 19 layers, of which 40"),
        ("split: 3", "split: 15", "give a feature for 32 pixels"),
        ("split: 3", "backbone: resnet18", "resnet18 has no `features`"),
        ("split: 3", "backbone: mobilenet_v9", "no classifier 'mobilenet_v9'"),
        ("split: 3", "split: 8", "begin at layer 8 and features are compared before layer 7"),
    ]
    for number, (before, after, reason) in enumerate(changes):
        wrong = text.replace(before, after).replace("/run", f"/wrong{number}")
        with pytest.raises(ArgumentError, match=reason):
            run(recipe(tmp_path, wrong))


@pytest.mark.parametrize(
    ("name", "first", "layer"),
    [("densenet121", 2, 5), ("vgg11", 1, 1), ("vgg11_bn", 1, 4), ("mobilenet_v2", 3, 3)],
)
def test_a_teacher_is_the_classifier_wherever_it_is_cut(name, first, layer) -> None:
    """Layers that work in place, and normalisations behind a cut, change nothing."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = models.get_model(name, num_classes=5).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    pixels = torch.rand(2, 3, 64, 64)
    teacher = Teacher(net, first, layer, torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    lesson = teacher(pixels)
    wanted = pixels
    parts = []
    for each in list(net.features)[:layer]:
        wanted = each(wanted.clone())
        parts.append(wanted.clone())
    torch.testing.assert_close(lesson.entry, parts[first - 1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(lesson.features, parts[layer - 1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(lesson.answers, net(pixels.clone()), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(teacher.answers(lesson.entry), lesson.answers)
    distance, apart = teacher.compare(lesson.entry, lesson.features, lesson.answers)
    assert distance < 1e-6 and abs(apart) < 1e-5
    if name == "densenet121":
        analysis = ClassifierAnalysis(8, name, first, 0)
        analysis.layers.load_state_dict(teacher.early.state_dict())
        torch.testing.assert_close(analysis.layers(pixels), lesson.entry, rtol=1e-3, atol=1e-4)


def test_damaged_weights_are_refused(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError):
        read_recogniser(path)
