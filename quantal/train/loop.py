"""The training loop: one model for all rates, resumable, on a CPU or a GPU.

What a family of codecs needs is its Trainer's business, what is minimised its Objective's.
"""

from __future__ import annotations

import difflib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quantal.codecs.registry import device_name
from quantal.codecs.weights import find_weights
from quantal.errors import ArgumentError, OutOfMemoryError
from quantal.layers import half_pays
from quantal.memory import memory_errors
from quantal.outputs import create_folder, output_errors
from quantal.train.objectives.base import Objective
from quantal.train.optimisers import make_optimisers
from quantal.train.recipe import Recipe
from quantal.train.state import State
from quantal.train.surroundings import restored
from quantal.train.team import Team, team_of
from quantal.train.trainer import Trainer, trainer_of

__all__ = ["Log", "train"]

#: Called with each entry of a run's log.
Log = Callable[[Mapping[str, Any]], None]

_LOG_EVERY = 50
#: Between the seeds of two processes: more than a run has steps.
_SEEDS_APART = 1 << 32


def train(recipe: Recipe, resume: bool = False, log: Log | None = None) -> Path:
    """Train as a recipe says.

    torch's number of threads and its random state are the same afterwards as before.

    Args:
        recipe: what to train, and how.
        resume: whether to continue from the checkpoint in the recipe's `out`.
        log: called with each entry of the log.

    Returns:
        The path of the checkpoint: weights, their average and the optimisers' state.

    Raises:
        ArgumentError: If the recipe can't be trained, or there is a checkpoint already.
        MediaError: If a training picture can't be read.
        ModelError: If weights or a checkpoint don't fit.
        OutOfMemoryError: If a step needs more memory than there is.
        OutputError: If the log or a checkpoint can't be written; the last checkpoint stays.
    """
    out = Path(recipe.out)
    create_folder(out)
    path = out / "checkpoint.pt"
    if path.exists() and not resume:
        raise ArgumentError(f"{path} exists; go on with --resume, or choose another `out`")
    with (
        restored(),
        _opened(out / "log.jsonl") as file,
        team_of(recipe.processes, _help, recipe, path) as team,
    ):

        def write(entry: Mapping[str, Any]) -> None:
            with output_errors(file.name):
                file.write((json.dumps(entry) + "\n").encode())
            if log is not None:
                log(entry)

        _Run(recipe, path, write, team).go()
    return path


def _opened(path: Path) -> FileIO:
    with output_errors(path):
        return path.open("ab", buffering=0)


@contextmanager
def _memory_of_a_run(what: str, remedy: str) -> Iterator[None]:
    """Convert allocators' errors; the last checkpoint stays."""
    try:
        with memory_errors(what):
            yield
    except OutOfMemoryError as error:
        said = str(error).partition("; do less")[0]
        raise OutOfMemoryError(f"{said}; {remedy}, and go on from the last checkpoint") from error


def _help(team: Team, recipe: Recipe, path: Path) -> None:
    """Do the work of every process but the first."""
    _Run(recipe, path, lambda _: None, team).go()


class _Run:
    """One run: the recipe, its pictures, and the state that changes.

    Args:
        recipe: what to train, and how.
        path: path to the checkpoint.
        log: called with each entry of the log.
        team: the processes of the run.
    """

    def __init__(self, recipe: Recipe, path: Path, log: Log, team: Team) -> None:
        self.recipe, self.path, self.log, self.team = recipe, path, log, team
        if threads := recipe.threads or (team.size > 1 and team.threads):
            torch.set_num_threads(threads)
        self.device = torch.device(device_name(recipe.device))
        trainer = self.trainer = trainer_of(recipe.codec)
        _check_team(recipe, trainer, team, self.device)
        self.half = half_pays(self.device) if recipe.bfloat16 is None else recipe.bfloat16
        # Errors of a recipe come before pictures are read, which takes long.
        torch.manual_seed(recipe.seed)
        net = trainer.build(recipe.model)
        _check_parts(recipe, trainer.parts(net))
        ema = deepcopy(net)
        self.objective = trainer.objective(net, ema, recipe, self.device)
        if recipe.start_from is not None and not path.exists():
            find_weights(recipe.start_from)
        pictures = trainer.read_data(recipe.data, max(recipe.crops))
        self.held_out = trainer.read_data(recipe.evaluation) if recipe.evaluation else []
        trainer.check_data(net, pictures, self.held_out)
        what = f"the start with {len(pictures)} pictures on {self.device}"
        with _memory_of_a_run(what, "train on fewer pictures, or a smaller `model`"):
            self.sampler = trainer.sampler(pictures, self.device, recipe)
            self.state = self._start(net, ema, self.objective)
        self.net: Any = torch.compile(self.state.net) if recipe.compile else self.state.net
        self.held: tuple[str, ...] = ()
        self.moving_since = 0
        team.agree([*self.state.net.state_dict().values(), *ema.state_dict().values()])
        # A resumed run must not see its first crops and rates again, nor a process another's.
        own = recipe.seed + self.state.step + team.rank * _SEEDS_APART
        self.sampler.reseed(own)
        self.objective.reseed(own)
        torch.manual_seed(own)

    def _start(self, net: nn.Module, ema: nn.Module, objective: Objective) -> State:
        """Return a fresh state of an untrained network, or that of the checkpoint."""
        recipe, trainer = self.recipe, self.trainer
        size = min(trainer.start_crop, max(recipe.crops))
        crops = self.sampler.batch(max(trainer.start_pixels // size**2, 1), size).cpu()
        if self.path.exists():
            pass  # everything is in the checkpoint
        elif recipe.start_from is not None:
            trainer.start_from(net, Path(recipe.start_from), crops)
        else:
            trainer.start(net, crops)
            objective.start(crops)
        ema.load_state_dict(net.state_dict())
        for each in (net, ema):
            each.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimisers = make_optimisers(net, recipe, self.team, self.half)
        state = State(net, ema, optimisers, objective)
        if self.path.exists():
            state.load(self.path)
        return state

    def go(self) -> None:
        """Train until the steps or the minutes of the recipe are over."""
        state, recipe = self.state, self.recipe
        began = time.monotonic() - state.seconds
        saved = evaluated = state.seconds
        self.log(
            {
                "event": "start",
                "step": state.step,
                "pictures": len(self.sampler.pictures),
                "device": str(self.device),
            }
        )
        while (done := self._done()) < 1:
            self._step(done)
            state.seconds = self.team.agreed(time.monotonic() - began)
            if state.seconds - saved > recipe.checkpoint_minutes * 60:
                saved = state.seconds
                self._save()
            if state.seconds - evaluated > recipe.evaluate_minutes * 60:
                evaluated = state.seconds
                self._evaluate()
        self._save()
        self._evaluate()
        self.log({"event": "end", "step": state.step, "minutes": round(state.seconds / 60, 2)})

    def _done(self) -> float:
        """Return the fraction of the run that is over, by steps or by minutes."""
        done = self.state.step / self.recipe.steps
        if self.recipe.minutes:
            done = max(done, self.state.seconds / 60 / self.recipe.minutes)
        return done

    def _step(self, done: float) -> None:
        state, recipe = self.state, self.recipe
        phase = recipe.phase(done)
        self.objective.prepare(phase, done)
        if phase.hold != self.held:
            # The optimiser knows nothing yet of what begins to move: its first steps are blind.
            self.held, self.moving_since = phase.hold, state.step
            state.expect_more()
            for name, parameter in state.net.named_parameters():
                parameter.requires_grad_(self.trainer.part(name) not in phase.hold)
        rate = _learning_rate(recipe, state.step - self.moving_since, done)
        for optimiser in state.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["pace"]
        what = f"a step on {phase.batch} crops of {phase.crop}x{phase.crop} pixels"
        with _memory_of_a_run(what, "set a smaller `batch` or `crop`, or a smaller `model`"):
            pixels = self.sampler.batch(self.team.share(phase.batch), phase.crop)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                losses = self.objective.losses(self.net, pixels)
            norm = state.follow(losses["loss"], recipe, self.team)
            self.objective.learn()
        if state.step % _LOG_EVERY == 0:
            left = state.seconds / done * (1 - done) / 60 if done else 0.0
            self.log(
                {
                    "step": state.step,
                    "minutes": round(state.seconds / 60, 4),
                    "minutes_left": round(left, 1),
                    **{name: round(value.item(), 5) for name, value in losses.items()},
                    "norm": round(norm, 3),
                    "lr": round(rate, 7),
                    "skipped": state.skipped,
                }
            )

    def _save(self) -> None:
        if self.team.leads:
            self.state.save(self.path, self.recipe)

    def _evaluate(self) -> None:
        if self.held_out and self.team.leads:
            what = f"evaluating {len(self.held_out)} pictures"
            with _memory_of_a_run(what, "name smaller pictures as `evaluation`"):
                points = self.objective.evaluate(self.held_out)
            minutes = round(self.state.seconds / 60, 4)
            entry = {"event": "evaluation", "step": self.state.step, "minutes": minutes}
            self.log({**entry, "points": points})


def _check_team(recipe: Recipe, trainer: Trainer, team: Team, device: torch.device) -> None:
    """Raise ArgumentError unless so many processes can run this recipe."""
    if team.size > 1 and (device.type != "cpu" or not trainer.distributed):
        raise ArgumentError(
            f"{team.size} processes can train only a codec that estimates its own bits, and only "
            f"on a CPU, not {recipe.codec!r} on {device}; set `processes: 1`"
        )
    for phase in recipe.phases:
        team.share(phase.batch)


def _check_parts(recipe: Recipe, parts: tuple[str, ...]) -> None:
    """Raise ArgumentError unless every part that a phase holds is one of the network's."""
    for name in (name for phase in recipe.phases for name in phase.hold):
        if name not in parts:
            raise ArgumentError(
                f"a phase holds {name!r}, which is none of {', '.join(parts)}{_near(name, parts)}"
            )


def _near(name: str, parts: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, parts, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Return the learning rate: linear warm-up, then a cosine from 1 to final_fraction."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    low = recipe.final_fraction
    return recipe.learning_rate * warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))
