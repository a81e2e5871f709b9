"""Training of classifiers of latents, or of pixels to compare them with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from quantal.errors import ArgumentError
from quantal.latents.recognisers import Classifier, ClassifierConfig, indices_of, write_recogniser
from quantal.train.card import card, kmac
from quantal.train.examples import Example, Examples, ExampleSampler, read_examples
from quantal.train.objectives.recognition import Recognition, RecognitionSettings, check_source
from quantal.train.recipe import Recipe
from quantal.train.trainer import Export, Trainer

__all__ = ["TRAINER"]

#: Pixels along a side of the picture that multiplications are counted on, and of a latent.
_SIDE, _STRIDE = 224, 16


class ClassifierTrainer(Trainer):
    """Trains a Classifier on examples."""

    network = Classifier
    sizes = ClassifierConfig
    streams = False
    settings = RecognitionSettings
    crop_multiple = 32
    start_pixels = 1 << 22

    def read_data(self, paths: Sequence[str], smallest: int = 1) -> list[Example]:
        return read_examples(paths, max(smallest, self.crop_multiple))

    def check_data(
        self, net: Classifier, data: Sequence[Example], held_out: Sequence[Example]
    ) -> None:
        for example in (*data, *held_out):
            check_source(net.config.source, example)
            if len(example.values) != net.config.channels:
                raise ArgumentError(
                    f"{example.source} has {len(example.values)} channels; set `model.channels` to "
                    f"that, not {net.config.channels}"
                )
        indices_of([example.label for example in (*data, *held_out)], net.config.names)

    def sampler(self, data: Sequence[Any], device: torch.device, recipe: Recipe) -> ExampleSampler:
        return ExampleSampler(data, device, recipe.seed)

    def start(self, net: Classifier, crops: Examples) -> None:
        """Measure the mean and the spread of what the network is shown."""
        net.normaliser.fit([crops.values])

    def objective(
        self, net: Classifier, ema: Classifier, recipe: Recipe, device: torch.device
    ) -> Recognition:
        return Recognition(net, ema, recipe.objective)

    def export(self, net: Classifier, export: Export) -> bytes:
        side = _SIDE if net.config.source == "pixels" else _SIDE // _STRIDE
        shown = torch.zeros(1, net.config.channels, side, side)
        work = kmac(_SIDE**2, lambda: net(shown))
        write_recogniser(export.out, net, card(net, export.steps, export.training_data, 0.0, work))
        return b""


TRAINER = ClassifierTrainer()
