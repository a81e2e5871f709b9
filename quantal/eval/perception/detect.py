"""Detection: boxes around objects; average precision as defined by COCO.

Data: a COCO JSON file of boxes, or a folder that holds exactly one. Pictures are in its folder, up
to two folders above, or in a subfolder of one of these.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval.perception.average import Box, tally_boxes
from quantal.eval.perception.base import Dataset, Sample, Score, Tally, Task, labelled
from quantal.eval.texts import as_text

__all__ = ["Detect"]

#: Pixels that a box may reach beyond its picture, by rounding.
_SLACK = 2.0
_EXPECTED = "a COCO JSON with images, annotations and categories, or a folder with one"
_ID, _TEXT, _BOX = "a number or text", "text", "four numbers [left, top, width, height]"
_FIELDS = {
    "images": {"id": _ID, "file_name": _TEXT},
    "annotations": {"image_id": _ID, "category_id": _ID, "bbox": _BOX},
    "categories": {"id": _ID, "name": _ID},
}
_IS: dict[str, Callable[[Any], bool]] = {
    _ID: lambda value: isinstance(value, str) or _is_number(value),
    _TEXT: lambda value: isinstance(value, str),
    _BOX: lambda value: isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)),
}


class Detect(Task):
    """Detection; the truth is a tuple of boxes."""

    name = "detect"
    title = "Detection"
    scores = (Score("ap", "AP (IoU 0.50 to 0.95)"), Score("ap50", "AP50 (IoU 0.50)"))

    def load(self, data: Path) -> Dataset:
        path = _annotations(data)
        content = _parse(path)
        categories = {c["id"]: str(c["name"]) for c in content["categories"]}
        classes = tuple(sorted(set(categories.values())))
        index = {label: i for i, label in enumerate(classes)}
        boxes: dict[Any, list[Box]] = {image["id"]: [] for image in content["images"]}
        for entry in content["annotations"]:
            if entry["image_id"] not in boxes or entry["category_id"] not in categories:
                raise EvaluationError(
                    f"{path}: annotation {entry.get('id')} names an image or a category that "
                    "the file does not list"
                )
            left, top, width, height = map(float, entry["bbox"])
            boxes[entry["image_id"]].append(
                Box(
                    index[categories[entry["category_id"]]],
                    (left, top, width, height),
                    crowd=bool(entry.get("iscrowd", 0)),
                    area=float(entry.get("area", width * height)),
                )
            )
        names = {image["id"]: image["file_name"] for image in content["images"]}
        sizes = {image["id"]: _size(path, image) for image in content["images"]}
        where = _pictures(path, list(names.values()))
        samples = [
            Sample(name, where / name, tuple(boxes[key]), sizes[key])
            for key, name in sorted(names.items(), key=lambda item: item[1])
        ]
        return labelled(path.parent, classes, samples)

    def check_label(self, sample: Sample, width: int, height: int) -> None:
        for box in sample.truth:
            left, top, across, down = box.place
            outside = min(left, top) < -_SLACK or left + across > width + _SLACK
            if outside or top + down > height + _SLACK or min(across, down) < 0:
                raise EvaluationError(
                    f"{sample.name}: the box {_shown(list(box.place))} [left, top, width, height] "
                    f"is not inside the picture of {width}x{height} pixels; correct it, or take "
                    "the picture that it was drawn on"
                )

    def predict(self, model: Any, pixels: Pixels, sample: Sample) -> list[list[float]]:
        """Return at most 100 boxes: class, score, left, top, width, height in pixels.

        Boxes of classes that the data set does not have are left out.
        """
        found = model(pixels)
        rows = [
            (model.mapping[c], round(float(s), 5), x1, y1, x2 - x1, y2 - y1)
            for c, s, (x1, y1, x2, y2) in zip(
                found.classes, found.scores, found.boxes.tolist(), strict=True
            )
            if model.mapping[c] >= 0
        ]
        rows.sort(key=lambda row: -row[1])
        return [[c, s, *(round(float(v), 2) for v in box)] for c, s, *box in rows[:100]]

    def tally(
        self, dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Any]
    ) -> Tally:
        truths = [sample.truth for sample in samples]
        predicted = [
            [Box(int(c), (x, y, w, h), score=s) for c, s, x, y, w, h in rows]
            for rows in predictions
        ]
        average = tally_boxes(truths, predicted, len(dataset.classes))

        def scores(weights: np.ndarray[Any, Any]) -> dict[str, Any]:
            by_threshold = average(weights)  # [B, 10]
            return {"ap": 100 * by_threshold.mean(1), "ap50": 100 * by_threshold[:, 0]}

        return scores


def _annotations(data: Path) -> Path:
    """Return the only JSON file in a folder, or the file itself."""
    if data.is_file():
        return data
    if not data.is_dir():
        raise ArgumentError(f"there is no {data}; expected {_EXPECTED}")
    found = sorted(data.rglob("*.json"))
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(data)) for path in found[:4]) or "none"
        raise EvaluationError(
            f"{data} holds {len(found)} JSON files ({names}); expected exactly one: name it "
            "instead of the folder"
        )
    return found[0]


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise EvaluationError(f"{as_text(path)} can't be opened: {error.strerror}") from error
    except ValueError as error:
        raise EvaluationError(
            f"{path} is not valid JSON ({error}); expected {_EXPECTED}"
        ) from error
    missing = [key for key in _FIELDS if not isinstance(content, dict) or not content.get(key)]
    if missing:
        raise EvaluationError(f"{path} has no {' and no '.join(missing)}; expected {_EXPECTED}")
    for key, fields in _FIELDS.items():
        if not isinstance(content[key], list):
            raise EvaluationError(
                f"{path}: {key} is {_shown(content[key])}, expected a list of objects"
            )
        for entry in content[key]:
            if not isinstance(entry, dict):
                raise EvaluationError(
                    f"{path}: an entry of {key} is {_shown(entry)}, expected an object with "
                    + ", ".join(fields)
                )
            _check(path, key, entry, fields)
    return content


def _check(path: Path, key: str, entry: dict[str, Any], fields: dict[str, str]) -> None:
    """Raise EvaluationError for a missing field, or one of another type."""
    for field, expected in fields.items():
        if field not in entry:
            raise EvaluationError(f"{path}: an entry of {key} has no {field}: {_shown(entry)}")
        if not _IS[expected](entry[field]):
            raise EvaluationError(
                f"{path}: an entry of {key} has the {field} {_shown(entry[field])}, "
                f"expected {expected}: {_shown(entry)}"
            )
    if not _is_number(entry.get("area", 0)):
        raise EvaluationError(
            f"{path}: an entry of {key} has the area {_shown(entry['area'])}, "
            f"expected a number or none at all: {_shown(entry)}"
        )


def _size(path: Path, image: dict[str, Any]) -> tuple[int, int] | None:
    """Return width and height of an entry of images; None if it has none."""
    width, height = image.get("width"), image.get("height")
    if width is None or height is None:
        return None
    if not all(_is_number(side) and side >= 1 for side in (width, height)):
        raise EvaluationError(
            f"{path}: an entry of images has the width {_shown(width)} and the height "
            f"{_shown(height)}, expected pixels: {_shown(image)}"
        )
    return int(width), int(height)


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _shown(value: Any) -> str:
    """Return a value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _pictures(path: Path, names: Sequence[str]) -> Path:
    """Return the folder that the names of pictures are relative to; it holds all of them."""
    above = (path.parent, *list(path.parent.absolute().parents)[:2])
    for base in above:
        for place in (base, base / "images", *_folders(base)):
            if os.path.lexists(place / names[0]):
                missing = [name for name in names if not os.path.lexists(place / name)]
                if missing:
                    raise EvaluationError(
                        as_text(
                            f"{path} names the picture {missing[0]}, which is not there "
                            f"({len(missing)} such of {len(names)}); looked in {place}"
                        )
                    )
                return place
    raise EvaluationError(
        as_text(
            f"{path} names the picture {names[0]}, which is not there; looked in "
            + ", ".join(str(base) for base in above)
            + ", and the folders in each"
        )
    )


def _folders(base: Path) -> list[Path]:
    try:
        return sorted(place for place in base.iterdir() if place.is_dir())
    except OSError:  # a folder above that may not be listed
        return []
