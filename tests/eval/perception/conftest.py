"""Tiny data sets and models with known predictions.

The classifier predicts which of red, green and blue dominates a picture, the segmenter which
dominates each pixel; the text recogniser reads green as "a" and blue as "b", separated by red.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from . import onnx_writer as onnx

COLOURS = {"red": (200, 60, 60), "green": (60, 190, 60), "blue": (60, 60, 210)}


@dataclass(frozen=True)
class Kit:
    """A data set, a model file and its preprocessing."""

    data: Path
    model: Path
    preprocess: Path


def settings(path: Path, **values: object) -> Path:
    path.write_text(json.dumps(values))
    return path


def speckled(colour: tuple[int, int, int], size: tuple[int, int], seed: int) -> Image.Image:
    """A colour with noise, so that coding it costs something and harms it."""
    noise = np.random.default_rng(seed).normal(0, 25, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny networks are slower with several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def colours(folder: Path) -> Kit:
    """Pictures of three colours, and a classifier that recognises the colours."""
    pytest.importorskip("onnxruntime")
    data = folder / "colours"
    for name, colour in COLOURS.items():
        (data / name).mkdir(parents=True)
        for i in range(3):
            speckled(colour, (24, 16), i).save(data / name / f"{i}.png")
    model = onnx.write(
        folder / "most.onnx",
        [onnx.node("GlobalAveragePool", ["x"], "m"), onnx.node("Flatten", ["m"], "y", axis=1)],
        (1, 3, 8, 8),
        (1, 3),
    )
    how = settings(
        folder / "most.json", size=[8, 8], output="classes", names=["Red", "Green", "Blue"]
    )
    return Kit(data, model, how)


@pytest.fixture
def classify(tmp_path: Path) -> Kit:
    return colours(tmp_path)


@pytest.fixture
def segment(tmp_path: Path) -> Kit:
    pytest.importorskip("onnxruntime")
    data = tmp_path / "halves"
    (data / "images").mkdir(parents=True)
    (data / "masks").mkdir()
    for i in range(3):
        mask = np.zeros((16, 24), np.uint8)
        mask[:, 8:16], mask[:, 16:] = 1, 2
        mask[0] = 255
        pixels = np.array(list(COLOURS.values()), np.uint8)[mask % 255]
        Image.fromarray(pixels).save(data / "images" / f"{i}.png")
        Image.fromarray(mask).save(data / "masks" / f"{i}.png")
    model = onnx.write(
        tmp_path / "map.onnx", [onnx.node("Identity", ["x"], "y")], (1, 3, 16, 24), (1, 3, 16, 24)
    )
    how = settings(tmp_path / "map.json", size=[16, 24], output="map", names=3)
    return Kit(data, model, how)


@pytest.fixture
def read(tmp_path: Path) -> Kit:
    pytest.importorskip("onnxruntime")
    data = tmp_path / "lines"
    (data / "images").mkdir(parents=True)
    (data / "text").mkdir()
    stripes = ["green", "red", "green", "blue", "red", "blue"]  # reads "aabb"
    for i in range(2):
        pixels = np.full((40, 80, 3), 255, np.uint8)
        for j, name in enumerate(stripes):
            pixels[10:26, 4 + 12 * j : 16 + 12 * j] = COLOURS[name]
        Image.fromarray(pixels).save(data / "images" / f"{i}.png")
        (data / "text" / f"{i}.csv").write_text("4,10,76,10,76,26,4,26,aa bb\n")
    model = onnx.write(
        tmp_path / "read.onnx",
        [
            onnx.node("ReduceMean", ["x"], "m", axes=[2], keepdims=0),
            onnx.node("Transpose", ["m"], "y", perm=[0, 2, 1]),
        ],
        (1, 3, 16, "width"),
        (1, "width", 3),
        {"character": "a\nb"},
    )
    how = settings(tmp_path / "read.json", size=[16, 0], resize="height", output="ctc")
    return Kit(data, model, how)


@pytest.fixture
def detect(tmp_path: Path) -> Kit:
    """Two pictures with a box each; the model always sees the first one's box."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("pycocotools")
    # Pictures are looked for up to two folders above: other tests' folders must not be among them.
    data = tmp_path / "sets" / "boxes"
    (data / "images").mkdir(parents=True)
    for i in range(2):
        speckled(COLOURS["red"], (32, 32), i).save(data / "images" / f"{i}.png")
    boxes = [[8, 8, 16, 8], [0, 20, 6, 6]]
    settings(
        data / "boxes.json",
        images=[{"id": 7 + i, "file_name": f"{i}.png"} for i in range(2)],
        categories=[{"id": 3, "name": "thing"}],
        annotations=[
            {"id": 1 + i, "image_id": 7 + i, "category_id": 3, "bbox": box}
            for i, box in enumerate(boxes)
        ],
    )
    found = np.zeros((1, 16 + 4 + 1, 6), np.float32)
    # Cell (2, 1) of stride 8 begins at x 16, y 8: a centre 4 pixels lower, 16 x 8 pixels.
    found[0, 1 * 4 + 2] = 0, 0.5, np.log(2), np.log(1), 0.9, 0.8
    model = onnx.write(
        tmp_path / "box.onnx",
        [onnx.node("Constant", [], "y", value=onnx.tensor(found))],
        (1, 3, 32, 32),
        found.shape,
    )
    how = settings(
        tmp_path / "box.json", size=[32, 32], resize="letterbox", output="yolox", names=["Thing"]
    )
    return Kit(data, model, how)


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> Kit:
    """The kit of the task that a test is parametrized with."""
    found: Kit = request.getfixturevalue(request.param)
    return found
