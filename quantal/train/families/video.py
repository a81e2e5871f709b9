"""Training of the codecs `video-*`: what codes predicted frames; the picture codec is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.codecs.context.net import ContextNet
from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.pyramid.weights import read_entropy_net_weights, write_entropy_net_weights
from quantal.codecs.video.net import VideoConfig, VideoNet
from quantal.codecs.video.picture import find_picture
from quantal.codecs.weights import read_header
from quantal.entropy.rates import RATE_INDICES
from quantal.errors import ModelError
from quantal.train.card import card, kmac
from quantal.train.objectives.base import Objective
from quantal.train.objectives.prediction import (
    Chains,
    Prediction,
    PredictionSettings,
    nearest,
    synthesis_unit,
)
from quantal.train.recipe import Recipe
from quantal.train.sequences import Clip, SequenceSampler, as_clips, read_sequences
from quantal.train.trainer import Export, Trainer
from quantal.transforms import rank_channels

__all__ = ["TRAINER", "VideoTrainer"]

#: Parts of the picture codec's entropy model that a new video codec begins with.
_SHARED = ("hyper_analysis", "side", "log_gain", "log_ungain", "lean")
_SHARED_DEEP = (
    "mean.enter",
    "mean.to_cells",
    "mean.mix",
    "mean.refine",
    "scale.trunk",
    "scale.offset",
)
#: What a prediction leaves is about this part of the latents.
_LEFT = 0.3
#: Chains in a batch that symbols are counted on.
_BATCH = 4
#: Pixels along a side of the frame that multiplications are counted on, and latents.
_SIDE, _LATENTS = 256, 16


class VideoTrainer(Trainer):
    """Trains the entropy model of predicted frames."""

    network = VideoNet
    sizes = VideoConfig
    streams = False
    settings = PredictionSettings
    start_pixels = 0

    def build(self, sizes: VideoConfig) -> VideoNet:
        if not sizes.picture_hash:
            header = read_header(find_picture(sizes.picture, ""))
            sizes = replace(sizes, picture_hash=header.get("hash", ""))
        return VideoNet(sizes)

    def part(self, parameter: str) -> str:
        """Return a part of the entropy model, as "hyper_analysis"."""
        return super().part(parameter.removeprefix("entropy."))

    def read_data(self, paths: Sequence[str], smallest: int = 1) -> list[Clip]:
        return read_sequences(paths, smallest)

    def sampler(self, data: Sequence[Any], device: torch.device, recipe: Recipe) -> SequenceSampler:
        return SequenceSampler(data, device, recipe.seed)

    def start(self, net: VideoNet, crops: Any) -> None:
        """Begin with what the picture codec knows."""
        picture = _picture(net.config)
        known = picture.entropy.state_dict()
        own = net.entropy.state_dict()
        wanted = {
            name: value
            for name, value in known.items()
            if name.startswith((*_SHARED, *_SHARED_DEEP)) and own[name].shape == value.shape
        }
        net.entropy.load_state_dict(wanted, strict=False)
        rms = 1 / picture.entropy.hyper_analysis.normaliser
        unit = synthesis_unit(picture).flatten()
        with torch.no_grad():
            net.entropy.log_gain.anchors.sub_(unit.log())
        net.entropy.calibrate(unit * rms, rank_channels(picture.synthesis, rms))
        net.entropy.set_sizes(_LEFT * unit * rms, unit * rms)

    def start_from(self, net: VideoNet, path: Path, crops: Any) -> None:
        """Continue from weights of a video codec of the same sizes."""
        found = read_entropy_net_weights(path, VideoNet).net
        if found.config != net.config:
            raise ModelError(
                f"weights {path.name} have the sizes {found.config}, the recipe {net.config}; they "
                "have to be equal"
            )
        net.load_state_dict(found.state_dict())

    def objective(
        self, net: VideoNet, ema: VideoNet, recipe: Recipe, device: torch.device
    ) -> Objective:
        return Prediction(net, ema, recipe.objective, _picture(net.config).to(device))

    def export(self, net: VideoNet, export: Export) -> bytes:
        clips = as_clips(export.pictures())
        sampler = SequenceSampler(clips, torch.device("cpu"), seed=0)
        picture = _picture(net.config)
        frozen = net.entropy.freeze(_samples(net, picture, sampler, export.crop, export.batches))
        about = card(net, export.steps, export.training_data, *_work(net, picture))
        return write_entropy_net_weights(export.out, net, frozen, about)


def _picture(config: VideoConfig) -> PyramidNet:
    path = find_picture(config.picture, config.picture_hash)
    net = read_entropy_net_weights(path, ContextNet).net.eval()
    if net.config.channels[-1] != config.channels:
        raise ModelError(
            f"picture codec {config.picture!r} has {net.config.channels[-1]} channels of latents, "
            f"the recipe {config.channels}; set `model.channels`"
        )
    return net


@torch.no_grad()
def _samples(
    net: VideoNet, picture: PyramidNet, sampler: SequenceSampler, crop: int, batches: int
) -> Iterator[tuple[Tensor, ...]]:
    """Yield latents of predicted frames, their rates and their conditions."""
    chains = Chains(picture, net.config.motion)
    generator = torch.Generator().manual_seed(0)
    for _ in range(batches):
        batch = sampler.batch(_BATCH, crop)
        rate = torch.rand(len(batch.begins), generator=generator) * (RATE_INDICES - 1)
        above = torch.rand(len(rate), generator=generator) * 12
        intra = (rate + above).clamp_max(RATE_INDICES - 1)
        chains.begin(batch.begins, batch.first, rate, intra, _BATCH)
        condition = chains.condition(nearest(batch.fields, chains.rate))
        y = chains.analyse(batch.frames)
        found = net.entropy.predict(y, chains.rate, *condition)
        yield (y, chains.rate.clone(), *condition)
        chains.advance(found)


@torch.no_grad()
def _work(net: VideoNet, picture: PyramidNet) -> tuple[float, float]:
    """Return thousand multiplications per pixel to encode and to decode a predicted frame."""
    area, rate = _SIDE**2, torch.zeros(1)
    pixels = torch.zeros(1, 3, _SIDE, _SIDE)
    y = torch.zeros(1, net.config.channels, _LATENTS, _LATENTS)
    z = torch.zeros(1, net.config.z_channels, _LATENTS // 4, _LATENTS // 4)
    model = net.entropy
    analysis = kmac(area, lambda: picture.analysis(pixels))
    synthesis = kmac(area, lambda: picture.synthesis(y))
    hyper = kmac(area, lambda: model.hyper_analysis(y, rate))
    coding = kmac(
        area, lambda: model.code(y, model.side_information(z, rate, y, y, y[:, :1]), rate)
    )
    prediction = analysis + synthesis if net.config.motion else 0.0
    encoding = analysis + hyper + coding + prediction
    decoding = coding + synthesis + (analysis if net.config.motion else 0.0)
    return round(encoding, 2), round(decoding, 2)


TRAINER = VideoTrainer()
