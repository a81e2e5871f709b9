"""What `hyperprior` and `context-*` share: the start, the objective, the export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.codecs.context.net import ContextNet
from quantal.codecs.hyperprior.net import HyperpriorNet
from quantal.codecs.info import Card
from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.pyramid.weights import read_entropy_net_weights, write_entropy_net_weights
from quantal.entropy.rates import RATE_INDICES
from quantal.errors import ModelError
from quantal.layers import GatedBlock
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler
from quantal.train.objectives.base import Objective
from quantal.train.objectives.rate_distortion import (
    RateDistortion,
    RateDistortionSettings,
    recogniser_of,
)
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer
from quantal.transforms.attention import WindowAttentionBlock

__all__ = ["PyramidTrainer", "samples"]

#: Networks whose weights can serve as a start.
_KINDS: tuple[type[PyramidNet], ...] = (HyperpriorNet, ContextNet)
_ENTROPY = "entropy."
#: Parts of the entropy model that decide how y is coded.
_CODING = ("cells", "mean", "scale", "lean")
#: Crops in a batch that symbols are counted on.
_BATCH = 4
#: Pixels along a side of the picture that multiplications are counted on, and latents.
_SIDE, _LATENTS = 256, 16


class PyramidTrainer(Trainer):
    """Trains pyramid transforms around an entropy model with side information.

    Args:
        network: the class of the networks.
    """

    settings = RateDistortionSettings
    crop_multiple = PyramidNet.stride
    start_crop = 128

    def __init__(self, network: type[PyramidNet]) -> None:
        self.network = network
        self.sizes = network.config_type

    def part(self, parameter: str) -> str:
        """Return "analysis", "synthesis" or a part of the entropy model, as "hyper_analysis"."""
        return super().part(parameter.removeprefix(_ENTROPY))

    def start_from(self, net: PyramidNet, path: Path, crops: Tensor) -> None:
        """Take from a weights file what fits.

        Of a codec of the same sizes that is everything. Of another with the same channels it is
        transforms and gains: blocks that the file lacks begin as the identity, and how y is coded
        is taken as a whole or not at all.
        """
        found = read_entropy_net_weights(path, *_KINDS).net
        if found.config.channels != net.config.channels:
            raise ModelError(
                f"weights {path.name} have channels {[*found.config.channels]}, the recipe "
                f"{[*net.config.channels]}; sizes differ: set `model.channels` to those of the file"
            )
        known = found.state_dict()
        for transform in ("analysis", "synthesis"):
            for name, block in getattr(net, transform).named_modules(prefix=transform):
                joins = isinstance(block, GatedBlock | WindowAttentionBlock)
                if joins and f"{name}.leave.weight" not in known:
                    block.start_as_identity()
        own = net.state_dict()
        fitting = {n: v for n, v in known.items() if n in own and own[n].shape == v.shape}
        # Parts of a coding mean nothing to another order.
        coding = {n for n in own if n.startswith(_ENTROPY) and self.part(n) in _CODING}
        alike = getattr(found.config, "order", None) == getattr(net.config, "order", None)
        whole = alike and coding <= fitting.keys()
        if not whole:
            fitting = {n: v for n, v in fitting.items() if n not in coding}
        net.load_state_dict(fitting, strict=False)
        if not whole:
            with torch.no_grad():
                net.calibrate(net.analysis(crops).square().mean((0, 2, 3)).sqrt())

    def turns(self, recipe: Recipe) -> int:
        return 2 if recipe.objective.recogniser else super().turns(recipe)

    def objective(
        self, net: PyramidNet, ema: PyramidNet, recipe: Recipe, device: torch.device
    ) -> Objective:
        settings = recipe.objective
        features = recogniser_of(settings, device)
        smallest = min(recipe.crops)
        return RateDistortion(net, ema, settings, smallest, device, net.stride, features)

    def export(self, net: PyramidNet, export: Export) -> bytes:
        sampler = CropSampler(export.pictures(), torch.device("cpu"), seed=0)
        frozen = net.entropy.freeze(samples(net, sampler, export.crop, export.batches))
        about = _card(net, export.steps, export.training_data)
        return write_entropy_net_weights(export.out, net, frozen, about)


def samples(
    net: Any, sampler: CropSampler, crop: int, batches: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield latents of random crops and their rates, stratified over all rates and batches.

    Args:
        net: the network; only its analysis is used.
        sampler: of crops.
        crop: pixels along a side.
        batches: how many batches of four.
    """
    part = torch.arange(_BATCH) / _BATCH
    for batch in range(batches):
        rate = (part + batch / batches / _BATCH) * (RATE_INDICES - 1)
        with torch.no_grad():
            y = net.analysis(sampler.batch(_BATCH, crop))
        yield y, rate


def _card(net: PyramidNet, steps: int, training_data: str) -> Card:
    """Return the card; multiplications are counted on a 256x256 picture."""
    area, model, rate = _SIDE**2, net.entropy, torch.zeros(1)
    pixels = torch.zeros(1, 3, _SIDE, _SIDE)
    y = torch.zeros(1, model.channels, _LATENTS, _LATENTS)
    z = torch.zeros(1, net.config.z_channels, _LATENTS // 4, _LATENTS // 4)
    side = kmac(area, lambda: model.code(y, model.side_information(z, rate), rate))
    analysis = kmac(area, lambda: (net.analysis(pixels), model.hyper_analysis(y, rate)))
    synthesis = kmac(area, lambda: net.synthesis(y))
    work = round(analysis + side, 2), round(side + synthesis, 2)
    return card(net, steps, training_data, *work)
