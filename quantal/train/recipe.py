"""A training recipe: everything that decides a run. reader.py reads it from YAML."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from quantal.arguments import number, whole
from quantal.errors import ArgumentError

__all__ = ["Phase", "Recipe"]


@dataclass(frozen=True)
class Phase:
    """How a part of a run trains.

    Attributes:
        until: the fraction of the run at which the phase ends.
        crop: pixels along a side of the crops.
        batch: crops in a step.
        hold: parts of the network that are not trained meanwhile, as "analysis".
        rounded: whether rounded symbols are priced, as files hold them, instead of noisy ones,
            whose price has a smoother gradient.
    """

    until: float
    crop: int
    batch: int
    hold: tuple[str, ...] = ()
    rounded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", number("until", self.until))
        for name in ("crop", "batch"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run; recipes/hyperprior.yaml explains every key.

    Attributes:
        codec: name of the codec, or of its family.
        data: folders, tar shards and pictures to train on.
        out: the folder of the run.
        model: sizes of the networks, of the type that the family's Trainer names.
        objective: what the run minimises, of the type that the family's Trainer names.
    """

    codec: str
    data: tuple[str, ...]
    out: str
    model: Any = None
    objective: Any = None
    steps: int = 20_000
    minutes: float | None = None
    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 2e-3
    klt_pace: float = 0.3
    final_fraction: float = 0.02
    warmup_steps: int = 200
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    clip: float = 2.0
    ema: float = 0.999
    phases: tuple[Phase, ...] = (Phase(1.0, 128, 16),)
    evaluation: tuple[str, ...] = ()
    evaluate_minutes: float = 20.0
    checkpoint_minutes: float = 5.0
    dashboard: Literal["tensorboard", "wandb"] | None = None
    device: str = "auto"
    threads: int = 0
    processes: int = 1
    stream: bool = False
    buffer: int = 2048
    workers: int = 1
    compile: bool = False
    bfloat16: bool | None = None
    seed: int = 1
    start_from: str | None = None
    training_data: str = ""
    export_batches: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "warmup_steps", "threads", "processes", "seed", "export_batches"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        if not self.out:
            raise ArgumentError("`out` is empty; name a folder")
        if self.steps < 1 or not self.phases or self.phases[-1].until < 1.0:
            raise ArgumentError("a recipe needs steps >= 1 and phases whose last is `until: 1.0`")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ArgumentError(f"betas are at least 0 and below 1, not {[*self.betas]}")
        object.__setattr__(self, "buffer", whole("buffer", self.buffer, 1))
        object.__setattr__(self, "workers", whole("workers", self.workers, 0))
        if self.processes < 1:
            raise ArgumentError(f"a run needs at least one process, not {self.processes}")
        for phase in self.phases:
            if phase.batch < 1:
                raise ArgumentError(f"a batch needs at least one crop, not {phase.batch}")

    def to_dict(self) -> dict[str, Any]:
        """Return what reader.make_recipe() takes."""
        return asdict(self)

    def phase(self, done: float) -> Phase:
        """Return the phase in force after a fraction `done` of the run."""
        return next((p for p in self.phases if done < p.until), self.phases[-1])

    @property
    def crops(self) -> tuple[int, ...]:
        """Pixels along a side of the crops of each phase."""
        return tuple(phase.crop for phase in self.phases)
