"""What a task is: labelled pictures, a question to a frozen model, and scores of its answers.

A task brings its data set, asks a model about one picture at a time, and tallies answers so that
any weighting of the pictures can be scored: that is what the bootstrap needs. The tasks stand in
files of their own; models in models.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantal.codecs.base import Pixels
from quantal.errors import ArgumentError, EvaluationError
from quantal.media import PICTURE_SUFFIXES

__all__ = ["Dataset", "Floats", "Sample", "Score", "Tally", "Task", "folder", "pictures_in"]

Floats: TypeAlias = NDArray[np.float64]

#: weights [B, P] of P pictures, B times -> the scores by name, each [B], in percent.
Tally: TypeAlias = Callable[[Floats], Mapping[str, Floats]]


@dataclass(frozen=True)
class Score:
    """A figure that a task is judged by, in percent, so that a difference of 1 is one point."""

    name: str
    title: str
    higher_is_better: bool = True

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Sample:
    """A picture and what is true of it; what `truth` holds is the task's own affair."""

    name: str
    path: Path
    truth: Any


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures. classes: their names, by the index that truths use; () for text."""

    root: Path
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]

    def limited(self, limit: int | None) -> Dataset:
        """At most so many of the pictures, evenly spread, so that every class has its share."""
        if limit is None or limit >= len(self.samples):
            return self
        if limit < 1:
            raise ArgumentError(f"the limit is {limit} pictures, expected at least 1")
        chosen = np.linspace(0, len(self.samples) - 1, limit).round().astype(int)
        return replace(self, samples=tuple(self.samples[i] for i in chosen))


class Task(ABC):
    """A question about pictures that has right answers."""

    name: ClassVar[str]
    title: ClassVar[str]
    #: The first is the one that losses and rates are told by.
    scores: ClassVar[tuple[Score, ...]]

    @abstractmethod
    def load(self, data: Path) -> Dataset:
        """Read the labels; EvaluationError where they aren't as this task needs them."""

    @abstractmethod
    def predict(self, model: Any, pixels: Pixels, sample: Sample) -> Any:
        """What the model says of the picture, in a form that JSON holds.

        pixels: the sample's picture as decoded, uint8 [H, W, 3].
        """

    def check(self, dataset: Dataset, model: Any) -> None:  # noqa: B027
        """EvaluationError where the model could answer nothing that is scored; here, never."""

    @abstractmethod
    def tally(
        self, dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Any]
    ) -> Tally:
        """Make the scores of any weighting of these samples; a prediction for each of them."""


def folder(data: Path, what: str) -> Path:
    """The folder of a data set, or an error that says what it should be."""
    if not data.exists():
        raise ArgumentError(f"there is no {data}; expected {what}")
    if not data.is_dir():
        raise EvaluationError(f"{data} is a file; expected {what}")
    return data


def pictures_in(where: Path, expected: str) -> list[Path]:
    """The pictures right in a folder, sorted by name; EvaluationError if there are none."""
    found = [p for p in sorted(where.iterdir()) if p.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        count = sum(1 for _ in where.iterdir())
        raise EvaluationError(
            f"{where} holds no picture among {count} entries; expected {expected}"
        )
    return found
