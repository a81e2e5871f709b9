"""The unit of work of a measurement: one picture, one codec, one quality, all precisions.

It runs in a worker process, which keeps codecs, metrics and models loaded, and returns journal
entries, one per precision of the model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from quantal import media
from quantal.codecs.contract import Pixels
from quantal.errors import EvaluationError
from quantal.eval.codecs import Decoded, ImageCodec, picture_codec
from quantal.eval.measure import metric_values
from quantal.eval.perception.base import Sample
from quantal.eval.perception.models import load
from quantal.eval.perception.recipe import Recipe
from quantal.eval.perception.route import Undrawn
from quantal.eval.perception.tasks import task
from quantal.eval.texts import as_text
from quantal.eval.work import explain
from quantal.memory import memory_errors

__all__ = ["ORIGINAL", "Work", "digest", "look", "to_bytes"]

#: The name of original pictures in place of a codec's.
ORIGINAL = "original"


@dataclass(frozen=True)
class Work:
    """A picture to measure.

    Attributes:
        spec: Spec of the codec, or ORIGINAL.
        quality: Quality of the codec.
        sample: The picture.
        recipes: The model in each precision.
        metrics: Names of metrics.
        metric_weights: Folder with weights of metrics.
    """

    spec: str
    quality: float
    sample: Sample
    recipes: tuple[Recipe, ...]
    metrics: tuple[str, ...]
    metric_weights: Path | None


def look(work: Work) -> list[dict[str, Any]]:
    """Code a picture, measure metrics and run the model; errors of the codec are passed on."""
    picture = media.read(work.sample.path).pixels
    height, width = picture.shape[:2]
    entry: dict[str, Any] = {"width": width, "height": height}
    shown: Pixels | Undrawn = picture
    if work.spec != ORIGINAL:
        one = _codec(work.spec)
        with memory_errors(f"coding {width}x{height} pixels"):
            data = one.encode(picture, work.quality)
            decoded = one.decode(data) if one.draws else None
        entry["bytes"] = len(data)
        entry["bpp"] = 8 * len(data) / (width * height)
        entry["metrics"] = _metrics(work, one, picture, decoded)
        undrawn = one.undrawn(data)
        if undrawn is not None:
            shown = undrawn
        elif decoded is not None:
            shown = to_bytes(decoded)
        else:
            raise EvaluationError(f"{one.label} gives nothing that a model could be shown")
    entries = []
    for recipe in work.recipes:
        model = load(recipe)
        try:
            with memory_errors(f"a prediction for {width}x{height} pixels"):
                answer = {"prediction": task(recipe.task).predict(model, shown, work.sample)}
        except Exception as error:
            answer = {"error": f"{model.label}: {explain(error)}"}
        entries.append({**entry, "precision": recipe.precision, **answer})
    return entries


def _metrics(
    work: Work, one: ImageCodec, picture: Pixels, decoded: Decoded | None
) -> dict[str, float | None]:
    """Return the value of each metric; None for all if there is no decoded picture."""
    if decoded is None:
        return dict.fromkeys(work.metrics)
    if decoded.shape != picture.shape:
        raise EvaluationError(
            f"{one.label} gave a picture {list(decoded.shape)} for one {list(picture.shape)}"
        )
    return metric_values(work.metrics, work.metric_weights, picture, decoded)


def to_bytes(decoded: Decoded) -> Pixels:
    """Round a decoded picture to 8 bits, as input of models."""
    if decoded.dtype == np.uint8:
        return np.asarray(decoded, np.uint8)
    return np.clip(np.rint(decoded), 0, 255).astype(np.uint8)


def digest(sample: Sample) -> str:
    """Return eight hexadecimal digits that identify a picture's file and its label."""
    truth = sample.truth
    try:
        known = truth.read_bytes() if isinstance(truth, Path) else repr(truth).encode()
        return hashlib.sha256(sample.path.read_bytes() + known).hexdigest()[:8]
    except OSError as error:
        raise EvaluationError(f"{as_text(sample.path)} can't be read: {error.strerror}") from error


@lru_cache(maxsize=16)
def _codec(spec: str) -> ImageCodec:
    return picture_codec(spec)
