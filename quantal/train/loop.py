"""The training loop: one model for all rates, resumable, on a CPU or a GPU.

Each sample of a batch gets a rate of its own, spread evenly over the range (stratified), and its
loss lambda * 255^2 * MSE + bpp is weighted by 1 / sqrt(lambda), so that no rate dominates.
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

from quantal.codecs.registry import device_name
from quantal.codecs.training import Trainable, start_from_weights, trainable
from quantal.entropy.rates import LAMBDA_RANGE, RATE_INDICES, rate_lambda
from quantal.errors import ArgumentError
from quantal.layers import half_pays
from quantal.train.data import CropSampler, read_pictures
from quantal.train.evaluate import evaluate
from quantal.train.exporter import export
from quantal.train.losses import distortion
from quantal.train.recipe import Recipe, read_recipe
from quantal.train.state import State
from quantal.transforms import region_labels

__all__ = ["Tell", "run", "train"]

#: What is told of a run while it lasts: the entries of its log.
Tell = Callable[[Mapping[str, Any]], None]

#: Crops that the KLT of the start is taken of: 4 megapixels determine it.
_KLT_CROPS, _KLT_SIZE = 256, 128
_LOG_EVERY = 50
#: Regions that a crop is cut into, for transforms that learn from them.
_REGIONS = 16
#: The loss is scaled so that a sample in the middle of the range has weight 1.
_LAMBDA_MIDDLE = math.sqrt(LAMBDA_RANGE[0] * LAMBDA_RANGE[1])


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
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:

        def note(entry: Mapping[str, Any]) -> None:
            log.write(json.dumps(entry) + "\n")
            log.flush()
            if tell is not None:
                tell(entry)

        _Run(recipe, path, note).go()
    return path


class _Run:
    """One run: the recipe, its pictures, and the state that it moves."""

    def __init__(self, recipe: Recipe, path: Path, note: Tell) -> None:
        self.recipe, self.path, self.note = recipe, path, note
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        self.device = torch.device(device_name(recipe.device))
        self.half = half_pays(self.device) if recipe.bfloat16 is None else recipe.bfloat16
        sides = [phase.crop for phase in recipe.phases]
        # What is wrong with a recipe is said before pictures are read, which takes long.
        self.distortion = distortion(recipe.distortion, min(sides))
        torch.manual_seed(recipe.seed)
        net = trainable(recipe.codec, recipe.model)
        _check_parts(recipe, net)
        pictures = read_pictures(recipe.data, max(sides))
        self.held_out = read_pictures(recipe.evaluation) if recipe.evaluation else []
        self.sampler = CropSampler(pictures, self.device, recipe.seed)
        self.state = _start(recipe, net, self.sampler, self.device, path)
        self.net: Any = torch.compile(self.state.net) if recipe.compile else self.state.net
        self.held: tuple[str, ...] = ()
        self.moving_since = 0
        # A resumed run must not see its first crops and rates again.
        self.sampler.reseed(recipe.seed + self.state.step)
        self.generator = torch.Generator().manual_seed(recipe.seed + self.state.step)

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
            state.seconds = time.monotonic() - began
            if state.seconds - saved > recipe.checkpoint_minutes * 60:
                saved = state.seconds
                state.save(self.path, recipe)
            if state.seconds - evaluated > recipe.evaluate_minutes * 60:
                evaluated = state.seconds
                self._evaluate()
        state.save(self.path, recipe)
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
        for net in (state.net, state.ema):
            net.scale.quantise(done >= recipe.quantise_from)
            net.rounded = phase.rounded
        if phase.hold != self.held:
            # The optimiser knows nothing yet of what begins to move: its first steps are blind.
            self.held, self.moving_since = phase.hold, state.step
            state.expect_more()
            for name, parameter in state.net.named_parameters():
                parameter.requires_grad_(_part(name) not in phase.hold)
        rate = _learning_rate(recipe, state.step - self.moving_since, done)
        for group in state.optimiser.param_groups:
            group["lr"] = rate * group["pace"]
        pixels = self.sampler.batch(phase.batch, phase.crop)
        position = _positions(phase.batch, self.generator).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            losses = _losses(self.net, pixels, position, self.distortion)
        norm = state.follow(losses["loss"], recipe)
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

    def _evaluate(self) -> None:
        if self.held_out:
            points = evaluate(self.state.ema.eval(), self.held_out, self.recipe.evaluation_rates)
            self.note({"event": "evaluation", "step": self.state.step, "points": points})


def _check_parts(recipe: Recipe, net: Trainable) -> None:
    """That every part which a phase holds is one of the networks."""
    parts = list(dict.fromkeys(_part(name) for name, _ in net.named_parameters()))
    for name in (name for phase in recipe.phases for name in phase.hold):
        if name not in parts:
            raise ArgumentError(f"a phase holds {name!r}, which is none of {', '.join(parts)}")


def _start(
    recipe: Recipe, net: Trainable, sampler: CropSampler, device: torch.device, path: Path
) -> State:
    """A fresh state of an untrained network, or the one of the checkpoint if there is one."""
    size = min(_KLT_SIZE, max(phase.crop for phase in recipe.phases))
    crops = sampler.batch(_KLT_CROPS, size).cpu()
    if recipe.start_from:
        start_from_weights(net, Path(recipe.start_from), crops)
    else:
        net.initialise(crops)
    ema = deepcopy(net)
    for each in (net, ema):
        each.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        _groups(net, recipe),
        lr=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
    state = State(net, ema, optimiser)
    if path.exists():
        state.load(path)
    return state


def _part(parameter: str) -> str:
    """Which part of the networks a parameter belongs to: the first word of its name."""
    return parameter.partition(".")[0]


def _groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters in two groups: the layers that a KLT filled start good and move slowly."""
    slow: list[Tensor] = []
    fast: list[Tensor] = []
    for name, parameter in net.named_parameters():
        (slow if ".mixes." in name else fast).append(parameter)
    return [{"params": fast, "pace": 1.0}, {"params": slow, "pace": recipe.klt_pace}]


def _learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Linear warm-up over the first steps, then a cosine from 1 to final_fraction."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    low = recipe.final_fraction
    return recipe.learning_rate * warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))


def _positions(count: int, generator: torch.Generator) -> Tensor:
    """Stratified rate positions [count]: one in each of `count` equal parts of the range."""
    drawn = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return drawn * (RATE_INDICES - 1)


def _regions(net: nn.Module, pixels: Tensor) -> Tensor | None:
    """Regions for transforms that use them, in every second batch: coding knows only their grid."""
    kind = getattr(getattr(net, "config", None), "kind", "gated")
    if kind != "region" or not net.training or torch.rand(()) < 0.5:
        return None
    return region_labels(pixels, _REGIONS)


def _losses(
    net: nn.Module,
    pixels: Tensor,
    position: Tensor,
    distortion: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """The loss and what it consists of, means over the batch."""
    estimate = net(pixels, position, _regions(net, pixels))
    area = pixels.shape[-1] * pixels.shape[-2]
    with torch.autocast(pixels.device.type, enabled=False):
        error = distortion(estimate.pixels.float(), pixels)
    lam = rate_lambda(position)
    y_bpp, z_bpp = estimate.y_bits / area, estimate.z_bits / area
    loss = ((lam * 255**2 * error + y_bpp + z_bpp) * (_LAMBDA_MIDDLE / lam).sqrt()).mean()
    return {"loss": loss, "distortion": error.mean(), "y_bpp": y_bpp.mean(), "z_bpp": z_bpp.mean()}
