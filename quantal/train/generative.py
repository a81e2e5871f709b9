"""The objective of codecs of codebooks: squared error, LPIPS and a patch discriminator.

The rate of each sample is drawn, not learned: which codebooks, and how many cells have finer
rungs. The discriminator (Isola et al. 2017; VQGAN, Esser et al. 2021) looks at pixels, and at the
features that LPIPS computes anyway, which learns sooner and costs little (Sauer et al. 2021,
"Projected GANs").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from quantal.codecs.training import GenerativeNet, pad_to
from quantal.entropy.quantisers import Use
from quantal.errors import ArgumentError
from quantal.train.objective import Objective
from quantal.train.perceptual import Lpips
from quantal.train.recipe import Phase, Recipe

__all__ = ["Critic", "Generative", "Taste"]


@dataclass(frozen=True)
class Taste:
    """What a recipe's `generative` section says.

    net: LPIPS' network, heads and backbone its files (backbone null: torchvision's download).
    pixel, perceptual, commitment, adversarial: weights of the parts of the loss. shrink_at: when
    smaller codebooks begin; adversarial_from: when the discriminator joins; critic_rate: its
    learning rate.
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
    critic_rate: float = 4e-4

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Taste:
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ArgumentError(f"generative: unknown keys {unknown}; known are {sorted(known)}")
        if "heads" not in values:
            raise ArgumentError("generative: `heads` is missing: LPIPS' file of weights")
        numbers = {f.name for f in fields(cls) if f.type == "float"}
        try:
            found: dict[str, Any] = {k: float(v) if k in numbers else v for k, v in values.items()}
            return cls(**found)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"generative: {error}") from error


class Critic(nn.Module):
    """Logits of patches: is this a photograph? One head looks at pixels, others at features."""

    def __init__(self, widths: Sequence[int], width: int = 64) -> None:
        super().__init__()

        def layer(inside: int, outside: int, size: int, stride: int = 1) -> nn.Module:
            return spectral_norm(nn.Conv2d(inside, outside, size, stride, size // 2))

        self.pixels = nn.Sequential(
            layer(3, width // 2, 5, 2),
            nn.LeakyReLU(0.2),
            layer(width // 2, width, 5, 2),
            nn.LeakyReLU(0.2),
            layer(width, width, 3),
            nn.LeakyReLU(0.2),
            layer(width, 1, 1),
        )
        self.heads = nn.ModuleList(
            nn.Sequential(
                layer(inside, width, 1),
                nn.LeakyReLU(0.2),
                layer(width, width, 3),
                nn.LeakyReLU(0.2),
                layer(width, 1, 1),
            )
            for inside in widths
        )

    def forward(self, pixels: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """pixels: [B, 3, H, W] in 0..1; features: of the same pictures. Maps of logits."""
        logits = [self.pixels(pixels * 2 - 1)]
        for head, map_ in zip(self.heads, features, strict=True):
            # Features of a layer are of about one size, whatever the picture.
            size = map_.detach().float().square().mean((1, 2, 3), keepdim=True).sqrt()
            logits.append(head(map_ / (size + 1e-3)))
        return logits


class Generative(Objective):
    """Of a GenerativeNet: one that draws pixels as a request says."""

    def __init__(
        self, net: GenerativeNet, ema: GenerativeNet, recipe: Recipe, device: torch.device
    ) -> None:
        super().__init__(net, ema)
        self.nets = (net, ema)
        self.taste = Taste.from_dict(recipe.generative)
        self.lpips = Lpips(self.taste.net, self.taste.heads, self.taste.backbone).to(device)
        self.critic = Critic(self.lpips.widths).to(device)
        self.optimiser = torch.optim.AdamW(
            self.critic.parameters(), lr=self.taste.critic_rate, betas=(0.5, 0.95)
        )
        self.half = False
        self.generator = torch.Generator()
        #: Weights that a run goes on from have their smaller codebooks already.
        self.shrunk = recipe.start_from is not None
        self.judging = False
        self._seen: tuple[tuple[Tensor, list[Tensor]], ...] = ()

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def prepare(self, phase: Phase, done: float) -> None:
        if done >= self.taste.shrink_at and not self.shrunk:
            self.shrunk = True
            self.nets[0].shrink()
        self.judging = done >= self.taste.adversarial_from and self.taste.adversarial > 0

    def losses(self, net: Any, pixels: Tensor) -> dict[str, Tensor]:
        taste = self.taste
        request = self.nets[0].draw_request(len(pixels), self.shrunk, self.generator)
        drawn = net(pixels, request.to(pixels.device))
        error = (drawn.pixels.float() - pixels).square().flatten(1).mean(1)
        # LPIPS' network looks on a grid of 4 pixels, synthesis draws on one: they mustn't agree.
        top, left = (int(n) for n in torch.randint(4, (2,), generator=self.generator))
        true, found = pixels[..., top:, left:], drawn.pixels[..., top:, left:]
        with torch.no_grad():
            known = self.lpips.features(true)
        seen = self.lpips.features(found)
        distance = self.lpips.distance(seen, known)
        loss = taste.pixel * error + taste.perceptual * distance
        loss = loss + taste.commitment * drawn.commitment
        parts = {"mse": error.mean(), "lpips": distance.mean(), "commit": drawn.commitment.mean()}
        if self.judging:
            self.critic.requires_grad_(False)
            logits = self.critic(found, seen)
            fooled = -torch.stack([one.float().mean() for one in logits]).mean()
            parts["fooled"] = fooled
            loss = loss + taste.adversarial * fooled
            self._seen = (
                (found.detach(), [one.detach() for one in seen]),
                (true, known),
            )
        self.half = torch.is_autocast_enabled(pixels.device.type)
        return {"loss": loss.mean(), **parts}

    def learn(self) -> None:
        """A step of the discriminator by the hinge loss, on what the last step drew."""
        if not self._seen:
            return
        (found, seen), (true, known) = self._seen
        self._seen = ()
        self.critic.requires_grad_(True)
        with torch.autocast(found.device.type, torch.bfloat16, enabled=self.half):
            fakes, reals = self.critic(found, seen), self.critic(true, known)
        loss = torch.stack(
            [
                F.relu(1 + fake.float()).mean() + F.relu(1 - real.float()).mean()
                for fake, real in zip(fakes, reals, strict=True)
            ]
        ).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if bool(torch.isfinite(loss)):
            nn.utils.clip_grad_norm_(self.critic.parameters(), 1.0)
            self.optimiser.step()

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Tensor]) -> list[dict[str, Any]]:
        """bpp: by the entropy of the indices alone, without any context."""
        net = self.nets[1].eval()
        device = next(net.parameters()).device
        points = []
        for name, request in net.probes().items():
            totals = {"psnr": 0.0, "lpips": 0.0}
            bits = area = 0.0
            counts: dict[int, Tensor] = {}
            for picture in pictures:
                pixels = picture[None].to(device).float() / 255
                height, width = pixels.shape[-2:]
                drawn = net(pad_to(pixels, net.stride), request.to(device))
                shown = drawn.pixels[..., :height, :width].float().clamp(0, 1)
                error = (shown.mul(255).round() / 255 - pixels).square().mean()
                totals["psnr"] += float(-10 * error.log10())
                totals["lpips"] += float(self.lpips(shown, pixels))
                area += height * width
                for place, indices in enumerate(drawn.indices):
                    coded = indices[indices >= 0].cpu()
                    size = 1 << max(int(coded.max()).bit_length(), 1) if len(coded) else 2
                    seen = torch.bincount(coded, minlength=max(size, len(counts.get(place, ()))))
                    old = counts.get(place, torch.zeros(0, dtype=torch.int64))
                    counts[place] = seen + F.pad(old, (0, len(seen) - len(old)))
            for seen in counts.values():
                bits += Use.of(seen).bits * float(seen.sum())
            means = {k: v / len(pictures) for k, v in totals.items()}
            points.append({"rate": name, "bpp": bits / area, **means})
        return points

    def state(self) -> dict[str, Any]:
        return {
            "critic": self.critic.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shrunk": self.shrunk,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shrunk = bool(state["shrunk"])
