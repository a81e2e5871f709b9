"""Segmentation: one class per pixel; mean intersection over union.

Data: images/ with pictures and masks/ with PNG files of the same stems, whose stored samples (grey
or palette, 1 to 16 bits) are class indices, as in Pascal VOC and CamVid. 255 is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantal import media
from quantal.codecs.contract import Pixels
from quantal.errors import EvaluationError, MediaError
from quantal.eval.perception.base import (
    Dataset,
    Sample,
    Score,
    Tally,
    Task,
    folder,
    labelled,
    pictures_in,
    remedy_for_size,
)

__all__ = ["Segment"]

_EXPECTED = "images/ with pictures and masks/ with a PNG of class indices for each"
_IGNORED = 255


class Segment(Task):
    """Segmentation; the truth is the path of the mask."""

    name = "segment"
    title = "Segmentation"
    located = False  # a mask of another size is a failure of its picture alone
    scores = (Score("miou", "mIoU"), Score("pixels", "pixel accuracy"))

    def load(self, data: Path) -> Dataset:
        root = folder(data, _EXPECTED)
        missing = [name for name in ("images", "masks") if not (root / name).is_dir()]
        if missing:
            raise EvaluationError(f"{root} has no folder {missing[0]}/; expected {_EXPECTED}")
        samples = []
        highest = 0
        for path in pictures_in(root / "images", "pictures"):
            mask = root / "masks" / f"{path.stem}.png"
            if not mask.is_file():
                raise EvaluationError(f"{path} has no mask {mask}; expected {_EXPECTED}")
            values = _read_mask(mask)
            highest = max(highest, int(values[values != _IGNORED].max(initial=0)))
            samples.append(Sample(path.name, path, mask))
        return labelled(root, map(str, range(highest + 1)), samples)

    def predict(self, model: Any, pixels: Pixels, sample: Sample) -> list[list[int]]:
        """Return counts per class of the data set: correct, annotated and predicted pixels."""
        mapping = np.array(model.mapping)
        predicted = mapping[model(pixels)]
        truth = _read_mask(sample.truth)
        if truth.shape != predicted.shape:
            (height, width), (tall, wide) = truth.shape, predicted.shape
            raise EvaluationError(
                f"the mask is {width}x{height}, its picture {wide}x{tall}; expected equal sizes: "
                f"{remedy_for_size((width, height), (wide, tall))}"
            )
        known = sorted({int(i) for i in mapping if i >= 0})
        counted = np.isin(truth, known)
        return [
            [
                int(np.sum(counted & (truth == i) & (predicted == i))),
                int(np.sum(counted & (truth == i))),
                int(np.sum(counted & (predicted == i))),
            ]
            for i in range(max(known) + 1)
        ]

    def check(self, dataset: Dataset, model: Any) -> None:
        known = sorted({i for i in model.mapping if i >= 0})
        if not any(np.isin(_read_mask(sample.truth), known).any() for sample in dataset.samples):
            values = ", ".join(map(str, known[:8])) + (", ..." if len(known) > 8 else "")
            raise EvaluationError(
                f"no mask has a pixel of a class of the model, among {len(dataset.samples)} masks "
                f"of {dataset.root}; expected the values {values} (255 is ignored). If the masks "
                'have others, name a JSON file of pairs by --labels: {"car": 8}'
            )

    def tally(
        self, dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Any]
    ) -> Tally:
        counts = np.array(predictions, np.float64)  # [P, classes, 3]

        def scores(weights: np.ndarray[Any, Any]) -> dict[str, Any]:
            right, true, predicted = np.moveaxis(np.tensordot(weights, counts, 1), 2, 0)
            # Classes without annotated pixels only add to the unions of other classes.
            there = true > 0
            with np.errstate(invalid="ignore"):
                shares = np.where(there, right / (true + predicted - right), 0)
                mean = shares.sum(1) / there.sum(1)
                pixels = right.sum(1) / true.sum(1)
            return {"miou": 100 * mean, "pixels": 100 * pixels}

        return scores


def _read_mask(path: Path) -> NDArray[np.int64]:
    """Read the class indices [H, W] of a mask."""
    try:
        return media.read_indices(path)
    except MediaError as error:
        raise EvaluationError(str(error)) from error
