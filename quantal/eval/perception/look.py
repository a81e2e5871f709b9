"""One picture, coded at one quality and shown to a model: the unit of work of a measurement.

It runs in a worker process, which keeps codecs, metrics and models loaded. What it returns are
entries of the journal, one for each precision of the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from quantal import media
from quantal.codecs.base import Pixels
from quantal.errors import EvaluationError
from quantal.eval.codecs import Decoded, ImageCodec, codec
from quantal.eval.metrics import metric
from quantal.eval.perception.base import Sample
from quantal.eval.perception.models import load
from quantal.eval.perception.recipe import Recipe
from quantal.eval.perception.tasks import task
from quantal.eval.work import explain

__all__ = ["ORIGINAL", "Work", "digest", "look", "to_bytes"]

#: What pictures that were never coded are called where a codec's name would stand.
ORIGINAL = "original"


@dataclass(frozen=True)
class Work:
    """spec: of the codec, or ORIGINAL. recipes: the model in each precision asked for."""

    spec: str
    quality: float
    sample: Sample
    recipes: tuple[Recipe, ...]
    metrics: tuple[str, ...]
    metric_weights: Path | None


def look(work: Work) -> list[dict[str, Any]]:
    """Code, decode, measure and ask; what the codec raises, this raises."""
    picture = media.read(work.sample.path).pixels
    height, width = picture.shape[:2]
    entry: dict[str, Any] = {"width": width, "height": height}
    shown: Pixels = picture
    if work.spec != ORIGINAL:
        one = _codec(work.spec)
        data = one.encode(picture, work.quality)
        decoded = one.decode(data)
        if decoded.shape != picture.shape:
            raise EvaluationError(
                f"{one.label} gave a picture {list(decoded.shape)} for one {list(picture.shape)}"
            )
        entry["bytes"] = len(data)
        entry["bpp"] = 8 * len(data) / (width * height)
        entry["metrics"] = _measure(work, picture, decoded)
        shown = to_bytes(decoded)
    entries = []
    for recipe in work.recipes:
        model = load(recipe)
        try:
            answer = {"prediction": task(recipe.task).predict(model, shown, work.sample)}
        except Exception as error:
            answer = {"error": f"{model.label}: {explain(error)}"}
        entries.append({**entry, "precision": recipe.precision, **answer})
    return entries


def _measure(work: Work, picture: Pixels, decoded: Decoded) -> Mapping[str, float | None]:
    """Metrics by name; None where one isn't defined for such a picture."""
    values: dict[str, float | None] = {}
    for name in work.metrics:
        try:
            values[name] = metric(name, work.metric_weights)(picture, decoded)
        except EvaluationError:
            values[name] = None
    return values


def to_bytes(decoded: Decoded) -> Pixels:
    """The picture as a file of 8 bits would hold it, which is what models are shown."""
    if decoded.dtype == np.uint8:
        return np.asarray(decoded, np.uint8)
    return np.clip(np.rint(decoded), 0, 255).astype(np.uint8)


def digest(sample: Sample) -> str:
    """Eight hexadecimal digits that change when the picture or what is true of it does."""
    truth = sample.truth
    try:
        known = truth.read_bytes() if isinstance(truth, Path) else repr(truth).encode()
        return hashlib.sha256(sample.path.read_bytes() + known).hexdigest()[:8]
    except OSError as error:
        raise EvaluationError(f"{sample.path} can't be opened: {error.strerror}") from error


@lru_cache(maxsize=16)
def _codec(spec: str) -> ImageCodec:
    return codec(spec)
