"""Text recognition: lines of text cropped from the decoded picture; character error rate.

Data: images/ with pictures and text/ with CSV files of the same stems. Each line has eight numbers,
the corners of a line of text in pixels, clockwise from its top left, and then the text. Lines are
not detected by the model.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
from quantal.eval.texts import as_text

__all__ = ["Line", "Read", "cut", "edits"]

_EXPECTED = "images/ with pictures and text/ with a CSV of corners and text for each"


@dataclass(frozen=True)
class Line:
    """A line of text.

    Attributes:
        corners: x and y of four corners in pixels, clockwise from the top left.
        text: The text.
    """

    corners: tuple[float, ...]
    text: str


class Read(Task):
    """Text recognition; the truth is a tuple of lines.

    Texts are compared in Unicode's NFKC form, in which a full-width comma is a comma, and without
    white space, since some recognisers do not output spaces. Case is ignored if the labels have no
    lower-case letters.
    """

    name = "read"
    title = "Text recognition"
    scores = (
        Score("cer", "character error rate", higher_is_better=False),
        Score("lines", "lines read without an error"),
    )

    def load(self, data: Path) -> Dataset:
        root = folder(data, _EXPECTED)
        missing = [name for name in ("images", "text") if not (root / name).is_dir()]
        if missing:
            raise EvaluationError(f"{root} has no folder {missing[0]}/; expected {_EXPECTED}")
        samples = []
        for path in pictures_in(root / "images", "pictures"):
            lines = root / "text" / f"{path.stem}.csv"
            if not lines.is_file():
                raise EvaluationError(f"{path} has no text {lines}; expected {_EXPECTED}")
            samples.append(Sample(path.name, path, _read_lines(lines)))
        return labelled(root, (), samples)

    def check_label(self, sample: Sample, width: int, height: int) -> None:
        for line in sample.truth:
            x, y = line.corners[::2], line.corners[1::2]
            if max(x) <= 0 or max(y) <= 0 or min(x) >= width or min(y) >= height:
                raise EvaluationError(
                    f"{sample.name}: the line {as_text(line.text)[:40]!r} with the corners "
                    f"{','.join(f'{c:g}' for c in line.corners)} is outside of the picture of "
                    f"{width}x{height} pixels; correct it, or take the picture that it is on"
                )

    def predict(self, model: Any, pixels: Pixels, sample: Sample) -> list[str]:
        """Return the text that the model recognises in each line."""
        return [model(cut(pixels, line.corners)) for line in sample.truth]

    def tally(
        self, dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Any]
    ) -> Tally:
        counts = np.zeros((len(samples), 4))  # edits, characters, correct lines, lines
        small = any(c.islower() for s in dataset.samples for line in s.truth for c in line.text)
        form: Callable[[str], str] = plain if small else caseless
        for row, sample, predicted in zip(counts, samples, predictions, strict=True):
            for line, text in zip(sample.truth, predicted, strict=True):
                truth = form(line.text)
                wrong = edits(form(text), truth)
                row += wrong, len(truth), wrong == 0, 1

        def scores(weights: np.ndarray[Any, Any]) -> dict[str, Any]:
            wrong, characters, right, lines = (weights @ counts).T
            with np.errstate(invalid="ignore", divide="ignore"):
                return {"cer": 100 * wrong / characters, "lines": 100 * right / lines}

        return scores


def cut(pixels: Pixels, corners: Sequence[float]) -> Pixels:
    """Crop a quadrilateral and rectify it.

    Args:
        pixels: The picture, uint8 [H, W, 3].
        corners: x and y of four corners in pixels, clockwise from the top left.

    Returns:
        A rectangle, uint8 [h, w, 3], with the longer of opposite sides.
    """
    points = np.reshape(corners, (4, 2)).astype(float)
    top_left, top_right, bottom_right, bottom_left = points
    width = max(np.hypot(*(top_right - top_left)), np.hypot(*(bottom_right - bottom_left)))
    height = max(np.hypot(*(bottom_left - top_left)), np.hypot(*(bottom_right - top_right)))
    size = max(1, round(width)), max(1, round(height))
    # Pillow expects the corners anticlockwise.
    quad = (*top_left, *bottom_left, *bottom_right, *top_right)
    image = Image.fromarray(pixels)
    line = image.transform(
        size, Image.Transform.QUAD, tuple(map(float, quad)), Image.Resampling.BILINEAR
    )
    return np.asarray(line)


def plain(text: str) -> str:
    """Normalise a text for comparison: Unicode's NFKC form, without white space."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def caseless(text: str) -> str:
    """Normalise a text for comparison without case."""
    return plain(text).casefold()


def edits(predicted: str, truth: str) -> int:
    """Return the number of characters to insert, delete or replace (Levenshtein, 1966).

    >>> edits("kitten", "sitting")
    3
    """
    above = list(range(len(truth) + 1))
    for i, ours in enumerate(predicted, 1):
        row = [i]
        for j, theirs in enumerate(truth, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (ours != theirs)))
        above = row
    return above[-1]


def _read_lines(path: Path) -> tuple[Line, ...]:
    """Read the lines of a CSV file; texts are the last field and may contain commas."""
    lines = []
    try:
        content = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise EvaluationError(f"{as_text(path)} can't be opened: {error.strerror}") from error
    for number, row in enumerate(content.splitlines(), 1):
        if not row.strip():
            continue
        fields = row.split(",", 8)
        try:
            corners = tuple(float(field) for field in fields[:8])
            text = fields[8]
        except (ValueError, IndexError):
            corners, text = (), ""
        if len(corners) != 8 or not all(map(math.isfinite, corners)):
            raise EvaluationError(
                f"{path}: line {number} is {row[:60]!r}; expected eight numbers, the corners "
                "x1,y1,...,x4,y4, and then the text"
            )
        if plain(text):
            lines.append(Line(corners, text.strip()))
    if not lines:
        raise EvaluationError(f"{path} holds no line of text")
    return tuple(lines)
