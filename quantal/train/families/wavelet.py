"""Training of the codec `wavelet`: the start from a KLT of wavelet packets, and the export."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from quantal.codecs.info import Card
from quantal.codecs.pyramid.weights import read_entropy_net_weights, write_entropy_net_weights
from quantal.codecs.wavelet.net import WaveletConfig, WaveletNet
from quantal.errors import ModelError
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler
from quantal.train.families.pyramid import samples
from quantal.train.objectives.base import Objective
from quantal.train.objectives.rate_distortion import (
    RateDistortion,
    RateDistortionSettings,
    recogniser_of,
)
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer

__all__ = ["TRAINER"]

#: Pixels along a side of the picture that multiplications are counted on.
_SIDE = 256


class WaveletTrainer(Trainer):
    """Trains WaveletNet."""

    network = WaveletNet
    sizes = WaveletConfig
    settings = RateDistortionSettings
    crop_multiple = WaveletNet.stride

    def start_from(self, net: WaveletNet, path: Path, crops: Tensor) -> None:
        """Take all weights of a file of the same sizes."""
        found = read_entropy_net_weights(path, WaveletNet).net
        if found.config != net.config:
            raise ModelError(
                f"weights {path.name} have sizes {found.config.to_dict()}; set `model` of the "
                "recipe to these"
            )
        net.load_state_dict(found.state_dict())

    def turns(self, recipe: Recipe) -> int:
        return 2 if recipe.objective.recogniser else super().turns(recipe)

    def objective(
        self, net: WaveletNet, ema: WaveletNet, recipe: Recipe, device: torch.device
    ) -> Objective:
        settings = recipe.objective
        features = recogniser_of(settings, device)
        smallest = min(recipe.crops)
        return RateDistortion(net, ema, settings, smallest, device, net.stride, features)

    def export(self, net: WaveletNet, export: Export) -> bytes:
        sampler = CropSampler(export.pictures(), torch.device("cpu"), seed=0)
        frozen = net.entropy.freeze(samples(net, sampler, export.crop, export.batches))
        about = _card(net, export.steps, export.training_data)
        return write_entropy_net_weights(export.out, net, frozen, about)


TRAINER = WaveletTrainer()


def _card(net: WaveletNet, steps: int, training_data: str) -> Card:
    """Return the card; multiplications are counted on a 256x256 picture, without the lifting."""
    pixels = torch.zeros(1, 3, _SIDE, _SIDE)
    latents = net.analysis(pixels)
    encode = kmac(_SIDE**2, lambda: net.analysis(pixels))
    decode = kmac(_SIDE**2, lambda: net.synthesis(latents))
    return card(net, steps, training_data, round(encode, 2), round(decode, 2))
