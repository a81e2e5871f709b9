"""The objective of stems: what the first layers of a classifier make of pixels, from latents.

No labels are needed. The teacher is the whole classifier, shown the pixels; the student begins with
the stem and shares all layers from there on, which are not trained. The loss is the error of what
the first shared layer is given, and how far the answers are apart (Hinton et al., "Distilling the
knowledge in a neural network", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.wavelet.net import WaveletNet
from quantal.errors import ArgumentError
from quantal.latents.recognisers import StemNet
from quantal.train.objectives.base import Objective

__all__ = ["Distillation", "DistillationSettings", "coded_latents"]


@dataclass(frozen=True)
class DistillationSettings:
    """The `objective` section of a recipe.

    Attributes:
        weights: the file of the classifier's weights, as torchvision publishes it.
        rates: positions on the rate axis between which pictures are coded, 0..63.
        answers: how much the answers count beside the error of features.
    """

    weights: str = ""
    rates: tuple[float, float] = (12.0, 44.0)
    answers: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.rates[0] <= self.rates[1] <= 63:
            raise ArgumentError(f"rates are 0..63 in ascending order, not {[*self.rates]}")


@torch.no_grad()
def coded_latents(codec: PyramidNet | WaveletNet, pixels: Tensor, rate: Tensor) -> Tensor:
    """Return the latents of pictures as a file holds them, [B, C, h, w].

    Args:
        codec: networks of the codec, in evaluation mode.
        pixels: [B, 3, H, W] in 0..1, H and W multiples of 64.
        rate: positions on the rate axis [B].
    """
    found: Tensor = codec.entropy(codec.analysis(pixels).float(), rate).y_hat
    return found


class Distillation(Objective):
    """A stem that stands for the first layers of a classifier.

    Args:
        net: the stem that is trained.
        ema: its average.
        settings: of the objective.
        codec: networks of the codec whose latents it reads.
        teacher: a classifier of torchvision with `features` and `classifier`.
        mean: of the teacher's input, by colour [3, 1, 1].
        spread: by which it is divided [3, 1, 1].
    """

    def __init__(
        self,
        net: StemNet,
        ema: StemNet,
        settings: DistillationSettings,
        codec: PyramidNet | WaveletNet,
        teacher: nn.Module,
        mean: Tensor,
        spread: Tensor,
    ) -> None:
        super().__init__(net, ema)
        self.settings = settings
        self.codec = codec.eval().requires_grad_(False)
        self.mean, self.spread = mean, spread
        features = list(teacher.features.children())  # type: ignore[operator, union-attr]
        first = net.config.first
        if not 0 < first < len(features):
            raise ArgumentError(
                f"{net.config.backbone} has {len(features)} layers of features; `model.first` is "
                f"{first}"
            )
        self.early = nn.Sequential(*features[:first]).eval().requires_grad_(False)
        late = nn.Sequential(*features[first:], nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        self.late = (
            nn.Sequential(late, cast(nn.Module, teacher.classifier)).eval().requires_grad_(False)
        )
        self.generator = torch.Generator()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def taught(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and answers of the teacher for pixels [B, 3, H, W] in 0..1."""
        with torch.no_grad():
            features = self.early((pixels - self.mean) / self.spread)
            return features, self.late(features)

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Return the loss and its parts for crops [B, 3, H, W] in 0..1."""
        low, high = self.settings.rates
        rate = low + (high - low) * torch.rand(len(pixels), generator=self.generator)
        with torch.autocast(pixels.device.type, enabled=False):
            latents = coded_latents(self.codec, pixels, rate.to(pixels.device))
        features, answers = self.taught(pixels)
        found = net(latents)
        wrong = (found - features).float().square().mean((0, 2, 3))
        # Channels count alike, however large they are.
        spread = features.float().square().mean((0, 2, 3)).clamp_min(1e-4)
        distance = (wrong / spread).mean()
        apart = F.kl_div(
            self.late(found).float().log_softmax(1),
            answers.float().log_softmax(1),
            log_target=True,
            reduction="batchmean",
        )
        loss = distance + self.settings.answers * apart
        return {"loss": loss, "distance": distance, "apart": apart}

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Return in how many pictures student and teacher give the same answer, in percent."""
        net = self.ema.eval()
        device = next(net.parameters()).device
        equal = 0
        rate = sum(self.settings.rates) / 2
        for picture in pictures:
            height, width = (side // 64 * 64 for side in picture.shape[1:])
            pixels = picture[None, :, :height, :width].to(device).float() / 255
            latents = coded_latents(self.codec, pixels, torch.tensor([rate], device=device))
            _, answers = self.taught(pixels)
            equal += int(self.late(net(latents)).argmax(1) == answers.argmax(1))
        return [{"accuracy": 100 * equal / len(pictures), "pictures": len(pictures)}]
