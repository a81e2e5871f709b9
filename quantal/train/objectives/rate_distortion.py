"""The objective of codecs that estimate their own bits: lambda * 255^2 * distortion + bpp.

Each sample of a batch has a rate of its own, spread evenly over the range (stratified), and its
loss is weighted by 1 / sqrt(lambda), so that no rate dominates.

A frozen classifier can take part in the distortion: what it would not see is not paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs.output import TrainingOutput
from quantal.entropy.curves import rate_lambda
from quantal.entropy.models import EntropyModel
from quantal.entropy.models.base import pad_to
from quantal.entropy.rates import LAMBDA_RANGE, RATE_INDICES
from quantal.errors import ArgumentError
from quantal.team import team
from quantal.train.classifiers import FeatureDistance, classifier
from quantal.train.objectives.base import Objective, middle
from quantal.train.objectives.losses import Distortion, DistortionSettings
from quantal.train.recipe import Phase
from quantal.transforms import region_labels

__all__ = ["RateDistortion", "RateDistortionSettings", "rate_positions", "recogniser_of"]

#: Regions that a crop is divided into, for transforms that learn from them.
_REGIONS = 16
#: The loss is scaled so that a sample in the middle of the range has weight 1.
_LAMBDA_MIDDLE = math.sqrt(LAMBDA_RANGE[0] * LAMBDA_RANGE[1])


@dataclass(frozen=True)
class RateDistortionSettings:
    """The `objective` section of a recipe.

    Attributes:
        distortion: how much each kind of distortion weighs.
        middle_rates: how much more often rates in the middle of the range are drawn, 0 to below 1.
        quantise_from: the fraction of the run from which scale networks are rounded.
        evaluation_rates: positions on the rate axis, 0..63, at which evaluations measure.
        recogniser: name of a classifier of torchvision whose features count as well, if any.
        recogniser_weights: the file of its weights, as torchvision publishes it.
        recogniser_layers: which of its `features` count.
        recognition: what an error of all features weighs: as a squared error of samples in 0..1.
    """

    distortion: DistortionSettings = field(default_factory=lambda: DistortionSettings(rgb=1.0))
    middle_rates: float = 0.0
    quantise_from: float = 0.7
    evaluation_rates: tuple[int, ...] = (0, 16, 32, 48, 63)
    recogniser: str = ""
    recogniser_weights: str = ""
    recogniser_layers: tuple[int, ...] = (7, 14, 18)
    recognition: float = 0.01

    def __post_init__(self) -> None:
        if self.recognition <= 0:
            raise ArgumentError(f"recognition is more than 0, not {self.recognition}")
        if not 0 <= self.middle_rates < 1:
            raise ArgumentError(f"middle_rates is at least 0 and below 1, not {self.middle_rates}")
        if any(not 0 <= rate < RATE_INDICES for rate in self.evaluation_rates):
            raise ArgumentError(f"evaluation_rates are 0..63, not {[*self.evaluation_rates]}")


class RateDistortion(Objective):
    """Rate and distortion of networks that map (pixels, rate) to a TrainingOutput with bits.

    Entropy models of quantal.entropy inside the network are rounded from `quantise_from` on.

    Args:
        net: the network that is trained.
        ema: its average.
        settings: of the objective.
        smallest_crop: pixels along a side of the smallest crop.
        device: where the networks will be.
        multiple: pixels that the sides of what the network takes are multiples of.
        features: how far pictures are apart for the recogniser of the settings; None without one.
    """

    def __init__(
        self,
        net: nn.Module,
        ema: nn.Module,
        settings: RateDistortionSettings,
        smallest_crop: int,
        device: torch.device,
        multiple: int = 64,
        features: FeatureDistance | None = None,
    ) -> None:
        super().__init__(net, ema)
        self.features = features
        self.settings, self.multiple = settings, multiple
        self.generator = torch.Generator()
        self.distortion = Distortion(settings.distortion, smallest_crop, device, self.generator)

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def prepare(self, phase: Phase, done: float) -> None:
        for net in (self.net, self.ema):
            for module in net.modules():
                if isinstance(module, EntropyModel):
                    module.quantise(done >= self.settings.quantise_from)
                    module.price_rounded(phase.rounded)

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Return the loss and its parts, means over the batch."""
        count = len(pixels) * team().size
        drawn = rate_positions(count, self.settings.middle_rates, self.generator)
        rate = team().own(drawn).to(pixels.device)
        regions = _regions(self.net, pixels)
        found: TrainingOutput = net(pixels, rate, *([] if regions is None else [regions]))
        area = pixels.shape[-1] * pixels.shape[-2]
        with torch.autocast(pixels.device.type, enabled=False):
            errors = self.distortion(found.pixels.float(), pixels)
        error = torch.stack([*errors.values()]).sum(0)
        parts = {"distortion": error.mean()}
        if len(errors) > 1:
            parts |= {name: part.mean() for name, part in errors.items()}
        if self.features is not None:
            seen = self.features(found.pixels, pixels)
            parts["features"] = seen.mean()
            error = error + self.settings.recognition * seen
        lam = rate_lambda(rate)
        bpp = {f"{name}_bpp": bits / area for name, bits in found.bits.items()}
        cost = lam * 255**2 * error
        for part in bpp.values():
            cost = cost + part
        loss = (cost * (_LAMBDA_MIDDLE / lam).sqrt()).mean()
        return {"loss": loss, **parts, **{name: part.mean() for name, part in bpp.items()}}

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Return mean bits per pixel (estimated) and mean PSNR-RGB in dB at each rate.

        With a recogniser also the mean error of its features.
        """
        points = []
        for rate in self.settings.evaluation_rates:
            bpp = psnr = seen = 0.0
            for picture in pictures:
                drawn, bits = self._drawn(picture, rate)
                true = picture[None].to(drawn.device)
                bpp += bits / picture[0].numel()
                psnr += float(10 * torch.log10(255**2 / (drawn - true).square().mean()))
                if self.features is not None:
                    seen += float(self.features(drawn / 255, true.float() / 255))
            count = len(pictures)
            point = {"rate": rate, "bpp": bpp / count, "psnr": psnr / count}
            points.append(point | ({"features": seen / count} if self.features else {}))
        return points

    def samples(self, picture: Tensor) -> list[Tensor]:
        part = middle(picture)
        drawn = [self._drawn(part, rate)[0] for rate in sorted(self.settings.evaluation_rates)]
        return [part.cpu(), *(each[0].to(torch.uint8).cpu() for each in drawn)]

    def _drawn(self, picture: Tensor, rate: float) -> tuple[Tensor, float]:
        """Return the reconstruction [1, 3, H, W] of uint8 [3, H, W], in whole levels; its bits."""
        net = self.ema.eval()
        device = next(net.parameters()).device
        pixels = picture[None].to(device).float() / 255
        height, width = pixels.shape[-2:]
        position = torch.tensor([float(rate)], device=device)
        found: TrainingOutput = net(pad_to(pixels, self.multiple), position)
        drawn = found.pixels[..., :height, :width].clamp(0, 1).mul(255).round()
        return drawn, sum(float(bits) for bits in found.bits.values())


def rate_positions(count: int, middle: float, generator: torch.Generator) -> Tensor:
    """Return stratified positions on the rate axis.

    Args:
        count: how many: one in each of `count` equally likely parts of the range.
        middle: the middle of the range is drawn 1 / (1 - middle) times as often as if all rates
            were alike, its ends 1 / (1 + middle) times.
        generator: of random numbers.

    Returns:
        Positions [count] in 0..63.
    """
    drawn = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    turn = 2 * math.pi
    return (drawn + middle * torch.sin(turn * drawn) / turn) * (RATE_INDICES - 1)


def recogniser_of(settings: RateDistortionSettings, device: torch.device) -> FeatureDistance | None:
    """Return the distance that the recogniser of settings measures; None without one.

    Raises:
        ArgumentError: If there is no such classifier or no such file.
        ModelError: If the file holds something else.
    """
    if not settings.recogniser:
        return None
    key = "objective.recogniser_weights"
    network = classifier(settings.recogniser, settings.recogniser_weights, key)
    return FeatureDistance(network, settings.recogniser_layers, device)


def _regions(net: nn.Module, pixels: Tensor) -> Tensor | None:
    """Return regions for transforms that use them, in every second batch.

    The codec itself has no regions, only their grid.
    """
    kind = getattr(getattr(net, "config", None), "kind", "gated")
    if kind != "region" or not net.training or torch.rand(()) < 0.5:
        return None
    return region_labels(pixels, _REGIONS)
