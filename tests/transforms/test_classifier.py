"""An analysis that begins with the layers of a classifier gives what these layers give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quantal.errors import ArgumentError, ModelError
from quantal.latents.adapters import Stem
from quantal.layers import Unfilled
from quantal.transforms import apply_in_windows
from quantal.transforms.classifier import (
    IMAGENET_MEAN,
    IMAGENET_SPREAD,
    ClassifierAnalysis,
    folded,
)

models = pytest.importorskip("torchvision.models")


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """A classifier whose normalisations do something."""
    torch.manual_seed(0)
    net = models.mobilenet_v2(num_classes=3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def analysis(classifier) -> ClassifierAnalysis:
    torch.manual_seed(1)
    found = ClassifierAnalysis(8, "mobilenet_v2", 3, 1)
    first = folded(nn.Sequential(*models.mobilenet_v2(num_classes=3).features[:3]).eval())
    assert first.state_dict().keys() == found.layers.state_dict().keys()
    copied = models.mobilenet_v2(num_classes=3).eval()
    copied.load_state_dict(classifier.state_dict())
    found.layers.load_state_dict(folded(copied.features[:3]).state_dict())
    return found.eval()


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    mean, spread = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_SPREAD))
    return (pixels - mean) / spread


def test_features_are_those_of_the_classifier(classifier, analysis) -> None:
    pixels = torch.rand(2, 3, 48, 80)
    with torch.no_grad():
        expected = classifier.features[:3](normalised(pixels))
        found = analysis.features(pixels)
    assert found.shape == (2, analysis.seen, 12, 20) == (2, 24, 12, 20)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert analysis(pixels).shape == (2, 8, 3, 5)


def test_the_classifiers_layers_are_not_trained(analysis) -> None:
    names = {name.partition(".")[0] for name, _ in analysis.named_parameters()}
    assert names == {"enter", "refine"}
    for mode in (True, False):
        analysis.train(mode)
        assert not analysis.layers.training
    analysis.eval()
    latents = analysis(torch.rand(1, 3, 32, 32))
    latents.square().sum().backward()
    assert analysis.enter.weight.grad is not None


def test_it_starts_from_what_matters_most(analysis) -> None:
    torch.manual_seed(2)
    features = analysis.features(torch.rand(4, 3, 96, 96))
    rms = analysis.start_from(features)
    latents = analysis.code(features)
    torch.testing.assert_close(latents.square().mean((0, 2, 3)).sqrt(), rms, rtol=1e-3, atol=1e-5)
    assert (rms.diff() <= 1e-6).all()
    stem = Stem(8, 8, 0, analysis.seen, analysis.fold)
    stem.start_from(latents.detach(), features)
    # Linear ways there and back keep what the largest 8 of 384 directions have.
    error = (stem(latents) - features).square().mean() / features.square().mean()
    assert error < 0.5


def test_a_start_of_a_stem_is_the_best_linear_map() -> None:
    torch.manual_seed(3)
    latents = torch.randn(2, 5, 6, 7)
    mixed = torch.nn.functional.conv2d(latents, torch.randn(12, 5, 1, 1), torch.randn(12))
    features = torch.nn.functional.pixel_shuffle(mixed, 2)
    stem = Stem(5, 9, 0, 3, 2)
    stem.start_from(latents, features)
    torch.testing.assert_close(stem(latents), features, rtol=1e-2, atol=1e-2)


def test_windows_see_as_far_as_latents_depend(analysis) -> None:
    torch.manual_seed(4)
    pixels = torch.rand(1, 3, 256, 320)
    with torch.no_grad():
        whole = analysis(pixels)
        halo = -(-analysis.reach // 16) * 16
        parts = apply_in_windows(analysis, pixels, 64, halo, 1 / 16)
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-4)


def test_networks_that_look_at_the_whole_picture_have_no_reach() -> None:
    assert not hasattr(ClassifierAnalysis(8, "efficientnet_b0", 3, 0), "reach")


def test_it_is_built_without_memory() -> None:
    state = torch.random.get_rng_state()
    with Unfilled():
        found = ClassifierAnalysis(8, "mobilenet_v2", 3, 1)
    assert found.enter.weight.is_meta
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("backbone", "split", "reason"),
    [
        ("nobody", 3, "no classifier 'nobody'"),
        ("resnet18", 3, "has no `features`"),
        ("mobilenet_v2", 0, "19 layers, of which 0"),
        ("mobilenet_v2", 19, "19 layers, of which 19"),
        ("mobilenet_v2", 15, "for 32 pixels"),
        ("vgg11", 1, "for 1 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(backbone, split, reason) -> None:
    with pytest.raises(ArgumentError, match=reason):
        ClassifierAnalysis(8, backbone, split, 0)


def test_layers_of_another_shape_are_an_error() -> None:
    # Its dense blocks give more channels than their last convolution has.
    with pytest.raises(ModelError, match=r"expected \[32, 16, 16\]"):
        ClassifierAnalysis(8, "densenet121", 5, 0)(torch.rand(1, 3, 64, 64))
    with pytest.raises(ModelError, match=r"give \[96, 112, 96\]"):  # channels last
        ClassifierAnalysis(8, "swin_t", 1, 0)(torch.rand(1, 3, 384, 448))
