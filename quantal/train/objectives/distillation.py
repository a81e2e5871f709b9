"""The objective of stems: what the first layers of a classifier make of pixels, from latents.

No labels are needed. The teacher is the whole classifier, shown the pixels; the student begins with
the stem and shares all layers from there on, which are not trained. The loss is the error of what
the first shared layer is given, and how far the answers are apart (Hinton et al., "Distilling the
knowledge in a neural network", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.wavelet.net import WaveletNet
from quantal.errors import ArgumentError
from quantal.latents.adapters import replace_stem
from quantal.latents.recognisers import StemConfig, StemNet, fingerprint
from quantal.team import team
from quantal.train.objectives.base import Objective
from quantal.transforms.classifier import folded

__all__ = [
    "CHECKED",
    "Distillation",
    "DistillationSettings",
    "Lesson",
    "Memory",
    "Teacher",
    "coded_latents",
    "whole_positions",
]

#: Height and width of the picture that shapes are compared on.
CHECKED = 64, 128


@dataclass(frozen=True)
class DistillationSettings:
    """The `objective` section of a recipe.

    Attributes:
        weights: the file of the classifier's weights, as torchvision publishes it.
        rates: positions on the rate axis between which pictures are coded, 0..63.
        layer: the layer of the classifier before which features are compared; null for the one
            that the stem gives features to.
        answers: how much the answers count beside the error of features.
        repeats: how often a crop is trained on, on average; a step trains on so many crops for each
            new one.
        remembered: crops that are kept to be repeated.
    """

    weights: str = ""
    rates: tuple[float, float] = (12.0, 44.0)
    layer: int | None = None
    answers: float = 1.0
    repeats: int = 8
    remembered: int = 16384

    def __post_init__(self) -> None:
        whole("objective.repeats", self.repeats, 1)
        whole("objective.remembered", self.remembered, 1)
        if not 0 <= self.rates[0] <= self.rates[1] <= 63:
            raise ArgumentError(f"rates are 0..63 in ascending order, not {[*self.rates]}")


@torch.no_grad()
def coded_latents(codec: PyramidNet | WaveletNet, pixels: Tensor, rate: Tensor) -> Tensor:
    """Return the latents of pictures as a file holds them, [B, C, h, w].

    Args:
        codec: networks of the codec, in evaluation mode.
        pixels: [B, 3, H, W] in 0..1, H and W multiples of codec.stride.
        rate: positions on the rate axis [B].
    """
    found: Tensor = codec.entropy(codec.analysis(pixels).float(), rate).y_hat
    return found


class Memory:
    """Rows of tensors of earlier steps, in half precision; the oldest make room for new ones.

    Args:
        capacity: rows at most.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.columns: list[Tensor] = []
        self.seen = 0

    def extended(
        self, rows: Sequence[Tensor], count: int, generator: torch.Generator
    ) -> list[Tensor]:
        """Return rows and `count` remembered ones, then remember the rows.

        Args:
            rows: tensors [B, ...], B at most the capacity.
            count: rows to be added, drawn at random; none where none are remembered yet, or those
                that are have another shape, as in the first step of a phase.
            generator: generator of the draws.
        """
        shapes = [each.shape[1:] for each in rows]
        if [each.shape[1:] for each in self.columns] != shapes:
            self.columns = [
                each.new_empty((self.capacity, *each.shape[1:]), dtype=torch.float16)
                for each in rows
            ]
            self.seen = 0
        known = min(self.seen, self.capacity)
        drawn = torch.randint(max(known, 1), (count if known else 0,), generator=generator)
        found = [
            torch.cat((new, column[drawn.to(column.device)].to(new.dtype)))
            for new, column in zip(rows, self.columns, strict=True)
        ]
        places = (self.seen + torch.arange(len(rows[0]))) % self.capacity
        for new, column in zip(rows, self.columns, strict=True):
            column[places.to(column.device)] = new.half()
        self.seen += len(rows[0])
        return found


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher makes of pictures.

    Attributes:
        entry: features as the first shared layer takes them [B, C, h, w].
        features: what is compared [B, C', h', w'].
        answers: scores of classes [B, K].
    """

    entry: Tensor
    features: Tensor
    answers: Tensor


class Teacher:
    """A frozen classifier: what its first layers give, and what the others make of it.

    Args:
        network: the classifier, frozen; its layers are its `features`.
        first: the first layer of those that students share.
        layer: the layer before which features are compared; None for `first`.
        mean: of its input, by colour [3, 1, 1].
        spread: by which it is divided [3, 1, 1].

    Raises:
        ArgumentError: If it has no such layers.
    """

    def __init__(
        self, network: nn.Module, first: int, layer: int | None, mean: Tensor, spread: Tensor
    ) -> None:
        layer = first if layer is None else layer
        layers = getattr(network, "features", None)
        if not isinstance(layers, nn.Sequential):
            raise ArgumentError(
                f"a {type(network).__name__} has no `features` in a row; take a classifier such as "
                "mobilenet_v2"
            )
        if not 0 < first <= layer < len(layers):
            raise ArgumentError(
                f"students begin at layer {first} and features are compared before layer {layer}, "
                f"expected layers of 1 to {len(layers) - 1} in this order; change "
                "`objective.layer`, or where the classifier is split"
            )
        #: See recognisers.fingerprint().
        self.fingerprint = fingerprint(network)
        self.mean, self.spread = mean, spread
        copied = deepcopy(network)
        # Cut first: what is normalised behind a cut stays so.
        self._late = folded(replace_stem(copied, nn.Identity(), layer))
        layers = cast(nn.Sequential, copied.features)
        self.early, self._middle = folded(layers[:first]), folded(layers[first:layer])

    @torch.no_grad()
    def entry(self, pixels: Tensor) -> Tensor:
        """Return features as the first shared layer takes them."""
        found: Tensor = self.early((pixels - self.mean) / self.spread)
        return found

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Lesson:
        """Return the lesson of pixels [B, 3, H, W] in 0..1."""
        entry = self.entry(pixels)
        features = self._middle(entry)
        return Lesson(entry, features, self._late(features))

    def answers(self, found: Tensor) -> Tensor:
        """Return the scores [B, K] for a student's features [B, C, h, w]."""
        scores: Tensor = self._late(self._middle(found))
        return scores

    def compare(self, found: Tensor, features: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error of features, by channel, and how far answers are apart in nats.

        Args:
            found: the student's features, as the first shared layer takes them [B, C, h, w].
            features: the teacher's, as they are compared.
            answers: the teacher's.
        """
        found = self._middle(found)
        wrong = (found - features).float().square().mean((0, 2, 3))
        # Channels count alike, however large they are.
        spread = team().mean(features.float().square().mean((0, 2, 3))).clamp_min(1e-4)
        apart = F.kl_div(
            self._late(found).float().log_softmax(1),
            answers.float().log_softmax(1),
            log_target=True,
            reduction="batchmean",
        )
        return (wrong / spread).mean(), apart

    @torch.no_grad()
    def check(self, found: Tensor, pixels: Tensor, config: StemConfig) -> None:
        """Raise ArgumentError unless a stem's features are what the first shared layer takes.

        Args:
            found: by the stem.
            pixels: of the same pictures.
            config: sizes of the stem.
        """
        expected, given = (tuple(each.shape[1:]) for each in (self.entry(pixels), found))
        if given != expected:
            height, width = pixels.shape[-2:]
            raise ArgumentError(
                f"layer {config.first} of {config.backbone} takes {[*expected]} for a picture of "
                f"{width}x{height}, the stem gives {[*given]}; change `model.out_channels`, "
                "`model.scale` or `model.first`"
            )


class Distillation(Objective):
    """A stem that stands for the first layers of a classifier.

    Args:
        net: the stem that is trained.
        ema: its average.
        settings: of the objective.
        codec: networks of the codec whose latents it reads.
        teacher: the classifier.

    Raises:
        ArgumentError: If the stem does not fit the codec's latents or the teacher's layers.
    """

    net: StemNet
    ema: StemNet

    def __init__(
        self,
        net: StemNet,
        ema: StemNet,
        settings: DistillationSettings,
        codec: PyramidNet | WaveletNet,
        teacher: Teacher,
    ) -> None:
        super().__init__(net, ema)
        self.settings, self.teacher = settings, teacher
        self.codec = codec.eval().requires_grad_(False)
        for each in (net, ema):
            each.teacher.copy_(teacher.fingerprint)
        self.generator = torch.Generator()
        self.memory = Memory(settings.remembered)
        self._check(net)

    @torch.no_grad()
    def _check(self, net: StemNet) -> None:
        """Raise ArgumentError unless the stem fits on both sides."""
        pixels = self.teacher.mean.new_zeros(1, 3, *CHECKED)
        latents = coded_latents(self.codec, pixels, pixels.new_zeros(1)).cpu()
        if latents.shape[1] != net.config.channels:
            raise ArgumentError(
                f"latents of {net.config.source!r} have {latents.shape[1]} channels; set "
                f"`model.channels` to that, not {net.config.channels}"
            )
        self._beginning(net)
        self.teacher.check(net(latents), pixels, net.config)

    def _beginning(self, net: StemNet) -> dict[str, Tensor]:
        """Return the values of a stem's synthesis in that of its codec.

        Raises:
            ArgumentError: If the codec's begins otherwise.
        """
        wanted = net.synthesis.state_dict() if net.synthesis is not None else {}
        given = self.codec.synthesis.state_dict()
        if any(name not in given or given[name].shape != wanted[name].shape for name in wanted):
            raise ArgumentError(
                f"{net.config.source!r} has no synthesis of packets that begins with "
                f"`model.synthesis_blocks: {[*net.config.synthesis_blocks]}` and "
                f"`model.synthesis_width: {net.config.synthesis_width}`; take the sizes of the "
                "codec's own, or no blocks"
            )
        return {name: given[name] for name in wanted}

    @torch.no_grad()
    def start(self, crops: Tensor) -> None:
        """Start as the linear map from latents to features with the least squared error.

        Where a synthesis comes first, it is the codec's own, and the map is from its packets.
        """
        if self.net.synthesis is not None:
            self.net.synthesis.load_state_dict(self._beginning(self.net))
        device = self.teacher.mean.device
        low, high = self.settings.rates
        rate = torch.linspace(low, high, len(crops), device=device)
        pixels = crops.to(device)
        latents = coded_latents(self.codec, pixels, rate)
        self.net.start_from(latents.cpu(), self.teacher.entry(pixels).cpu())

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        """Return the loss and its parts for crops [B, 3, H, W] in 0..1, and remembered ones."""
        low, high = self.settings.rates
        drawn = torch.rand(len(pixels) * team().size, generator=self.generator)
        rate = low + (high - low) * team().own(drawn)
        with torch.autocast(pixels.device.type, enabled=False):
            latents = coded_latents(self.codec, pixels, rate.to(pixels.device))
        lesson = self.teacher(pixels)
        count = len(pixels) * (self.settings.repeats - 1)
        latents, features, answers = self.memory.extended(
            (latents, lesson.features, lesson.answers), count, self.generator
        )
        distance, apart = self.teacher.compare(net(latents), features, answers)
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
            pixels = whole_positions(picture, self.codec.stride, device)
            latents = coded_latents(self.codec, pixels, torch.tensor([rate], device=device))
            found = self.teacher.answers(net(latents))
            equal += int(found.argmax(1) == self.teacher(pixels).answers.argmax(1))
        return [{"accuracy": 100 * equal / len(pictures), "pictures": len(pictures)}]


def whole_positions(picture: Tensor, stride: int, device: torch.device) -> Tensor:
    """Return a picture uint8 [3, H, W] as pixels [1, 3, H', W'] in 0..1, cut to whole positions."""
    height, width = (side - side % stride for side in picture.shape[1:])
    return picture[None, :, :height, :width].to(device).float() / 255
