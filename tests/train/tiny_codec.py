"""A codec of another package, in one file: a convolution each way, our entropy model, a trainer.

Loaded as a plugin it registers its family; nothing of Quantal knows it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantal.codecs import CodecEntry, Family, register
from quantal.codecs.output import TrainingOutput
from quantal.codecs.transform import TransformCodec
from quantal.codecs.weights import NET, read_weights, write_weights
from quantal.entropy.models import FactorizedModel
from quantal.train import Export, Objective, Recipe, Trainer
from quantal.train.objectives.rate_distortion import RateDistortion, RateDistortionSettings

STRIDE = 4
LAYOUT = "tiny layout 1"


@dataclass(frozen=True)
class TinySizes:
    """Sizes of the networks."""

    channels: int = 48


class TinyNet(nn.Module):
    """pixels [B, 3, H, W] and rates [B] to a reconstruction and its bits."""

    def __init__(self, sizes: TinySizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.analysis = nn.Conv2d(3, sizes.channels, STRIDE, STRIDE)
        self.synthesis = nn.ConvTranspose2d(sizes.channels, 3, STRIDE, STRIDE)
        self.entropy = FactorizedModel(sizes.channels)

    def forward(self, pixels: Tensor, rate: Tensor) -> TrainingOutput:
        y_hat, bits = self.entropy(8 * self.analysis(pixels - 0.5), rate)
        return TrainingOutput(self.drawn(y_hat), bits)

    def drawn(self, y_hat: Tensor) -> Tensor:
        return self.synthesis(y_hat / 8) + 0.5


class TinyTrainer(Trainer):
    """A trainer with everything that one has to say."""

    network = TinyNet
    sizes = TinySizes
    settings = RateDistortionSettings
    crop_multiple = 16
    start_crop = 32

    def start(self, net: TinyNet, crops: Tensor) -> None:
        rows = torch.linalg.qr(torch.randn(48, 48))[0]
        with torch.no_grad():
            for layer in (net.analysis, net.synthesis):
                layer.weight.copy_(rows[: net.sizes.channels].view(layer.weight.shape))
                layer.bias.zero_()

    def objective(
        self, net: TinyNet, ema: TinyNet, recipe: Recipe, device: torch.device
    ) -> Objective:
        smallest = min(recipe.crops)
        return RateDistortion(net, ema, recipe.objective, smallest, device, self.crop_multiple)

    def export(self, net: TinyNet, export: Export) -> bytes:
        floats = {NET + name: value.half().numpy() for name, value in net.state_dict().items()}
        integers = net.entropy.freeze().integers()
        texts = {"model": json.dumps(asdict(net.sizes))}
        return write_weights(export.out, LAYOUT, floats, integers, texts)


TRAINER = TinyTrainer()


def codec(name: str, weights: Path, device: torch.device) -> TransformCodec:
    """Return the codec of a weights file."""
    file = read_weights(weights, [LAYOUT])
    net = TinyNet(TinySizes(**file.sizes())).eval().requires_grad_(False)
    state: dict[str, Any] = {
        key.removeprefix(NET): torch.from_numpy(value.astype(np.float32))
        for key, value in file.arrays.items()
        if key.startswith(NET)
    }
    net.load_state_dict(state)
    frozen = net.entropy.frozen_from(file.arrays, device)
    return TransformCodec(
        name, lambda x: 8 * net.analysis(x - 0.5), net.drawn, frozen, STRIDE, device=device
    )


register(
    Family(
        name="tiny",
        codec="tiny_codec:codec",
        codecs=(CodecEntry("tiny-a", "A convolution each way.", None),),
        trainer="tiny_codec:TRAINER",
    )
)
