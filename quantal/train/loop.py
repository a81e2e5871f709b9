"""The training loop: one model for all rates, resumable, on a CPU or a GPU.

What is worked towards is an Objective's business.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs._vq_conceal import ConcealNet
from quantal.codecs.registry import device_name
from quantal.codecs.training import (
    CodecNet,
    Trainable,
    net_type,
    start_from_weights,
    trainable,
)
from quantal.errors import ArgumentError
from quantal.layers import half_pays
from quantal.train.concealment import Concealment
from quantal.train.data import CropSampler, read_pictures
from quantal.train.exporter import export
from quantal.train.generative import Generative
from quantal.train.muon import Muon, is_matrix
from quantal.train.objective import Objective
from quantal.train.rate_distortion import RateDistortion
from quantal.train.recipe import Recipe, read_recipe
from quantal.train.state import State
from quantal.train.team import Team, team_of

__all__ = ["Tell", "run", "train"]

#: What is told of a run while it lasts: the entries of its log.
Tell = Callable[[Mapping[str, Any]], None]

#: Pixels that the KLT of the start is taken of: they determine it.
_KLT_PIXELS = 1 << 22
_LOG_EVERY = 50
#: Between the seeds of two processes: more than a run has steps.
_SEEDS_APART = 1 << 32


def run(
    recipe_path: str | Path,
    overrides: list[str] | None = None,
    resume: bool = False,
    tell: Tell | None = None,
) -> Path:
    """Train as a recipe says, tell what goes into the log, export; returns the weights' path."""
    recipe = read_recipe(recipe_path, overrides or [])
    checkpoint = train(recipe, resume, tell)
    weights = checkpoint.with_name(f"{recipe.codec}.safetensors")
    export(checkpoint, weights)
    return weights


def train(recipe: Recipe, resume: bool = False, tell: Tell | None = None) -> Path:
    """Train; returns the path of the checkpoint, which holds weights, average and optimiser."""
    out = Path(recipe.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "checkpoint.pt"
    if path.exists() and not resume:
        raise ArgumentError(f"{path} exists; go on with --resume, or choose another `out`")
    with (
        (out / "log.jsonl").open("a", encoding="utf-8") as log,
        team_of(recipe.processes, _help, recipe, path) as team,
    ):

        def note(entry: Mapping[str, Any]) -> None:
            log.write(json.dumps(entry) + "\n")
            log.flush()
            if tell is not None:
                tell(entry)

        _Run(recipe, path, note, team).go()
    return path


def _help(team: Team, recipe: Recipe, path: Path) -> None:
    """What every process but the first does."""
    _Run(recipe, path, lambda _: None, team).go()


class _Run:
    """One run: the recipe, its pictures, and the state that it moves."""

    def __init__(self, recipe: Recipe, path: Path, note: Tell, team: Team) -> None:
        self.recipe, self.path, self.note, self.team = recipe, path, note, team
        if threads := recipe.threads or (team.size > 1 and team.threads):
            torch.set_num_threads(threads)
        self.device = torch.device(device_name(recipe.device))
        _check_team(recipe, team, self.device)
        self.half = half_pays(self.device) if recipe.bfloat16 is None else recipe.bfloat16
        sides = [phase.crop for phase in recipe.phases]
        # What is wrong with a recipe is said before pictures are read, which takes long.
        torch.manual_seed(recipe.seed)
        net = trainable(recipe.codec, recipe.model)
        _check_parts(recipe, net)
        ema = deepcopy(net)
        self.objective = _objective(recipe, net, ema, self.device)
        pictures = read_pictures(recipe.data, max(sides))
        self.held_out = read_pictures(recipe.evaluation) if recipe.evaluation else []
        self.sampler = CropSampler(pictures, self.device, recipe.seed)
        self.state = _start(recipe, net, ema, self.objective, self.sampler, path, team, self.half)
        self.net: Any = torch.compile(self.state.net) if recipe.compile else self.state.net
        self.held: tuple[str, ...] = ()
        self.moving_since = 0
        team.agree([*self.state.net.state_dict().values(), *ema.state_dict().values()])
        # A resumed run must not see its first crops and rates again, nor a process another's.
        own = recipe.seed + self.state.step + team.rank * _SEEDS_APART
        self.sampler.reseed(own)
        self.objective.reseed(own)
        torch.manual_seed(own)

    def go(self) -> None:
        """Train until the steps or the minutes of the recipe are over."""
        state, recipe = self.state, self.recipe
        began = time.monotonic() - state.seconds
        saved = evaluated = state.seconds
        self.note(
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
        self.note({"event": "end", "step": state.step, "minutes": round(state.seconds / 60, 2)})

    def _done(self) -> float:
        """The fraction of the run that is over, by steps or by minutes."""
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
                parameter.requires_grad_(_part(name) not in phase.hold)
        rate = _learning_rate(recipe, state.step - self.moving_since, done)
        for optimiser in state.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["pace"]
        pixels = self.sampler.batch(self.team.share(phase.batch), phase.crop)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            losses = self.objective.losses(self.net, pixels)
        norm = state.follow(losses["loss"], recipe, self.team)
        self.objective.learn()
        if state.step % _LOG_EVERY == 0:
            left = state.seconds / done * (1 - done) / 60 if done else 0.0
            self.note(
                {
                    "step": state.step,
                    "minutes": round(state.seconds / 60, 2),
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
            points = self.objective.evaluate(self.held_out)
            self.note({"event": "evaluation", "step": self.state.step, "points": points})


def _check_team(recipe: Recipe, team: Team, device: torch.device) -> None:
    """That several processes can run this recipe."""
    if team.size > 1 and (device.type != "cpu" or not issubclass(net_type(recipe.codec), CodecNet)):
        raise ArgumentError(
            f"{team.size} processes can train only a codec that estimates its own bits, and only "
            f"on a CPU, not {recipe.codec!r} on {device}; set `processes: 1`"
        )
    for phase in recipe.phases:
        team.share(phase.batch)


def _check_parts(recipe: Recipe, net: Trainable) -> None:
    """That every part which a phase holds is one of the networks."""
    parts = list(dict.fromkeys(_part(name) for name, _ in net.named_parameters()))
    for name in (name for phase in recipe.phases for name in phase.hold):
        if name not in parts:
            raise ArgumentError(f"a phase holds {name!r}, which is none of {', '.join(parts)}")


def _objective(recipe: Recipe, net: Trainable, ema: Trainable, device: torch.device) -> Objective:
    if isinstance(net, CodecNet) and isinstance(ema, CodecNet):
        return RateDistortion(net, ema, recipe)
    if isinstance(net, ConcealNet) and isinstance(ema, ConcealNet):
        return Concealment(net, ema, recipe, device)
    return Generative(net, ema, recipe, device)  # type: ignore[arg-type]


def _start(
    recipe: Recipe,
    net: Trainable,
    ema: Trainable,
    objective: Objective,
    sampler: CropSampler,
    path: Path,
    team: Team,
    half: bool,
) -> State:
    """A fresh state of an untrained network, or the one of the checkpoint if there is one."""
    size = min(net.start_size, max(phase.crop for phase in recipe.phases))
    crops = sampler.batch(_KLT_PIXELS // size**2, size).cpu()
    if path.exists():
        pass  # everything is in the checkpoint
    elif isinstance(net, ConcealNet):
        pass  # its start is random; `start_from` is the codec that it serves
    elif recipe.start_from:
        start_from_weights(net, Path(recipe.start_from), crops)
    else:
        net.initialise(crops)
    ema.load_state_dict(net.state_dict())
    for each in (net, ema):
        each.to(sampler.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(net, ema, _optimisers(net, recipe, team, half), objective)
    if path.exists():
        state.load(path)
    return state


def _part(parameter: str) -> str:
    """Which part of the networks a parameter belongs to: the first word of its name."""
    return parameter.partition(".")[0]


def _optimisers(
    net: nn.Module, recipe: Recipe, team: Team, half: bool
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for what it takes, if the recipe wants it, and AdamW for the others."""
    matrices: set[nn.Parameter] = set()
    if recipe.optimiser == "muon":
        matrices = {parameter for parameter in net.parameters() if is_matrix(parameter)}
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            _groups(net, recipe, lambda parameter: parameter not in matrices),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    ]
    if matrices:
        groups = _groups(net, recipe, lambda parameter: parameter in matrices)
        dtype = torch.bfloat16 if half else torch.float32
        optimisers.append(Muon(groups, recipe.learning_rate, team, dtype))
    return tuple(optimisers)


def _groups(
    net: nn.Module, recipe: Recipe, wanted: Callable[[nn.Parameter], bool]
) -> list[dict[str, Any]]:
    """Parameters in groups: the layers that a KLT filled start good and move slowly."""
    slow: list[Tensor] = []
    fast: list[Tensor] = []
    for name, parameter in net.named_parameters():
        if wanted(parameter):
            (slow if ".mixes." in name else fast).append(parameter)
    groups = [{"params": fast, "pace": 1.0}, {"params": slow, "pace": recipe.klt_pace}]
    return [group for group in groups if group["params"]]


def _learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Linear warm-up over the first steps, then a cosine from 1 to final_fraction."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    low = recipe.final_fraction
    return recipe.learning_rate * warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))
