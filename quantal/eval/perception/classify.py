"""Classification: one class per picture; top-1 and top-5 accuracy.

Data: a folder per class with its pictures, or pictures whose names start with the WordNet ID of
their class (n01440764_tench.JPEG), as in ImageNet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantal.codecs.contract import Pixels
from quantal.errors import EvaluationError
from quantal.eval.perception.base import (
    Dataset,
    Sample,
    Score,
    Tally,
    Task,
    folder,
    labelled,
    pictures_in,
)
from quantal.eval.pictures import is_picture
from quantal.eval.texts import as_text

__all__ = ["Classify"]

_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test"})
_WORDNET = re.compile(r"n\d{8}_")
_EXPECTED = (
    "a folder per class with pictures inside, or pictures named by their class like "
    "n01440764_tench.JPEG"
)


class Classify(Task):
    """Classification; the truth is the index of the picture's class."""

    name = "classify"
    title = "Classification"
    located = False
    scores = (Score("top1", "top-1 accuracy"), Score("top5", "top-5 accuracy"))

    def load(self, data: Path) -> Dataset:
        root = folder(data, _EXPECTED)
        unreadable: dict[str, str] = {}
        found = _by_folder(root, unreadable) or _by_name(root)
        classes = sorted({label for label, _ in found})
        index = {label: i for i, label in enumerate(classes)}
        samples = (
            Sample(path.relative_to(root).as_posix(), path, index[label]) for label, path in found
        )
        return labelled(root, classes, samples, unreadable)

    def predict(self, model: Any, pixels: Pixels, sample: Sample) -> list[int]:
        """Return the indices of the five most likely classes, best first; -1 for unmapped ones."""
        likely = np.argsort(-model(pixels), kind="stable")[:5]
        return [model.mapping[i] for i in likely]

    def tally(
        self, dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Any]
    ) -> Tally:
        hits = np.array(
            [
                (found[:1] == [sample.truth], sample.truth in found)
                for sample, found in zip(samples, predictions, strict=True)
            ],
            np.float64,
        ).reshape(-1, 2)

        def scores(weights: np.ndarray[Any, Any]) -> dict[str, Any]:
            with np.errstate(invalid="ignore"):
                shares = 100 * (weights @ hits) / weights.sum(1, keepdims=True)
            return {"top1": shares[:, 0], "top5": shares[:, 1]}

        return scores


def _by_folder(root: Path, unreadable: dict[str, str]) -> list[tuple[str, Path]]:
    """Return classes and pictures; folders that can't be listed are added to `unreadable`."""

    def note(error: OSError) -> None:
        place = Path(error.filename).relative_to(root).as_posix()
        unreadable[as_text(place)] = f"can't be listed: {error.strerror}"

    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise EvaluationError(f"{as_text(root)} can't be listed: {error.strerror}") from error
    for entry in entries:
        if not entry.exists() and not is_picture(entry):
            unreadable[as_text(entry.name)] = "is a link to nothing"
    folders = [entry for entry in entries if entry.is_dir()]
    found = [
        (inner.name, path)
        for inner in folders
        for path in sorted(
            Path(at, name) for at, _, names in os.walk(inner, onerror=note) for name in names
        )
        if is_picture(path)
    ]
    _refuse_splits(root, found)
    return found


def _refuse_splits(root: Path, found: list[tuple[str, Path]]) -> None:
    """Raise EvaluationError if the folders are splits, such as train and val, not classes."""
    parts = sorted({label for label, _ in found})
    below = [path for label, path in found if path.parent != root / label]
    if below and all(part.casefold() in _SPLITS for part in parts):
        meant = next((part for part in parts if not part.casefold().startswith("train")), parts[0])
        raise EvaluationError(
            f"{root} holds {' and '.join(f'{part}/' for part in parts)} with folders inside, such "
            f"as {below[0].parent.relative_to(root).as_posix()}/; expected {_EXPECTED}: "
            f"{root / meant} seems to be meant"
        )


def _by_name(root: Path) -> list[tuple[str, Path]]:
    paths = pictures_in(root, _EXPECTED)
    nameless = [path.name for path in paths if not _WORDNET.match(path.name)]
    if nameless:
        raise EvaluationError(
            f"{root}: {nameless[0]} names no class ({len(nameless)} such of {len(paths)} pictures);"
            f" expected {_EXPECTED}"
        )
    return [(path.stem, path) for path in paths]
