"""Models by name and by file, in every precision, and errors of invalid ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, ModelError
from quantal.eval.perception.models import default_precision, load
from quantal.eval.perception.precision import AS_EXPORTED, quantised
from quantal.eval.perception.recipe import Recipe

from . import onnx_writer as onnx
from .conftest import COLOURS, Kit

THREE = ("red", "green", "blue")
NAME = "squeezenet1_1"  # the smallest that there is


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of three classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "three.pth"
    torch.save(torchvision.models.get_model(NAME, weights=None, num_classes=3).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def test_a_model_of_torchvision_predicts_the_same(weights: Path, pixels: Pixels) -> None:
    from PIL import Image

    model = load(Recipe("classify", NAME, THREE, weights))
    assert model.mapping == (0, 1, 2) and model.label == f"{NAME} (three.pth)"
    network = torchvision.models.get_model(NAME, weights=None, num_classes=3).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    transforms = torchvision.models.get_model_weights(NAME).DEFAULT.transforms()
    with torch.inference_mode():
        expected = network(transforms(Image.fromarray(pixels))[None])[0]
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int8"])
def test_other_precisions_predict_nearly_the_same(
    precision: str, weights: Path, pixels: Pixels
) -> None:
    recipe = Recipe("classify", NAME, THREE, weights)
    exact = load(recipe)
    rough = load(replace(recipe, precision=precision))
    assert rough.identity == exact.identity
    difference = np.abs(rough(pixels) - exact(pixels)).max()
    assert 0 < difference < 0.1 * np.abs(exact(pixels)).max()


def test_eight_bits_are_256_values_with_zero_among_them() -> None:
    values = torch.linspace(-1, 3, 5001)
    grid = quantised(values)
    assert len(grid.unique()) == 256
    assert (grid - values).abs().max() <= 4 / 255
    assert quantised(torch.tensor([0.0, 7.0]))[0] == 0
    assert (quantised(torch.zeros(3)) == 0).all()


def test_a_segmentation_model_of_torchvision(tmp_path: Path, pixels: Pixels) -> None:
    name = "lraspp_mobilenet_v3_large"
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    model = load(Recipe("segment", name, tuple("012"), path))
    assert model.mapping == (0, 1, 2, *[-1] * 18)
    answer = model(pixels)
    assert answer.shape == (40, 60) and answer.min() >= 0 and answer.max() <= 20


def test_errors_of_model_files(classify: Kit, tmp_path: Path) -> None:
    recipe = Recipe(
        "classify",
        str(classify.model),
        THREE,
        preprocess=classify.preprocess,
        precision=AS_EXPORTED,
    )
    assert default_precision(recipe.model) == AS_EXPORTED

    def refused(match: str, **change: Any) -> None:
        with pytest.raises((ArgumentError, ModelError), match=match):
            load(replace(recipe, **change))

    refused("--preprocess FILE.json", preprocess=None)
    refused("has its weights inside", weights=classify.model)
    refused("computes as it was exported", precision="int8")
    refused("there is no model", model="none.onnx")
    refused("task 'segment' needs 'map'", task="segment")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\0" * 64)
    refused("can't be loaded as ONNX", model=str(broken))
    two = onnx.write(tmp_path / "two.onnx", [onnx.node("Identity", ["x"], "y")], (2,), (2,))
    model = load(replace(recipe, model=str(two)))
    with pytest.raises(ModelError, match=r"rejected an input \[1, 3, 8, 8\]"):
        model(np.zeros((8, 8, 3), np.uint8))


def test_the_identity_depends_on_everything_that_changes_predictions(classify: Kit) -> None:
    recipe = Recipe(
        "classify",
        str(classify.model),
        THREE,
        preprocess=classify.preprocess,
        precision=AS_EXPORTED,
    )
    before = load(recipe).identity
    classify.preprocess.write_text(classify.preprocess.read_text().replace("8, 8", "8,8"))
    load.cache_clear()
    assert load(recipe).identity != before


def test_a_broken_tflite_file(classify: Kit, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match="can't be loaded as TFLite"):
        load(
            Recipe(
                "classify",
                str(broken),
                THREE,
                preprocess=classify.preprocess,
                precision=AS_EXPORTED,
            )
        )


def test_invalid_models_of_torchvision(weights: Path, tmp_path: Path) -> None:
    recipe = Recipe("classify", NAME, THREE, weights)

    def refused(match: str, **change: Any) -> None:
        with pytest.raises((ArgumentError, ModelError), match=match):
            load(replace(recipe, **change))

    refused("did you mean 'squeezenet1_1'", model="squeezenet_1_1")
    refused("did you mean 'IMAGENET1K_V1'", model=f"{NAME}:IMAGENET1K_V9")
    refused("did you mean 'float16'", precision="fp16")
    refused("are not those of resnet18", model="resnet18")
    refused("there is no file of weights", weights=tmp_path / "none.pth")
    refused("--preprocess is for", preprocess=weights)
    refused("no model for task 'read'", task="read")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"nonsense")
    refused("can't be read as weights", weights=broken)
    torch.save([1, 2], broken)
    refused("holds no state", weights=broken)


def test_the_colour_classifier_recognises_colours(classify: Kit) -> None:
    model = load(
        Recipe(
            "classify",
            str(classify.model),
            ("blue", "green", "red"),
            preprocess=classify.preprocess,
            precision=AS_EXPORTED,
        )
    )
    assert model.mapping == (2, 1, 0)
    for i, colour in enumerate(COLOURS.values()):
        scores = model(np.full((5, 7, 3), colour, np.uint8))
        np.testing.assert_allclose(scores * 255, colour, atol=0.01)
        assert scores.argmax() == i


def test_masks_are_matched_by_the_values_of_the_pairs(segment: Kit, tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    recipe = Recipe(
        "segment",
        str(segment.model),
        THREE,
        preprocess=segment.preprocess,
        labels=labels,
        precision=AS_EXPORTED,
    )
    labels.write_text('{"0": 4, "2": 1}')
    assert load(recipe).mapping == (4, -1, 1)
    for text, match in (
        ("{}", "name no class"),
        ('{"0": "sky"}', "expected the value"),
        ('{"0": 255}', "0 to 254"),
        ('{"7": 1}', "which the model does not have"),
    ):
        labels.write_text(text)
        load.cache_clear()
        with pytest.raises(ArgumentError, match=match):
            load(recipe)
