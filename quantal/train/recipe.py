"""A training recipe: everything that decides a run, read from YAML, overridden by key=value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from quantal.errors import ArgumentError

__all__ = ["Phase", "Recipe", "read_recipe"]


#: What `optimiser` may be.
OPTIMISERS = ("adamw", "muon")


@dataclass(frozen=True)
class Phase:
    """Crops of `crop` pixels in batches of `batch`, until this fraction of the run is done.

    hold: parts of the network that stand still meanwhile, as `analysis`; rounded: whether rounded
    symbols are priced, as in files, instead of noisy ones, whose price has a smoother gradient.
    """

    until: float
    crop: int
    batch: int
    hold: tuple[str, ...] = ()
    rounded: bool = False


@dataclass(frozen=True)
class Recipe:
    """See recipes/hyperprior.yaml for what each value means."""

    codec: str
    data: tuple[str, ...]
    out: str
    model: dict[str, Any] = field(default_factory=dict)
    steps: int = 20_000
    minutes: float | None = None
    optimiser: str = "adamw"
    learning_rate: float = 2e-3
    klt_pace: float = 0.3
    final_fraction: float = 0.02
    warmup_steps: int = 200
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    clip: float = 2.0
    ema: float = 0.999
    phases: tuple[Phase, ...] = (Phase(1.0, 128, 16),)
    distortion: str = "rgb"
    middle_rates: float = 0.0
    generative: dict[str, Any] = field(default_factory=dict)
    quantise_from: float = 0.7
    evaluation: tuple[str, ...] = ()
    evaluation_rates: tuple[int, ...] = (0, 16, 32, 48, 63)
    evaluate_minutes: float = 20.0
    checkpoint_minutes: float = 5.0
    device: str = "auto"
    threads: int = 0
    processes: int = 1
    compile: bool = False
    bfloat16: bool | None = None
    seed: int = 1
    start_from: str | None = None
    training_data: str = ""
    export_batches: int = 100

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.phases or self.phases[-1].until < 1.0:
            raise ArgumentError("a recipe needs steps >= 1 and phases whose last is `until: 1.0`")
        if self.optimiser not in OPTIMISERS:
            known = ", ".join(OPTIMISERS)
            raise ArgumentError(f"there is no optimiser {self.optimiser!r}; there are {known}")
        if not 0 <= self.middle_rates < 1:
            raise ArgumentError(f"middle_rates is at least 0 and below 1, not {self.middle_rates}")
        if self.processes < 1:
            raise ArgumentError(f"a run needs at least one process, not {self.processes}")
        for phase in self.phases:
            if phase.crop % 64 or phase.crop < 64 or phase.batch < 1:
                raise ArgumentError(f"crops must be multiples of 64 and batches >= 1, not {phase}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def phase(self, done: float) -> Phase:
        """The phase in force once a fraction `done` of the run is behind."""
        return next((p for p in self.phases if done < p.until), self.phases[-1])


#: Keys whose value is a floating-point number.
_NUMBERS = {f.name for f in fields(Recipe) if str(f.type).startswith("float")}


def _set(values: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for name in path:
        section: object = values.setdefault(name, {})
        if not isinstance(section, dict):
            raise ArgumentError(f"override {dotted!r}: {name!r} is a value, not a section")
        values = section
    values[last] = value


def _texts(value: Any) -> tuple[Any, ...]:
    """A list of YAML's; one text stands for a list of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def _build(values: Mapping[str, Any], where: str) -> Recipe:
    known = {f.name for f in fields(Recipe)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ArgumentError(f"{where}: unknown keys {unknown}; known are {sorted(known)}")
    missing = sorted({"codec", "data", "out"} - set(values))
    if missing:
        raise ArgumentError(f"{where}: missing keys {missing}")
    cleaned = dict(values)
    for name in ("model", "generative"):
        if not isinstance(cleaned.get(name, {}), dict):
            raise ArgumentError(f"{where}: `{name}` is not a mapping of names to values")
    try:
        for name in ("data", "evaluation", "evaluation_rates", "betas"):
            if name in cleaned:
                cleaned[name] = _texts(cleaned[name])
        if "phases" in cleaned:
            cleaned["phases"] = tuple(
                Phase(**{**p, "hold": _texts(p.get("hold", ()))}) for p in cleaned["phases"]
            )
        for name in _NUMBERS & set(cleaned):
            # YAML takes 1e-3 for a text; people don't.
            cleaned[name] = None if cleaned[name] is None else float(cleaned[name])
        return Recipe(**cleaned)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{where}: {error}") from error


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; overrides are `key=value` with YAML values, dots reach into mappings."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArgumentError(f"the recipe {path} can't be read: {error}") from error
    if not isinstance(values, dict):
        raise ArgumentError(f"the recipe {path} is not a mapping of keys to values")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ArgumentError(f"override {override!r} is not key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ArgumentError(f"override {override!r} is not YAML: {error}") from error
        _set(values, key, value)
    return _build(values, str(path))
