"""Training of the codec `lossless`: bits of samples, and tables counted on pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from quantal.codecs.info import Card
from quantal.codecs.lossless import LAYOUT
from quantal.codecs.lossless.coding import Writing
from quantal.codecs.lossless.colour import KINDS, planes_of
from quantal.codecs.lossless.model import CHANNELS, LosslessModel
from quantal.codecs.lossless.neighbourhood import PHASES, inputs
from quantal.codecs.lossless.net import LosslessConfig, LosslessNet, tables_of
from quantal.codecs.lossless.residuals import Predicted, split
from quantal.codecs.lossless.step import Step
from quantal.codecs.lossless.walk import Layout, walk
from quantal.codecs.weights import read_weights, sound_weights, write_weights
from quantal.entropy.tables import TableSet
from quantal.errors import ModelError
from quantal.train.data import CropSampler
from quantal.train.objectives.base import Objective
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer

__all__ = ["TRAINER"]

#: The law of training counts in a table as so many symbols.
_PRIOR_COUNT = 300.0


@dataclass(frozen=True)
class LosslessSettings:
    """The `objective` section of a recipe; there is nothing to choose."""


class Bits(Objective):
    """The bits of a sample."""

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Return bits per sample as the loss."""
        with torch.autocast(pixels.device.type, enabled=False):
            return {"loss": net(pixels) / pixels.numel()}

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Return bits per sample and bits per pixel, without what is fitted to a picture."""
        net: Any = self.ema.eval()
        device = next(net.parameters()).device
        bits, samples = 0.0, 0
        for picture in pictures:
            height, width = (side - side % net.stride for side in picture.shape[1:])
            pixels = picture[None, :, :height, :width].to(device).float() / 255
            bits, samples = bits + float(net(pixels)), samples + pixels.numel()
        return [{"bpsp": bits / samples, "bpp": CHANNELS * bits / samples}]


class LosslessTrainer(Trainer):
    """Trains LosslessNet."""

    network = LosslessNet
    sizes = LosslessConfig
    settings = LosslessSettings
    crop_multiple = LosslessNet.stride

    def start_from(self, net: LosslessNet, path: Path, crops: Tensor) -> None:
        """Take the networks of a file of the same sizes; laws of residuals start anew."""
        file = read_weights(path, [LAYOUT])
        with sound_weights(file):
            model = LosslessModel.from_arrays(file.arrays)
        if file.sizes() != net.config.to_dict():
            raise ModelError(
                f"weights {path.name} have sizes {file.sizes()}; set `model` of the recipe to these"
            )
        net.take(model)

    def objective(self, net: nn.Module, ema: nn.Module, recipe: Recipe, device: Any) -> Bits:
        return Bits(net, ema)

    def export(self, net: LosslessNet, export: Export) -> bytes:
        sampler = CropSampler(export.pictures(), torch.device("cpu"), seed=0)
        model = net.frozen()
        counts = _counted(model, sampler, export.crop, export.batches)
        tables = tuple(
            _counted_tables(laws, seen) for laws, seen in zip(net.laws(), counts, strict=True)
        )
        model = net.frozen(tables)
        about = Card(
            sum(each.numel() for each in net.parameters()),
            _kmac(net),
            _kmac(net),
            export.training_data,
            export.steps,
        )
        texts = {"model": json.dumps(net.config.to_dict()), "card": json.dumps(asdict(about))}
        return write_weights(export.out, LAYOUT, {}, model.integers(), texts)


TRAINER = LosslessTrainer()


class _Counting(Writing):
    """Write samples, and count symbols by table and channel."""

    def __init__(self, planes: npt.NDArray[Any], layout: Layout, counts: list[Any]) -> None:
        super().__init__(planes, layout)
        self._counts = counts

    def residuals(self, step: Step, by: Predicted, coded: Any) -> npt.NDArray[np.int32]:
        samples = super().residuals(step, by, coded)
        symbols, _ = split(samples, by)
        own = self._counts[step.channel]
        middle = own.shape[1] // 2
        places = np.clip(symbols + middle, 0, own.shape[1] - 1)
        np.add.at(own, (by.table, places), 1)
        return samples


def _counted(model: LosslessModel, sampler: CropSampler, crop: int, batches: int) -> list[Any]:
    """Return how often each symbol occurred, int64 [T, S] for each channel."""
    longest = [max(int(n) for n in tables.slots) - 1 for tables in model.tables]
    counts = [np.zeros((len(t), n), np.int64) for t, n in zip(model.tables, longest, strict=True)]
    layout = Layout(crop, crop, KINDS[3], 8)
    for _ in range(4 * batches):
        pixels = sampler.batch(1, crop)[0].permute(1, 2, 0).mul(255).round().to(torch.uint8)
        planes = planes_of(pixels.numpy(), layout.depth)
        walk(
            model,
            layout,
            np.zeros_like(planes),
            [None] * CHANNELS,
            _Counting(planes, layout, counts),
        )
    return counts


def _counted_tables(laws: list[Tensor], counts: npt.NDArray[np.int64]) -> TableSet:
    """Return the tables of laws, drawn to what was counted."""
    middle = counts.shape[1] // 2
    found = []
    for law, seen in zip(laws, counts, strict=True):
        reach = len(law) // 2
        own = torch.from_numpy(seen[middle - reach : middle + reach + 1]).double()
        found.append((own + _PRIOR_COUNT * law / law.sum()) / (own.sum() + _PRIOR_COUNT))
    return tables_of(found)


def _kmac(net: LosslessNet) -> float:
    """Return thousand multiplications per pixel: each sample is predicted by one network."""
    sizes = net.config
    inputs_of = [len(inputs(channel, phase)) for channel in range(CHANNELS) for phase in PHASES]
    mean = sum(inputs_of) / len(inputs_of)
    each = mean * (sizes.first + 1) + sizes.first * sizes.second + 3 * sizes.second
    return round(CHANNELS * each / 1000, 2)
