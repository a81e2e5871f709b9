"""The training loop: one model for all rates, resumable, on a CPU or a GPU.

Each sample of a batch gets a rate of its own, spread evenly over the range (stratified), and its
loss lambda * 255^2 * MSE + bpp is weighted by 1 / sqrt(lambda), so that no rate dominates.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs.training import trainable
from quantal.entropy.rates import LAMBDA_RANGE, RATE_INDICES, rate_lambda
from quantal.errors import ArgumentError, ModelError
from quantal.train.data import CropSampler, read_pictures
from quantal.train.evaluate import evaluate
from quantal.train.recipe import Recipe, read_recipe

__all__ = ["run", "train"]

#: Crops that the KLT of the start is taken of; 4096 128x128 crops would change nothing more.
_KLT_CROPS, _KLT_SIZE = 256, 128
_LOG_EVERY = 50
#: A gradient so many times larger than the running mean of its norm is not followed.
_SPIKE = 8.0
#: The loss is scaled so that a sample in the middle of the range has weight 1.
_LAMBDA_MIDDLE = math.sqrt(LAMBDA_RANGE[0] * LAMBDA_RANGE[1])


def run(recipe_path: str | Path, overrides: list[str] | None = None, resume: bool = False) -> Path:
    """Train as the recipe says; returns the path of the last checkpoint."""
    return train(read_recipe(recipe_path, overrides or []), resume)


@dataclass
class State:
    """All that a run needs to go on where it stopped."""

    net: nn.Module
    ema: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    norm: float = 10.0

    def save(self, path: Path, recipe: Recipe) -> None:
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "net": self.net.state_dict(),
                "ema": self.ema.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "skipped": self.skipped,
                "norm": self.norm,
                "recipe": json.dumps(recipe.to_dict()),
            },
            partial,
        )
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            self.net.load_state_dict(saved["net"])
            self.ema.load_state_dict(saved["ema"])
            self.optimiser.load_state_dict(saved["optimiser"])
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ModelError(f"checkpoint {path} does not fit this recipe: {error}") from error
        self.step, self.seconds = saved["step"], saved["seconds"]
        self.skipped, self.norm = saved["skipped"], saved["norm"]


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Linear warm-up, then a cosine from 1 to final_fraction."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    low = recipe.final_fraction
    return recipe.learning_rate * warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))


def _positions(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Stratified rate positions [count]: one in each of `count` equal parts of the range."""
    drawn = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return (drawn * (RATE_INDICES - 1)).to(device)


def _losses(net: nn.Module, pixels: Tensor, position: Tensor) -> dict[str, Tensor]:
    estimate = net(pixels, position)
    area = pixels.shape[-1] * pixels.shape[-2]
    error = (estimate.pixels.float() - pixels).square().flatten(1).mean(1)
    lam = rate_lambda(position)
    y_bpp, z_bpp = estimate.y_bits / area, estimate.z_bits / area
    loss = ((lam * 255**2 * error + y_bpp + z_bpp) * (_LAMBDA_MIDDLE / lam).sqrt()).mean()
    return {"loss": loss, "mse": error.mean(), "y_bpp": y_bpp.mean(), "z_bpp": z_bpp.mean()}


@torch.no_grad()
def _follow(ema: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards the trained ones; faster at first, when they are far."""
    decay = min(decay, (1 + step) / (10 + step))
    averaged = list(ema.parameters())
    torch._foreach_lerp_(averaged, [p.detach() for p in net.parameters()], 1 - decay)


def _optimise(state: State, recipe: Recipe, loss: Tensor) -> float:
    """One step; returns the gradient's norm. A gradient that is not finite, or far larger than
    its like of late, changes nothing: one such step can undo an hour."""
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = float(nn.utils.clip_grad_norm_(state.net.parameters(), recipe.clip))
    if math.isfinite(norm) and (state.step < recipe.warmup_steps or norm < _SPIKE * state.norm):
        state.norm += 0.02 * (norm - state.norm)
        state.optimiser.step()
        _follow(state.ema, state.net, recipe.ema, state.step)
    else:
        state.skipped += 1
        # Creeps up, so that gradients which have grown for good are accepted in the end.
        state.norm *= 1.02
    return norm


def _groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters in two groups: the layers that a KLT filled start good and move slowly."""
    slow, fast = [], []
    for name, parameter in net.named_parameters():
        (slow if ".mixes." in name else fast).append(parameter)
    return [{"params": fast, "pace": 1.0}, {"params": slow, "pace": recipe.klt_pace}]


def _start(recipe: Recipe, sampler: CropSampler, device: torch.device, path: Path) -> State:
    torch.manual_seed(recipe.seed)
    net, ema = trainable(recipe.codec, recipe.model), trainable(recipe.codec, recipe.model)
    crops = sampler.batch(_KLT_CROPS, _KLT_SIZE).cpu()
    net.initialise(crops)
    if recipe.start_from:
        net.load_state_dict(torch.load(recipe.start_from, map_location="cpu")["ema"])
    ema.load_state_dict(net.state_dict())
    for each in (net, ema):
        each.to(device=device, memory_format=torch.channels_last)
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


def train(recipe: Recipe, resume: bool = False) -> Path:
    """Train; returns the path of the checkpoint, which holds weights, EMA and optimiser."""
    out = Path(recipe.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "checkpoint.pt"
    if path.exists() and not resume:
        raise ArgumentError(f"{path} exists; go on with --resume, or choose another `out`")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    device = _device(recipe.device)
    largest = max(p.crop for p in recipe.phases)
    sampler = CropSampler(read_pictures(recipe.data, largest), device, recipe.seed)
    held_out = read_pictures(recipe.evaluation) if recipe.evaluation else []
    state = _start(recipe, sampler, device, path)
    sampler.reseed(recipe.seed + state.step)
    net: Any = torch.compile(state.net) if recipe.compile else state.net
    generator = torch.Generator().manual_seed(recipe.seed + state.step)
    began = time.monotonic() - state.seconds
    saved = evaluated = state.seconds

    with (out / "log.jsonl").open("a", encoding="utf-8") as log:

        def note(**values: Any) -> None:
            log.write(json.dumps(values) + "\n")
            log.flush()

        note(event="start", step=state.step, pictures=len(sampler.pictures), device=str(device))
        while True:
            state.seconds = time.monotonic() - began
            done = state.step / recipe.steps
            if recipe.minutes:
                done = max(done, state.seconds / 60 / recipe.minutes)
            if done >= 1:
                break
            phase = recipe.phase(done)
            state.ema.scale.quantise(done >= recipe.quantise_from)
            state.net.scale.quantise(done >= recipe.quantise_from)  # type: ignore[union-attr]
            rate = _learning_rate(recipe, state.step, done)
            for group in state.optimiser.param_groups:
                group["lr"] = rate * group["pace"]
            pixels = sampler.batch(phase.batch, phase.crop)
            position = _positions(phase.batch, generator, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bfloat16):
                losses = _losses(net, pixels, position)
            norm = _optimise(state, recipe, losses["loss"])
            state.step += 1
            if state.step % _LOG_EVERY == 0:
                left = state.seconds / done * (1 - done) / 60 if done else 0.0
                note(
                    step=state.step,
                    minutes=round(state.seconds / 60, 2),
                    minutes_left=round(left, 1),
                    **{name: round(value.item(), 5) for name, value in losses.items()},
                    norm=round(norm, 3),
                    lr=round(rate, 7),
                    skipped=state.skipped,
                )
            if state.seconds - saved > recipe.checkpoint_minutes * 60:
                saved = state.seconds
                state.save(path, recipe)
            if held_out and state.seconds - evaluated > recipe.evaluate_minutes * 60:
                evaluated = state.seconds
                note(event="evaluation", step=state.step,
                     points=evaluate(state.ema, held_out, recipe.evaluation_rates))
        state.save(path, recipe)
        if held_out:
            note(event="evaluation", step=state.step,
                 points=evaluate(state.ema, held_out, recipe.evaluation_rates))
        note(event="end", step=state.step, minutes=round(state.seconds / 60, 2))
    return path
