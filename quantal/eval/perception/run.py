"""The measurement of `quantal eval perception`.

Every prediction is appended to OUT/perception.jsonl at once, so that a run can be resumed. Scores
are computed from these entries at the end (figures.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from quantal.arguments import whole
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval import plans
from quantal.eval.codecs import EvaluatedCodec, ImageCodec, codecs, grids
from quantal.eval.journal import Journal
from quantal.eval.metrics import metric
from quantal.eval.perception.base import Dataset, Sample, Task
from quantal.eval.perception.look import ORIGINAL, Work, digest, look
from quantal.eval.perception.models import default_precision, load
from quantal.eval.perception.recipe import Model, Recipe
from quantal.eval.perception.tasks import task
from quantal.eval.pictures import reason_unreadable
from quantal.eval.texts import as_text
from quantal.eval.work import Failure, cores, spread
from quantal.outputs import create_folder

__all__ = ["JOURNAL", "Plan", "Study", "measure"]

JOURNAL = "perception.jsonl"
_TIMEOUT = 900.0  # seconds for one picture: codec, metrics and models
_Key: TypeAlias = tuple[str, str, float, str, str, str]


@dataclass(frozen=True)
class Plan:
    """A measurement of machine perception.

    Attributes:
        codecs: Specs of the codecs.
        data: The data set, see the task's module.
        task: Name of the task.
        model: Name of torchvision's model, or path of a model file.
        out: Folder for results.
        qualities: Label of a codec -> qualities, or "" -> qualities of all other codecs; codecs
            without an entry are measured at their default qualities.
        weights: File of weights, for torchvision's models.
        preprocess: File of preprocessing, for model files.
        labels: File of pairs of classes, a model's and a data set's.
        limit: Maximum number of pictures; None for all.
        jobs: Number of worker processes; 0 for the calling process, None for one per core.
        threads: Number of threads in each process.
        metrics: Names of metrics.
        metric_weights: Folder with weights of metrics.
        precisions: Precisions of the model; curves and findings refer to the first. () for the
            default precision.
    """

    codecs: Sequence[str]
    data: Path
    task: str
    model: str
    out: Path
    qualities: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weights: Path | None = None
    preprocess: Path | None = None
    labels: Path | None = None
    limit: int | None = None
    jobs: int | None = None
    threads: int = 1
    metrics: Sequence[str] = ("psnr", "ms-ssim")
    metric_weights: Path | None = None
    precisions: Sequence[str] = ()

    def __post_init__(self) -> None:
        jobs, threads = plans.processes(self.jobs, self.threads)
        files = ("weights", "preprocess", "labels", "metric_weights")
        given = {name: getattr(self, name) for name in files}
        plans.replaced(
            self,
            codecs=plans.texts("codecs", self.codecs),
            data=plans.place("data", self.data),
            model=str(plans.place("model", self.model)),
            out=plans.place("out", self.out),
            qualities=plans.qualities_of(self.qualities),
            limit=None if self.limit is None else whole("limit", self.limit, 1),
            jobs=jobs,
            threads=threads,
            metrics=plans.texts("metrics", self.metrics),
            precisions=plans.texts("precisions", self.precisions),
            **{name: None if v is None else plans.place(name, v) for name, v in given.items()},
        )


@dataclass(frozen=True)
class Study:
    """A finished measurement.

    Attributes:
        task: The task.
        dataset: The data set.
        models: Precision -> model.
        versions: Label of a codec -> version.
        qualities: Label of a codec -> qualities, in ascending order.
        metrics: Names of metrics.
        entries: (codec, quality, precision) -> picture -> journal entry.
    """

    task: Task
    dataset: Dataset
    models: Mapping[str, Model]
    versions: Mapping[str, str]
    qualities: Mapping[str, tuple[float, ...]]
    metrics: tuple[str, ...]
    entries: Mapping[tuple[str, float, str], Mapping[str, Mapping[str, Any]]]

    @property
    def failures(self) -> list[Mapping[str, Any]]:
        """Entries with an error instead of a prediction."""
        return [
            entry for row in self.entries.values() for entry in row.values() if entry.get("error")
        ]


def measure(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Study:
    """Measure everything that is not yet in the journal of the plan's folder.

    Args:
        plan: What to measure.
        progress: Progress callback; receives the number of finished and of all work items.

    Raises:
        ArgumentError: The plan has invalid arguments; raised before anything is measured.
        EvaluationError: The data set is invalid, or the folder holds another journal.
        ModelError: The model can't be loaded.
        OutputError: The output folder can't be created.
    """
    asked = task(plan.task)
    if Path(os.path.realpath(plan.out)).is_relative_to(os.path.realpath(plan.data)):
        raise ArgumentError(
            f"the output folder {plan.out} is inside the data {plan.data}, so that results would "
            "become data; name a folder outside"
        )
    found = codecs(plan.codecs)
    qualities = grids(found, plan.qualities)
    for name in plan.metrics:
        metric(name, plan.metric_weights)
    dataset = asked.load(plan.data).limited(plan.limit)
    asked.check_data(dataset)
    recipes = [
        Recipe(
            plan.task,
            plan.model,
            dataset.classes,
            plan.weights,
            plan.preprocess,
            plan.labels,
            precision,
        )
        for precision in dict.fromkeys(plan.precisions or (default_precision(plan.model),))
    ]
    models = {recipe.precision: load(recipe) for recipe in recipes}
    asked.check(dataset, next(iter(models.values())))
    for one in found:
        _check_route(one, next(iter(models.values())))
    study = Study(
        asked,
        dataset,
        models,
        {ORIGINAL: "", **{as_text(one.label): one.version for one in found}},
        {ORIGINAL: (0.0,), **{as_text(label): grid for label, grid in qualities.items()}},
        tuple(dict.fromkeys(plan.metrics)),
        {},
    )
    journal = _open(plan.out)
    record = _Record(study, journal)
    specs = {ORIGINAL: ORIGINAL, **{as_text(one.label): one.label for one in found}}
    works = [
        Work(specs[codec], quality, sample, left, study.metrics, plan.metric_weights)
        for codec, values in study.qualities.items()
        for quality in values
        for sample in dataset.samples
        if sample.name not in record.unreadable
        and (left := tuple(r for r in recipes if not record.has(codec, quality, sample, r)))
    ]
    jobs = cores() if plan.jobs is None else plan.jobs
    # Sorted by picture, so that all codecs advance together.
    works.sort(key=lambda work: (work.spec != ORIGINAL, work.sample.name))
    for done, (work, result) in enumerate(
        spread(look, works, jobs=jobs, threads=plan.threads, timeout=_TIMEOUT), 1
    ):
        for entry in _entries(work, result):
            record.add(work, entry)
        if progress is not None:
            progress(done, len(works))
    return replace(study, entries=record.chosen())


def _check_route(one: EvaluatedCodec, model: Model) -> None:
    """Raise ArgumentError unless a model can be shown what a codec gives."""
    if not isinstance(one, ImageCodec):
        return
    if one.joint is not None:
        model.check(one.joint)
    elif not one.draws:
        raise ArgumentError(
            f"{one.label} draws no pictures; name the stem that reads its files: "
            f"{one.name}:latents=STEM.safetensors"
        )


def _open(out: Path) -> Journal:
    create_folder(out)
    return Journal(out / JOURNAL)


def _entries(work: Work, result: list[dict[str, Any]] | Failure) -> Iterator[dict[str, Any]]:
    if not isinstance(result, Failure):
        yield from result
        return
    for recipe in work.recipes:
        yield {"precision": recipe.precision, "error": result.reason}


class _Record:
    """The journal's entries by key; a later entry replaces an earlier one of the same key.

    Attributes:
        unreadable: Pictures whose files can't be read -> reason; they have no entries.
    """

    def __init__(self, study: Study, journal: Journal) -> None:
        self._study = study
        self._journal = journal
        samples = study.dataset.samples
        reasons = {sample.name: reason_unreadable(sample.path) for sample in samples}
        self.unreadable = {name: reason for name, reason in reasons.items() if reason}
        self._digests = {s.name: digest(s) for s in samples if s.name not in self.unreadable}
        self._by_key: dict[_Key, Mapping[str, Any]] = {}
        for entry in journal.entries:
            try:
                key = (
                    entry["codec"],
                    entry["version"],
                    float(entry["quality"]),
                    f"{entry['picture']}@{entry['digest']}",
                    entry["model"],
                    entry["precision"],
                )
            except (KeyError, TypeError, ValueError) as error:
                raise EvaluationError(
                    f"{journal.path} is not a journal of this measurement: an entry has no "
                    f"{error}; name another output folder"
                ) from error
            self._by_key[key] = entry

    def _key(self, codec: str, quality: float, sample: Sample, precision: str) -> _Key:
        return (
            codec,
            self._study.versions[codec],
            quality,
            f"{sample.name}@{self._digests[sample.name]}",
            self._study.models[precision].identity,
            precision,
        )

    def has(self, codec: str, quality: float, sample: Sample, recipe: Recipe) -> bool:
        """Whether the journal has a prediction; failures are tried again."""
        entry = self._by_key.get(self._key(codec, quality, sample, recipe.precision))
        if entry is None or entry.get("error"):
            return False
        return codec == ORIGINAL or set(self._study.metrics) <= set(entry["metrics"])

    def add(self, work: Work, entry: dict[str, Any]) -> None:
        """Append an entry to the journal."""
        precision = entry["precision"]
        key = self._key(as_text(work.spec), work.quality, work.sample, precision)
        whole = {
            "codec": as_text(work.spec),
            "version": key[1],
            "quality": work.quality,
            "picture": work.sample.name,
            "digest": self._digests[work.sample.name],
            "model": key[4],
            **entry,
        }
        self._journal.append(whole)
        self._by_key[key] = whole

    def _entry(
        self, codec: str, quality: float, sample: Sample, precision: str
    ) -> Mapping[str, Any]:
        if sample.name not in self.unreadable:
            return self._by_key[self._key(codec, quality, sample, precision)]
        return {
            "codec": codec,
            "quality": quality,
            "picture": sample.name,
            "precision": precision,
            "error": self.unreadable[sample.name],
        }

    def chosen(self) -> dict[tuple[str, float, str], dict[str, Mapping[str, Any]]]:
        """Return the entries of the study."""
        return {
            (codec, quality, precision): {
                sample.name: self._entry(codec, quality, sample, precision)
                for sample in self._study.dataset.samples
            }
            for codec, values in self._study.qualities.items()
            for quality in values
            for precision in self._study.models
        }
