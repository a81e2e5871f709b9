"""The objective of generative codecs: squared error, LPIPS and a patch discriminator.

The rate of each sample is drawn, not learned: for `vq` which codebooks and how many cells have
finer rungs, for `tokens` how many tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.output import TrainingOutput
from quantal.entropy.models.base import pad_to
from quantal.entropy.quantisers import Use
from quantal.team import team
from quantal.train.objectives.base import Objective, middle
from quantal.train.objectives.discriminator import Discriminator, hinge_loss
from quantal.train.objectives.perceptual import Lpips
from quantal.train.recipe import Phase

__all__ = ["Generative", "GenerativeNet", "GenerativeSettings"]


@dataclass(frozen=True)
class GenerativeSettings:
    """The `objective` section of a recipe.

    Attributes:
        heads: LPIPS' file of weights.
        net: LPIPS' network, "alex" or "vgg".
        backbone: a file of that network's weights; None for torchvision's download.
        pixel: weight of the squared error of samples in 0..1.
        perceptual: weight of LPIPS.
        commitment: weight of what quantising changes.
        adversarial: weight of the discriminator.
        shrink_at: the fraction of the run at which smaller codebooks begin.
        adversarial_from: the fraction of the run from which there is a discriminator.
        discriminator_rate: its learning rate.
    """

    heads: str
    net: str = "alex"
    backbone: str | None = None
    pixel: float = 15.0
    perceptual: float = 1.0
    commitment: float = 4.0
    adversarial: float = 0.1
    shrink_at: float = 0.3
    adversarial_from: float = 0.6
    discriminator_rate: float = 4e-4


class GenerativeNet(Protocol):
    """A network that draws pixels as a request says, for example with so many tokens.

    Called with (pixels, request), it returns a TrainingOutput with the loss `commitment`, [B], and
    indices. A request has the methods to(device) and rows(range), which returns the part for some
    samples.
    """

    #: Pixels that the sides of pictures are multiples of.
    stride: int

    def draw_request(self, count: int, books: bool, generator: torch.Generator) -> Any:
        """Return a random request of `count` samples; books: whether of smaller codebooks."""
        ...

    def probes(self) -> dict[str, Any]:
        """Return requests of a single sample, by name, that evaluations measure."""
        ...

    def shrink(self) -> None:
        """Begin smaller codebooks anew from the largest."""
        ...


class Generative(Objective):
    """Pictures that are close, and look right, at given rates.

    Args:
        net: the network that is trained, a GenerativeNet.
        ema: its average.
        settings: of the objective.
        device: where the networks will be.
        shrunk: whether smaller codebooks have begun, as in weights that were trained before.
    """

    def __init__(
        self,
        net: Any,
        ema: Any,
        settings: GenerativeSettings,
        device: torch.device,
        shrunk: bool = False,
    ) -> None:
        super().__init__(net, ema)
        self.codec: GenerativeNet = net
        self.average: GenerativeNet = ema
        self.settings, self.shrunk = settings, shrunk
        self.lpips = Lpips(settings.net, settings.heads, settings.backbone).to(device)
        self.discriminator = Discriminator(self.lpips.widths).to(device)
        self.optimiser = torch.optim.AdamW(
            self.discriminator.parameters(), lr=settings.discriminator_rate, betas=(0.5, 0.95)
        )
        self.half = False
        self.generator = torch.Generator()
        self.judging = False
        self._seen: tuple[tuple[Tensor, list[Tensor]], ...] = ()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def prepare(self, phase: Phase, done: float) -> None:
        settings = self.settings
        if done >= settings.shrink_at and not self.shrunk:
            self.shrunk = True
            self.codec.shrink()
            # k-means decides by the last bits, which differ between processors.
            team().agree(self.net.buffers())
        self.judging = done >= settings.adversarial_from and settings.adversarial > 0

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        settings = self.settings
        count = len(pixels) * team().size
        request = self.codec.draw_request(count, self.shrunk, self.generator)
        request = request.rows(team().rows(count))
        drawn: TrainingOutput = net(pixels, request.to(pixels.device))
        commitment = drawn.losses["commitment"]
        error = (drawn.pixels.float() - pixels).square().flatten(1).mean(1)
        # LPIPS' network looks on a grid of 4 pixels, synthesis draws on one: they mustn't agree.
        top, left = (int(n) for n in torch.randint(4, (2,), generator=self.generator))
        true, found = pixels[..., top:, left:], drawn.pixels[..., top:, left:]
        with torch.no_grad():
            known = self.lpips.features(true)
        seen = self.lpips.features(found)
        distance = self.lpips.distance(seen, known)
        loss = settings.pixel * error + settings.perceptual * distance
        loss = loss + settings.commitment * commitment
        parts = {"mse": error.mean(), "lpips": distance.mean(), "commit": commitment.mean()}
        if self.judging:
            self.discriminator.requires_grad_(False)
            logits = self.discriminator(found, seen)
            fooled = -torch.stack([one.float().mean() for one in logits]).mean()
            parts["fooled"] = fooled
            loss = loss + settings.adversarial * fooled
            self._seen = (
                (found.detach(), [one.detach() for one in seen]),
                (true, known),
            )
        self.half = torch.is_autocast_enabled(pixels.device.type)
        return {"loss": loss.mean(), **parts}

    def learn(self) -> None:
        """Take a step of the discriminator by the hinge loss, on what the last step drew."""
        if not self._seen:
            return
        (found, seen), (true, known) = self._seen
        self._seen = ()
        self.discriminator.requires_grad_(True)
        with torch.autocast(found.device.type, torch.bfloat16, enabled=self.half):
            fakes, reals = self.discriminator(found, seen), self.discriminator(true, known)
        loss = hinge_loss(fakes, reals)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        team().average(self.discriminator.parameters())
        norm = nn.utils.clip_grad_norm_(self.discriminator.parameters(), 1.0)
        if bool(torch.isfinite(norm)):
            self.optimiser.step()

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Return mean PSNR-RGB in dB, mean LPIPS and bits per pixel for each probe.

        Bits are the entropy of the indices alone, without any context.
        """
        net: Any = self.ema.eval()
        device = next(net.parameters()).device
        points = []
        for name, request in self.average.probes().items():
            totals = {"psnr": 0.0, "lpips": 0.0}
            area = 0.0
            counts: dict[int, Tensor] = {}
            for picture in pictures:
                pixels = picture[None].to(device).float() / 255
                height, width = pixels.shape[-2:]
                drawn = net(pad_to(pixels, self.average.stride), request.to(device))
                shown = drawn.pixels[..., :height, :width].float().clamp(0, 1)
                error = (shown.mul(255).round() / 255 - pixels).square().mean()
                totals["psnr"] += float(-10 * error.log10())
                totals["lpips"] += float(self.lpips(shown, pixels))
                area += height * width
                _count(counts, drawn.indices)
            bits = sum(Use.of(seen).bits * float(seen.sum()) for seen in counts.values())
            means = {k: v / len(pictures) for k, v in totals.items()}
            points.append({"rate": name, "bpp": bits / area, **means})
        return points

    def samples(self, picture: Tensor) -> list[Tensor]:
        net: Any = self.ema.eval()
        part = middle(picture)
        device = next(net.parameters()).device
        pixels = pad_to(part[None].to(device).float() / 255, self.average.stride)
        found = [part.cpu()]
        for request in self.average.probes().values():
            drawn = net(pixels, request.to(device)).pixels[0, :, : part.shape[1], : part.shape[2]]
            found.append(drawn.float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu())
        return found

    def state(self) -> dict[str, Any]:
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shrunk": self.shrunk,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shrunk = bool(state["shrunk"])


def _count(counts: dict[int, Tensor], planes: Sequence[Tensor]) -> None:
    """Add how often each index occurs to the counts of each plane."""
    for place, indices in enumerate(planes):
        coded = indices[indices >= 0].cpu()
        size = 1 << max(int(coded.max()).bit_length(), 1) if len(coded) else 2
        seen = torch.bincount(coded, minlength=max(size, len(counts.get(place, ()))))
        old = counts.get(place, torch.zeros(0, dtype=torch.int64))
        counts[place] = seen + F.pad(old, (0, len(seen) - len(old)))
