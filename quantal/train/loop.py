"""The training loop: one model for all rates, resumable, on a CPU or a GPU.

What a family of codecs needs is its Trainer's business, what is minimised its Objective's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs.weights import find_weights
from quantal.errors import ArgumentError, OutOfMemoryError
from quantal.layers import half_pays
from quantal.memory import memory_errors
from quantal.outputs import create_folder
from quantal.team import Team, at_work
from quantal.train.checks import check_equal, check_parts, check_team
from quantal.train.joining import joined, launch_name, own_device, own_threads, restarted
from quantal.train.journal import Log, Silence, journal
from quantal.train.objectives.base import Objective
from quantal.train.optimisers import make_optimisers
from quantal.train.recipe import Recipe
from quantal.train.state import State, saved_in
from quantal.train.streaming import StreamSampler
from quantal.train.surroundings import restored
from quantal.train.trainer import trainer_of

__all__ = ["Log", "train"]

_LOG_EVERY = 50
#: Pictures whose reconstructions are shown.
_SHOWN = 4


def train(recipe: Recipe, resume: bool = False, log: Log | None = None) -> Path:
    """Train as a recipe says.

    Processes that torchrun has started train together; the first of them logs, evaluates and saves.
    A run that torchrun starts again goes on from its checkpoint. torch's number of threads and its
    random state are the same afterwards as before.

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
        QuantalError: If another process of the run has stopped.
    """
    path = Path(recipe.out) / "checkpoint.pt"
    with restored():
        device = own_device(recipe.device)
        with joined(device) as team:
            check_team(recipe, team)
            resume = resume or restarted(team)
            if team.agreed(path.exists() and not (resume or saved_in(path, launch_name()))):
                raise ArgumentError(f"{path} exists; go on with --resume, or choose another `out`")
            if not team.leads:
                _Run(recipe, path, Silence(), team, device).go()
                return path
            create_folder(path.parent)
            with journal(recipe, log) as opened:
                _Run(recipe, path, opened, team, device).go()
    return path


@contextmanager
def _memory_of_a_run(what: str, remedy: str) -> Iterator[None]:
    """Convert allocators' errors; the last checkpoint stays."""
    try:
        with memory_errors(what):
            yield
    except OutOfMemoryError as error:
        said = str(error).partition("; do less")[0]
        raise OutOfMemoryError(f"{said}; {remedy}, and go on from the last checkpoint") from error


class _Run:
    """One run: the recipe, its pictures, and the state that changes.

    Args:
        recipe: what to train, and how.
        path: path to the checkpoint.
        log: what the run tells of itself.
        team: the processes of the run.
        device: of this process.
    """

    def __init__(
        self, recipe: Recipe, path: Path, log: Silence, team: Team, device: torch.device
    ) -> None:
        self.recipe, self.path, self.log, self.team = recipe, path, log, team
        self.device = device
        if threads := recipe.threads or (team.size > 1 and own_threads()):
            torch.set_num_threads(threads)
        trainer = self.trainer = trainer_of(recipe.codec)
        self.resumed = bool(team.agreed(path.exists()))
        self.half = half_pays(self.device) if recipe.bfloat16 is None else recipe.bfloat16
        # Errors of a recipe come before pictures are read, which takes long.
        torch.manual_seed(recipe.seed)
        net = trainer.build(recipe.model)
        check_parts(recipe, trainer.parts(net))
        ema = deepcopy(net)
        self.objective = trainer.objective(net, ema, recipe, self.device)
        if recipe.start_from is not None and not self.resumed:
            find_weights(recipe.start_from)
        pictures = [] if recipe.stream else trainer.read_data(recipe.data, max(recipe.crops))
        measured = recipe.evaluation if team.leads else ()
        self.held_out = trainer.read_data(measured) if measured else []
        trainer.check_data(net, pictures, self.held_out)
        check_equal(len(pictures), team)
        what = f"the start with {len(pictures)} pictures on {self.device}"
        with _memory_of_a_run(what, "train on fewer pictures, or a smaller `model`"):
            self.sampler = self._sampler(pictures)
            self.state = self._start(net, ema, self.objective)
        self.net: Any = torch.compile(self.state.net) if recipe.compile else self.state.net
        self.held: tuple[str, ...] = ()
        self.moving_since = 0
        self._agree()
        # A resumed run must not see its first crops and rates again.
        seed = recipe.seed + self.state.step
        self.sampler.reseed(seed)
        self.objective.reseed(seed)
        torch.manual_seed(seed)

    def _agree(self) -> None:
        """Give all processes the state of the first: processors differ in the last bits."""
        state = self.state.net, self.state.ema
        found = [tensor for net in state for tensor in net.state_dict().values()]
        self.team.agree([*found, *_tensors(self.objective.state())])

    def _sampler(self, pictures: list[Any]) -> Any:
        """Return what cuts crops: of pictures in memory, or of a stream of them."""
        recipe, trainer = self.recipe, self.trainer
        if not recipe.stream:
            return trainer.sampler(pictures, self.device, recipe)
        if not trainer.streams:
            raise ArgumentError(
                f"{recipe.codec!r} is not trained on a stream of pictures; set `stream: false`"
            )
        own = trainer.turns(recipe), self.team, recipe.buffer, recipe.workers
        return StreamSampler(recipe.data, self.device, recipe.seed, *own)

    def _start(self, net: nn.Module, ema: nn.Module, objective: Objective) -> State:
        """Return a fresh state of an untrained network, or that of the checkpoint."""
        recipe, trainer = self.recipe, self.trainer
        if not self.resumed:  # else everything is in the checkpoint
            size = min(trainer.start_crop, max(recipe.crops))
            crops = self.sampler.batch(max(trainer.start_pixels // size**2, 1), size).cpu()
            if recipe.start_from is not None:
                trainer.start_from(net, Path(recipe.start_from), crops)
            else:
                trainer.start(net, crops)
                objective.start(crops)
        ema.load_state_dict(net.state_dict())
        for each in (net, ema):
            each.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimisers = make_optimisers(net, recipe, self.team, self.half)
        state = State(net, ema, optimisers, objective)
        if self.resumed:
            state.load(self.path, recipe, self.team)
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
                "processes": self.team.size,
            }
        )
        while (done := self._done()) < 1:
            with at_work(self.team):
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
            rows = self.team.rows(phase.batch)
            pixels = self.sampler.batch(phase.batch, phase.crop, rows)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                losses = self.objective.losses(self.net, pixels)
            norm = state.follow(losses["loss"], recipe, self.team)
            self.objective.learn()
        if state.step % _LOG_EVERY == 0:
            means = self.team.mean(torch.stack([value.detach() for value in losses.values()]))
            left = state.seconds / done * (1 - done) / 60 if done else 0.0
            self.log(
                {
                    "step": state.step,
                    "minutes": round(state.seconds / 60, 4),
                    "minutes_left": round(left, 1),
                    **{
                        name: round(value, 5)
                        for name, value in zip(losses, means.tolist(), strict=True)
                    },
                    "norm": round(norm, 3),
                    "lr": round(rate, 7),
                    "skipped": state.skipped,
                }
            )

    def _save(self) -> None:
        self._agree()
        self.team.lead(lambda: self.state.save(self.path, self.recipe))

    def _evaluate(self) -> None:
        self.team.lead(self._measure)

    def _measure(self) -> None:
        if self.held_out:
            what = f"evaluating {len(self.held_out)} pictures"
            with _memory_of_a_run(what, "name smaller pictures as `evaluation`"):
                points = self.objective.evaluate(self.held_out)
            minutes = round(self.state.seconds / 60, 4)
            entry = {"event": "evaluation", "step": self.state.step, "minutes": minutes}
            self.log({**entry, "points": points})
            with torch.no_grad(), _memory_of_a_run("drawing samples", "name smaller pictures"):
                rows = [self.objective.samples(each) for each in self.held_out[:_SHOWN]]
            self.log.show(self.state.step, [row for row in rows if row])


def _tensors(state: Any) -> Iterator[Tensor]:
    """Yield all tensors in a state of mappings and lists, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)


def _learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Return the learning rate: linear warm-up, then a cosine from 1 to final_fraction."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    low = recipe.final_fraction
    return recipe.learning_rate * warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))
