"""The objective of codec `student`: features of a frozen classifier, and the bits of latents.

The encoder, the entropy model and the stem are trained together (Matsubara et al., "Supervised
compression for resource-constrained edge computing systems", 2022): the loss is that of
distillation, plus what bits weigh at the rate that is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.codecs.student.net import StudentNet
from quantal.entropy.rates import RATE_INDICES
from quantal.errors import ArgumentError
from quantal.latents.recognisers import StemNet
from quantal.team import team
from quantal.train.objectives.base import Objective
from quantal.train.objectives.distillation import CHECKED, Memory, Teacher, whole_positions
from quantal.train.objectives.rate_distortion import rate_positions
from quantal.train.recipe import Phase

__all__ = ["SupervisedNet", "Supervision", "SupervisionSettings"]


class SupervisedNet(nn.Module):
    """What is trained together.

    Args:
        codec: the analysis and the entropy model.
        stem: reads their latents.
    """

    def __init__(self, codec: StudentNet, stem: StemNet) -> None:
        super().__init__()
        self.codec, self.stem = codec, stem

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of features of pictures, and from the linear map back.

        Args:
            pictures: [B, 3, H, W] in 0..1, H and W multiples of 16.
        """
        self.codec.initialise(pictures)
        features = self.codec.analysis.features(pictures)
        finest = torch.full((len(pictures),), RATE_INDICES - 1.0)
        coded = self.codec.entropy(self.codec.analysis.code(features), finest)
        self.stem.start_from(coded.y_hat, features)

    def forward(self, features: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        """Return features as they are decoded [B, C, h, w] and the bits of each position [B].

        Args:
            features: what the encoder's layers of the classifier give.
            rate: positions on the rate axis [B].
        """
        latents = self.codec.analysis.code(features)
        with torch.autocast(features.device.type, enabled=False):
            coded = self.codec.entropy(latents.float(), rate)
            bits = torch.stack([*coded.bits.values()]).sum(0)
        return self.stem(coded.y_hat), bits / latents[0, 0].numel()


@dataclass(frozen=True)
class SupervisionSettings:
    """The `objective` section of a recipe.

    Attributes:
        weights: the file of the classifier's weights, as torchvision publishes it.
        bits: what a bit per position weighs at the lowest and at the highest rate.
        layer: the layer of the classifier before which features are compared; null for the one
            that the stem gives features to.
        answers: how much the answers count beside the error of features.
        repeats: how often a crop is trained on, on average; a step trains on so many crops for each
            new one.
        remembered: crops that are kept to be repeated.
        evaluation_rates: positions on the rate axis, 0..63, at which evaluations measure.
    """

    weights: str = ""
    bits: tuple[float, float] = (0.1, 0.002)
    layer: int | None = 11
    answers: float = 1.0
    repeats: int = 6
    remembered: int = 8192
    evaluation_rates: tuple[int, ...] = (0, 21, 42, 63)

    def __post_init__(self) -> None:
        if not self.bits[0] >= self.bits[1] > 0:
            raise ArgumentError(f"bits weigh less at higher rates, and more than 0: {[*self.bits]}")
        if any(not 0 <= rate < RATE_INDICES for rate in self.evaluation_rates):
            raise ArgumentError(f"evaluation_rates are 0..63, not {[*self.evaluation_rates]}")
        whole("objective.repeats", self.repeats, 1)
        whole("objective.remembered", self.remembered, 1)


class Supervision(Objective):
    """A codec and a stem that stand for the first layers of a classifier.

    Args:
        net: what is trained.
        ema: its average.
        settings: of the objective.
        teacher: the classifier.

    Raises:
        ArgumentError: If the stem does not fit the teacher's layers.
    """

    net: SupervisedNet
    ema: SupervisedNet

    def __init__(
        self,
        net: SupervisedNet,
        ema: SupervisedNet,
        settings: SupervisionSettings,
        teacher: Teacher,
    ) -> None:
        super().__init__(net, ema)
        self.settings, self.teacher = settings, teacher
        for each in (net, ema):
            each.stem.teacher.copy_(teacher.fingerprint)
            each.codec.analysis.layers.load_state_dict(teacher.early.state_dict())
        self.generator = torch.Generator()
        self.memory = Memory(settings.remembered)
        pixels = torch.zeros(1, 3, *CHECKED)
        with torch.no_grad():
            found, _ = net(net.codec.analysis.features(pixels), torch.zeros(1))
            teacher.check(found, pixels.to(teacher.mean.device), net.stem.config)

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def prepare(self, phase: Phase, done: float) -> None:
        for each in (self.net, self.ema):
            each.codec.entropy.price_rounded(phase.rounded)

    def _weight(self, rate: Tensor) -> Tensor:
        """Return what a bit per position weighs at positions on the rate axis."""
        low, high = map(math.log, self.settings.bits)
        return torch.exp(low + (high - low) * rate / (RATE_INDICES - 1))

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Return the loss and its parts for crops [B, 3, H, W] in 0..1, and remembered ones."""
        count = len(pixels) * (self.settings.repeats - 1)
        lesson = self.teacher(pixels)
        # The classifier's layers are the encoder's: they run once, and what they give is kept.
        shown, features, answers = self.memory.extended(
            (lesson.entry, lesson.features, lesson.answers), count, self.generator
        )
        drawn = rate_positions(len(shown) * team().size, 0.0, self.generator)
        # Crops that are new are not always those of low rates.
        order = torch.randperm(len(drawn), generator=self.generator)
        rate = team().own(drawn[order]).to(shown.device)
        found, bits = net(shown, rate)
        distance, apart = self.teacher.compare(found, features, answers)
        cost = (self._weight(rate) * bits).mean()
        loss = distance + self.settings.answers * apart + cost
        return {"loss": loss, "distance": distance, "apart": apart, "bits": bits.mean()}

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Return bytes (estimated), and how often student and teacher agree in percent."""
        net = self.ema.eval()
        device = next(net.parameters()).device
        points = []
        for rate in self.settings.evaluation_rates:
            position = torch.tensor([float(rate)], device=device)
            equal, size = 0, 0.0
            for picture in pictures:
                pixels = whole_positions(picture, net.codec.stride, device)
                lesson = self.teacher(pixels)
                found, bits = net(lesson.entry, position)
                equal += int(self.teacher.answers(found).argmax(1) == lesson.answers.argmax(1))
                positions = pixels.shape[-1] * pixels.shape[-2] // net.codec.stride**2
                size += float(bits) * positions / 8
            count = len(pictures)
            point = {"rate": rate, "bytes": size / count, "accuracy": 100 * equal / count}
            points.append({**point, "pictures": count})
        return points
