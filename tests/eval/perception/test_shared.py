"""Real models on a few real labelled pictures; figures are those of the models' own sources."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantal import media
from quantal.eval.perception.base import Dataset
from quantal.eval.perception.models import default_precision, load
from quantal.eval.perception.recipe import Recipe
from quantal.eval.perception.tasks import task

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
LABELLED = SHARED / "labelled"
MODELS = SHARED / "models"
SETTINGS = ROOT / "examples" / "perception"

pytestmark = pytest.mark.skipif(
    not (LABELLED.is_dir() and MODELS.is_dir()),
    reason="needs ../shared/data/labelled and models, which are not part of the repository",
)


def scores(
    name: str, data: Path, model: str, limit: int, **settings: Any
) -> tuple[Dataset, dict[str, float]]:
    """Scores of a model on originals."""
    asked = task(name)
    dataset = asked.load(data).limited(limit)
    recipe = Recipe(name, model, dataset.classes, precision=default_precision(model), **settings)
    answers = [
        asked.predict(load(recipe), media.read(sample.path).pixels, sample)
        for sample in dataset.samples
    ]
    tally = asked.tally(dataset, dataset.samples, answers)
    return dataset, {k: float(v[0]) for k, v in tally(np.ones((1, len(answers)))).items()}


def test_mobilenet_recognises_imagenet() -> None:
    dataset, found = scores(
        "classify",
        LABELLED / "imagenet_1_per_class",
        "mobilenet_v2",
        20,
        weights=MODELS / "mobilenet_v2-b0353104.pth",
    )
    # 83.8 on a thousand such pictures.
    assert len(dataset.samples) == 20 and found["top1"] >= 65 and found["top5"] >= 85


def test_yolox_finds_objects() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("pycocotools")
    _, found = scores(
        "detect",
        LABELLED / "voc_boxes_100" / "gts" / "coco_format_v1" / "instances_default.json",
        str(MODELS / "yolox_nano.onnx"),
        20,
        preprocess=SETTINGS / "yolox_nano.json",
        labels=SETTINGS / "voc_classes.json",
    )
    assert found["ap50"] > 60  # 75.9 on all hundred


def test_deeplab_segments_streets() -> None:
    pytest.importorskip("ai_edge_litert")
    (model,) = MODELS.glob("deeplab*.tflite")
    _, found = scores(
        "segment",
        LABELLED / "camvid",
        str(model),
        4,
        preprocess=SETTINGS / "deeplab_cityscapes.json",
        labels=SETTINGS / "camvid_classes.json",
    )
    assert found["miou"] > 40  # 54.6 on 59 pictures


def test_the_quantised_mobilenet_recognises_imagenet(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    for path in (SETTINGS / "mobilenet_v2_tflite.json", MODELS / "imagenet_labels.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _, found = scores(
        "classify",
        LABELLED / "imagenette" / "val",
        str(MODELS / "mobilenet_v2_1.0_224_quant.tflite"),
        20,
        preprocess=tmp_path / "mobilenet_v2_tflite.json",
        labels=SETTINGS / "imagenette_classes.json",
    )
    assert found["top5"] >= 70


def test_a_recogniser_reads_receipts() -> None:
    pytest.importorskip("onnxruntime")
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs the recogniser inside the package rapidocr-onnxruntime")
    model = Path(package.submodule_search_locations[0]) / "models" / "ch_PP-OCRv4_rec_infer.onnx"
    _, found = scores(
        "read", LABELLED / "receipts", str(model), 1, preprocess=SETTINGS / "ppocr_line.json"
    )
    assert found["cer"] < 10
