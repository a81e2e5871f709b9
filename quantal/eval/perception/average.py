"""Average precision of boxes, as defined by COCO, for any weights of the pictures.

pycocotools matches boxes and objects once. The averages of a thousand bootstrap samples are then
weighted sums over these matches.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantal.eval._optional import require
from quantal.eval.perception.base import Floats

__all__ = ["Box", "tally_boxes"]

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Box:
    """An object, annotated or detected.

    Attributes:
        category: Index of its class.
        place: Left, top, width and height in pixels.
        score: Confidence of a detection.
        crowd: Whether an annotation covers a group of objects.
        area: Area in pixels; 0 for that of `place`.
    """

    category: int
    place: tuple[float, float, float, float]
    score: float = 1.0
    crowd: bool = False
    area: float = 0.0


@dataclass(frozen=True)
class _Category:
    """Detections of one class, by descending score.

    picture: picture of each detection [D]. right, counted: [10 thresholds, D]; detections of crowds
    are not counted. objects: annotated objects in each picture [P].
    """

    picture: NDArray[np.int64]
    right: Floats
    counted: Floats
    objects: Floats


def tally_boxes(
    truths: Sequence[Sequence[Box]], predicted: Sequence[Sequence[Box]], classes: int
) -> Callable[[Floats], Floats]:
    """Return a function from weights [B, P] of the pictures to average precision [B, 10], 0..1.

    It has a value for each IoU threshold 0.50, 0.55, ..., 0.95, the mean over classes. Classes
    without objects are left out of a mean; it is NaN if there are no objects.

    Args:
        truths: Annotated objects of each picture.
        predicted: At most 100 detections of each picture.
        classes: Number of classes.
    """
    matched = _match(truths, predicted, classes)

    def average(weights: Floats) -> Floats:
        results = np.stack([_precision(category, weights) for category in matched])
        there = np.isfinite(results)
        with np.errstate(invalid="ignore"):
            mean: Floats = np.where(there, results, 0).sum(0) / there.sum(0)
        return mean

    return average


def _precision(category: _Category, weights: Floats) -> Floats:
    """Return precision averaged over 101 recalls [B, 10]; NaN where there are no objects."""
    objects = weights @ category.objects  # [B]
    result = np.zeros((len(weights), 10))
    result[objects == 0] = np.nan
    if not len(category.picture):
        return result
    drawn = weights[:, category.picture]  # [B, D]
    for threshold in range(10):
        right = np.cumsum(drawn * category.right[threshold], axis=1)
        counted = np.cumsum(drawn * category.counted[threshold], axis=1)
        precision = right / np.maximum(counted, np.finfo(float).eps)
        # Precision at a recall is the maximum over that recall and all higher ones.
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for b in np.flatnonzero(objects):
            recall = right[b] / objects[b]
            at = np.searchsorted(recall, _RECALLS, side="left")
            reached = at[at < len(recall)]
            result[b, threshold] = envelope[b, reached].sum() / len(_RECALLS)
    return result


def _match(
    truths: Sequence[Sequence[Box]], predicted: Sequence[Sequence[Box]], classes: int
) -> list[_Category]:
    """Match detections and objects with pycocotools, class by class."""
    coco = require("pycocotools.coco", "task 'detect'", "pycocotools")
    evaluation = require("pycocotools.cocoeval", "task 'detect'", "pycocotools")

    def entries(boxes: Sequence[Sequence[Box]]) -> list[dict[str, Any]]:
        flat = [(picture, box) for picture, row in enumerate(boxes) for box in row]
        return [
            {
                "id": number,
                "image_id": picture,
                "category_id": box.category,
                "bbox": list(box.place),
                "area": box.area or box.place[2] * box.place[3],
                "iscrowd": int(box.crowd),
                "score": box.score,
            }
            for number, (picture, box) in enumerate(flat, 1)
        ]

    def index(boxes: Sequence[Sequence[Box]]) -> Any:
        made = coco.COCO()
        made.dataset = {
            "images": [{"id": i} for i in range(len(truths))],
            "annotations": entries(boxes),
            "categories": [{"id": i} for i in range(classes)],
        }
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        run = evaluation.COCOeval(index(truths), index(predicted), "bbox")
        run.params.areaRng = [run.params.areaRng[0]]
        run.params.areaRngLbl = ["all"]
        run.evaluate()
    pictures = len(truths)
    return [
        _collect(run.evalImgs[c * pictures : (c + 1) * pictures], pictures) for c in range(classes)
    ]


def _collect(found: Sequence[dict[str, Any] | None], pictures: int) -> _Category:
    objects = np.zeros(pictures)
    picture: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    scores: list[Floats] = [np.zeros(0)]
    right: list[Floats] = [np.zeros((10, 0))]
    counted: list[Floats] = [np.zeros((10, 0))]
    for i, entry in enumerate(found):
        if entry is None:
            continue
        objects[i] = np.sum(np.asarray(entry["gtIgnore"]) == 0)
        count = len(entry["dtScores"])
        matches = np.asarray(entry["dtMatches"]).reshape(10, count)
        ignored = np.asarray(entry["dtIgnore"]).reshape(10, count).astype(bool)
        picture.append(np.full(count, i))
        scores.append(np.asarray(entry["dtScores"], float))
        right.append(((matches > 0) & ~ignored).astype(float))
        counted.append((~ignored).astype(float))
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    return _Category(
        np.concatenate(picture)[order],
        np.concatenate(right, 1)[:, order],
        np.concatenate(counted, 1)[:, order],
        objects,
    )
