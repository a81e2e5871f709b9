"""Scores against values by hand, and average precision against pycocotools itself."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantal.eval.perception.average import Box, tally_boxes
from quantal.eval.perception.base import Dataset, Sample, Tally
from quantal.eval.perception.classify import Classify
from quantal.eval.perception.segment import Segment
from quantal.eval.perception.text import Line, Read, cut, edits

HERE = Path()


def dataset(*truths: object) -> Dataset:
    return Dataset(HERE, (), tuple(Sample(str(i), HERE, t) for i, t in enumerate(truths)))


def once(tally: Tally, *weights: float) -> dict[str, float]:
    """The scores for one weighting."""
    return {name: float(values[0]) for name, values in tally(np.array([weights])).items()}


def test_top_1_and_top_5_count_hits_by_weight() -> None:
    asked = dataset(4, 2, 0)
    tally = Classify().tally(asked, asked.samples, [[4, 1, 2, 3, 0], [1, 2, 3, 0, 4], [-1, 1]])
    assert once(tally, 1, 1, 1) == pytest.approx({"top1": 100 / 3, "top5": 200 / 3})
    assert once(tally, 2, 1, 1) == pytest.approx({"top1": 50, "top5": 75})
    assert np.isnan(once(tally, 0, 0, 0)["top1"])


def test_mean_iou_pools_pixels_over_pictures_and_leaves_out_absent_classes() -> None:
    asked = dataset("", "")
    # Correct, annotated and predicted pixels of three classes; the third has none.
    counts = [[[3, 4, 4], [1, 2, 2], [0, 0, 0]], [[0, 0, 1], [5, 6, 5], [0, 0, 0]]]
    tally = Segment().tally(asked, asked.samples, counts)
    both = once(tally, 1, 1)
    assert both["miou"] == pytest.approx(100 * (3 / (4 + 5 - 3) + 6 / (8 + 7 - 6)) / 2)
    assert both["pixels"] == pytest.approx(100 * 9 / 12)
    assert once(tally, 1, 0)["miou"] == pytest.approx(100 * (3 / 5 + 1 / 3) / 2)


def test_mean_iou_is_over_the_classes_that_labels_have() -> None:
    asked = dataset("", "")
    # The second picture has no pixel of the first class, but one is predicted.
    tally = Segment().tally(asked, asked.samples, [[[4, 4, 4], [2, 2, 2]], [[0, 0, 1], [5, 6, 5]]])
    assert once(tally, 0, 1)["miou"] == pytest.approx(100 * 5 / 6)
    assert once(tally, 1, 1)["miou"] == pytest.approx(100 * (4 / 5 + 7 / 8) / 2)
    nothing = Segment().tally(asked, asked.samples[:1], [[[0, 0, 3]]])
    assert np.isnan(once(nothing, 1)["miou"])


def test_an_absent_class_costs_the_same_wherever_its_index_lies(tmp_path: Path) -> None:
    def miou(present: int, predicted: int, mapping: tuple[int, ...]) -> float:
        truth = np.full((4, 4), present, np.uint8)
        Image.fromarray(truth).save(tmp_path / "mask.png")
        answer = truth.astype(np.int64)
        answer[0, 0] = predicted

        class FixedModel:
            def __call__(self, pixels: object) -> Any:
                return answer

        model: Any = FixedModel()
        model.mapping = mapping
        sample = Sample("", HERE, tmp_path / "mask.png")
        counts = Segment().predict(model, np.zeros((4, 4, 3), np.uint8), sample)
        return once(Segment().tally(dataset(""), (sample,), [counts]), 1)["miou"]

    # Absent classes below the highest value of the masks are classes, those above are not.
    assert miou(1, 0, (0, 1, -1)) == miou(1, 2, (0, 1, -1)) == pytest.approx(100 * 15 / 16)


def line(text: str) -> Line:
    return Line((0, 0, 9, 0, 9, 9, 0, 9), text)


def test_character_error_rate_pools_characters() -> None:
    asked = dataset((line("kitten"), line("Ab, c")), (line("12"),))
    tally = Read().tally(asked, asked.samples, [["sitting", "Ab，c"], [""]])
    scores = once(tally, 1, 1)
    assert scores["cer"] == pytest.approx(100 * (3 + 0 + 2) / (6 + 4 + 2))
    assert scores["lines"] == pytest.approx(100 / 3)


def test_labels_without_a_small_letter_are_compared_without_case() -> None:
    asked = dataset((line("TOTAL 5"),))
    assert once(Read().tally(asked, asked.samples, [["Total 5"]]), 1)["cer"] == 0
    mixed = dataset((line("TOTAL 5"),), (line("a"),))
    assert once(Read().tally(mixed, mixed.samples, [["Total 5"], ["a"]]), 1, 1)["cer"] > 0


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edits_are_a_distance(a: str, b: str, c: str) -> None:
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= edits(a, b) <= max(len(a), len(b))
    assert edits(a, c) <= edits(a, b) + edits(b, c)


def test_a_line_is_cut_out_and_straightened() -> None:
    pixels = np.zeros((30, 30, 3), np.uint8)
    pixels[5:10, 3:23] = np.arange(20)[None, :, None] * 10
    upright = cut(pixels, (3, 5, 23, 5, 23, 10, 3, 10))
    assert upright.shape == (5, 20, 3)
    np.testing.assert_array_equal(upright, pixels[5:10, 3:23])
    # The same line turned by 90 degrees clockwise reads the same.
    turned = np.ascontiguousarray(np.rot90(pixels, -1))
    again = cut(turned, (25, 3, 25, 23, 20, 23, 20, 3))
    np.testing.assert_array_equal(again, upright)


def boxes(random: np.random.Generator, found: bool, truth: Sequence[Box] = ()) -> list[Box]:
    """Random boxes of three classes; found ones lie near true ones, more or less."""
    made = [
        Box(
            int(random.integers(3)),
            (*random.uniform(0, 60, 2).tolist(), *random.uniform(5, 40, 2).tolist()),
            score=float(random.uniform()) if found else 1.0,
            crowd=not found and random.uniform() < 0.15,
        )
        for _ in range(random.integers(0, 5))
    ]
    for box in truth:
        if random.uniform() < 0.8:
            moved = np.array(box.place) + random.normal(0, 1.5, 4)
            made.append(Box(box.category, tuple(np.maximum(moved, 1)), float(random.uniform())))
    return made


def reference(truths: Sequence[Sequence[Box]], predicted: Sequence[Sequence[Box]]) -> Any:
    """AP by COCOeval from start to end: over IoUs, and at 0.50."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(rows: Sequence[Sequence[Box]]) -> list[dict[str, object]]:
        return [
            {
                "id": 1 + 1000 * i + j,
                "image_id": i,
                "category_id": box.category,
                "bbox": list(box.place),
                "area": box.place[2] * box.place[3],
                "iscrowd": int(box.crowd),
                "score": box.score,
            }
            for i, row in enumerate(rows)
            for j, box in enumerate(row)
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(truths))],
            "categories": [{"id": i} for i in range(3)],
            "annotations": entries(truths),
        }
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(entries(predicted)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[:2]


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    pytest.importorskip("pycocotools")
    random = np.random.default_rng(seed)
    truths = [boxes(random, found=False) for _ in range(8)]
    predicted = [boxes(random, True, [b for b in row if not b.crowd]) for row in truths]
    average = tally_boxes(truths, predicted, 3)
    by_threshold = average(np.ones((1, 8)))[0]
    expected = reference(truths, predicted)
    assert (by_threshold.mean(), by_threshold[0]) == pytest.approx(tuple(expected), abs=1e-9)

    # A weight of two is the same picture twice, a weight of none a picture left out.
    weights = np.array([2, 0, 1, 3, 1, 0, 1, 2])
    drawn = np.repeat(np.arange(8), weights)
    by_threshold = average(weights[None].astype(float))[0]
    expected = reference([truths[i] for i in drawn], [predicted[i] for i in drawn])
    assert (by_threshold.mean(), by_threshold[0]) == pytest.approx(tuple(expected), abs=1e-9)


def test_precision_of_classes_without_objects_is_left_out() -> None:
    pytest.importorskip("pycocotools")
    thing = Box(1, (0, 0, 10, 10))
    average = tally_boxes([[thing], []], [[thing], [Box(2, (0, 0, 5, 5))]], 3)
    np.testing.assert_array_equal(average(np.ones((1, 2))), np.ones((1, 10)))
    assert np.isnan(average(np.array([[0.0, 1.0]]))).all()
