"""The interface of tasks: data set, prediction of a frozen model, and scores of predictions.

Scores are computed for any weights of the pictures, as the bootstrap needs. Each task is in a
module of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantal import media
from quantal.arguments import whole
from quantal.errors import ArgumentError, EvaluationError, MediaError
from quantal.eval.pictures import is_picture, reason_unreadable
from quantal.eval.texts import as_text, distinct

__all__ = [
    "Dataset",
    "Floats",
    "Sample",
    "Score",
    "Tally",
    "Task",
    "folder",
    "labelled",
    "pictures_in",
    "remedy_for_size",
]

Floats: TypeAlias = NDArray[np.float64]

#: Weights [B, P] of P pictures -> scores [B] in percent, by name.
Tally: TypeAlias = Callable[[Floats], Mapping[str, Floats]]


@dataclass(frozen=True)
class Score:
    """A score of a task in percent; a difference of 1 is one point.

    Attributes:
        name: Name in tables.
        title: Title in reports.
        higher_is_better: Whether higher values are better.
    """

    name: str
    title: str
    higher_is_better: bool = True

    @property
    def sign(self) -> int:
        """1 if higher values are better, else -1."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Sample:
    """A picture and its label; the type of `truth` depends on the task.

    Attributes:
        name: Name of the picture.
        path: Its file.
        truth: Its label.
        size: Width and height in pixels that the label is for; None if it doesn't say.
    """

    name: str
    path: Path
    truth: Any
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures.

    Attributes:
        root: Folder of the data set.
        classes: Names of classes by index; () for text.
        samples: The pictures.
        unreadable: Folder or file that can't be read and is not a sample -> reason.
    """

    root: Path
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def limited(self, limit: int | None) -> Dataset:
        """Return the data set with at most `limit` pictures, evenly spaced over all classes."""
        if limit is None:
            return self
        limit = whole("limit", limit)
        if limit < 1:
            raise ArgumentError(f"the limit is {limit} pictures, expected at least 1")
        if limit >= len(self.samples):
            return self
        chosen = np.linspace(0, len(self.samples) - 1, limit).round().astype(int)
        return replace(self, samples=tuple(self.samples[i] for i in chosen))


def labelled(
    root: Path,
    classes: Iterable[str],
    samples: Iterable[Sample],
    unreadable: Mapping[str, str] | None = None,
) -> Dataset:
    """Return a data set whose names of classes and pictures are distinct texts."""
    given = tuple(samples)
    names = distinct(sample.name for sample in given)
    return Dataset(
        root,
        tuple(distinct(classes)),
        tuple(replace(one, name=name) for one, name in zip(given, names, strict=True)),
        unreadable or {},
    )


class Task(ABC):
    """A task of machine perception."""

    name: ClassVar[str]
    title: ClassVar[str]
    #: Whether labels are about places in a picture, so that they depend on its size.
    located: ClassVar[bool] = True
    #: The first is the main score, which losses and rates refer to.
    scores: ClassVar[tuple[Score, ...]]

    @abstractmethod
    def load(self, data: Path) -> Dataset:
        """Read a data set; EvaluationError if its labels are not those of this task."""

    @abstractmethod
    def predict(self, model: Any, pixels: Any, sample: Sample) -> Any:
        """Return the model's prediction, in JSON types.

        Args:
            model: A `quantal.eval.perception.recipe.Model`.
            pixels: The decoded picture, uint8 [H, W, 3]; latents where they are shown instead.
            sample: The original picture and its label.
        """

    def check_data(self, dataset: Dataset) -> None:
        """Raise EvaluationError for the first label that does not fit its picture."""
        for sample in dataset.samples if self.located else ():
            if reason_unreadable(sample.path) is None:
                with suppress(MediaError):  # it is reported when the picture is measured
                    picture = media.read(sample.path)
                    _check_size(sample, picture.width, picture.height)
                    self.check_label(sample, picture.width, picture.height)

    def check_label(self, sample: Sample, width: int, height: int) -> None:  # noqa: B027
        """Raise EvaluationError if a label has places outside of its picture."""

    def check(self, dataset: Dataset, model: Any) -> None:  # noqa: B027
        """Raise EvaluationError if no prediction of the model could be scored; by default never."""

    @abstractmethod
    def tally(
        self, dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Any]
    ) -> Tally:
        """Return a function that computes the scores for any weights of the samples.

        Args:
            dataset: The data set.
            samples: Some of its samples.
            predictions: The prediction for each of them.
        """


def _check_size(sample: Sample, width: int, height: int) -> None:
    """Raise EvaluationError if the label of a picture is for another size."""
    size = sample.size or (width, height)
    if size != (width, height):
        raise EvaluationError(
            f"{sample.name}: the label is for {size[0]}x{size[1]} pixels, the picture has "
            f"{width}x{height}; {remedy_for_size(size, (width, height))}"
        )


def remedy_for_size(label: tuple[int, int], picture: tuple[int, int]) -> str:
    """Return what helps if a label and its picture have other sizes, width and height."""
    if label == picture[::-1]:
        return (
            "pictures are turned upright by their EXIF orientation, and the label seems to be for "
            "the picture as stored: turn the label, or drop the orientation from the file"
        )
    return "scale the label, or take the picture that it was made for"


def folder(data: Path, what: str) -> Path:
    """Return the folder of a data set; raise an error with `what` is expected if it is none."""
    if not data.exists():
        raise ArgumentError(f"there is no {as_text(data)}; expected {what}")
    if not data.is_dir():
        raise EvaluationError(f"{as_text(data)} is a file; expected {what}")
    return data


def pictures_in(where: Path, expected: str) -> list[Path]:
    """Return the pictures in a folder, sorted by name; EvaluationError if there are none."""
    try:
        entries = sorted(where.iterdir())
    except OSError as error:
        raise EvaluationError(f"{as_text(where)} can't be listed: {error.strerror}") from error
    found = [path for path in entries if is_picture(path) and not path.is_dir()]
    if not found:
        raise EvaluationError(
            f"{as_text(where)} holds no picture among {len(entries)} entries; expected {expected}"
        )
    return found
