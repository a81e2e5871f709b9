"""The objective of predicted frames: rate and distortion of chains of frames.

Each chain has a rate of its own and goes on from step to step with the codec's own reconstructions,
so that the network learns on references as it will meet them, far into a chain; no gradient passes
from frame to frame. The transforms are those of a picture codec and are not trained. The distortion
is measured on the latents, weighted by how much an error of each channel changes real pictures.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.video.net import VideoNet
from quantal.entropy.curves import rate_lambda
from quantal.entropy.models.predicted import Predicted
from quantal.entropy.rates import LAMBDA_RANGE, RATE_INDICES
from quantal.errors import ArgumentError
from quantal.team import team
from quantal.train.objectives.base import Objective, middle
from quantal.train.recipe import Phase
from quantal.train.sequences import SEARCH_RATES, Advance, Clip
from quantal.transforms.warp import warp

__all__ = ["Chains", "Prediction", "PredictionSettings", "Replay"]

_LAMBDA_MIDDLE = math.sqrt(LAMBDA_RANGE[0] * LAMBDA_RANGE[1])
_QUARTERS = 4
#: The fraction of a turn by which rates of successive chains differ: they fill the range evenly.
_GOLDEN = (math.sqrt(5) - 1) / 2
#: An intra frame is coded at up to this many positions above its chain.
_INTRA_ABOVE = 12.0
#: Channels are weighed by so many passes, at this position on the rate axis.
_NOISES, _WEIGHED_AT = 8, 30.0
_STRIDE = 16
#: Frames that are kept to be learned from again.
_KEPT = 1024


@dataclass(frozen=True)
class PredictionSettings:
    """The `objective` section of a recipe.

    Attributes:
        quantise_from: the fraction of the run from which scale networks are rounded.
        evaluation_rates: positions on the rate axis, 0..63, at which evaluations measure.
        intra_above: positions that intra frames are coded above predicted ones in evaluations.
        replay: how many frames of earlier steps a step learns from again, for each new one.
    """

    quantise_from: float = 0.6
    evaluation_rates: tuple[int, ...] = (8, 20, 32, 44)
    intra_above: float = 6.0
    replay: int = 0

    def __post_init__(self) -> None:
        if self.replay < 0:
            raise ArgumentError(f"replay is {self.replay}, expected 0 or more")
        if any(not 0 <= rate < RATE_INDICES for rate in self.evaluation_rates):
            raise ArgumentError(f"evaluation_rates are 0..63, not {[*self.evaluation_rates]}")


class Chains:
    """Reconstructions of several chains of frames.

    Args:
        picture: the networks of the picture codec.
        motion: whether frames are predicted from the motion-compensated frame before.
    """

    def __init__(self, picture: PyramidNet, motion: bool) -> None:
        self.picture, self.motion = picture, motion
        self.unit = synthesis_unit(picture)
        self.rate = self.pixels = self.y = self.symbols = torch.zeros(0)
        self.begun = torch.zeros(0, dtype=torch.bool)

    def analyse(self, frames: Tensor) -> Tensor:
        """Return latents of frames [n, 3, H, W], in units of the synthesis."""
        return self.unit * given(self.picture.analysis, frames)

    @torch.no_grad()
    def begin(
        self, places: Tensor, frames: Tensor, rate: Tensor, intra: Tensor, count: int
    ) -> None:
        """Code the first frames of some chains.

        Args:
            places: which, int64 [n].
            frames: [n, 3, H, W] in 0..1.
            rate: positions [n] at which their other frames will be coded.
            intra: positions [n] at which the first ones are.
            count: of all chains.
        """
        if not len(places):
            return
        y = given(self.picture.analysis, frames)
        y_hat = self.picture.entropy(y, intra).y_hat
        if len(self.rate) != count:
            self.rate = rate.new_zeros(count)
            self.pixels = frames.new_zeros(count, *frames.shape[1:])
            self.y = y.new_zeros(count, *y.shape[1:])
            self.symbols = torch.zeros_like(self.y)
            self.begun = torch.ones_like(self.rate, dtype=torch.bool)
        self.begun[places] = True
        self.rate[places] = rate
        self.y[places] = y_hat
        self.symbols[places] = 0.0
        if self.motion:
            self.pixels[places] = given(self.picture.synthesis, y_hat).clamp_(0, 1)

    @torch.no_grad()
    def condition(self, field: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the next frames are coded given: see PredictedModel."""
        if not self.motion:
            still = uncoded_latents(self.symbols) & ~self.begun[:, None, None, None]
            return self.y, self.symbols, still.float()
        predicted = self.analyse(warp(self.pixels, field))
        still = still_latents(field)
        predicted = torch.where(still, self.y, predicted)
        return predicted, moved(self.symbols, field), still.float()

    @torch.no_grad()
    def advance(self, found: Predicted) -> None:
        """Take over the reconstructions of the next frames."""
        self.y, self.symbols = found.y_hat, found.symbols
        self.begun.zero_()
        if self.motion:
            self.pixels = given(self.picture.synthesis, found.y_hat).clamp_(0, 1)


class Replay:
    """Frames of earlier steps with their conditions, to be learned from again.

    Transforms and motion compensation, most of the work of a step, are done already. The conditions
    are those that earlier states of the network left, about as good as those of the present one.

    Args:
        most: frames that are kept; the oldest make room.
    """

    def __init__(self, most: int) -> None:
        self._frames: deque[tuple[Tensor, ...]] = deque(maxlen=most)

    def add(self, *parts: Tensor) -> None:
        """Keep frames.

        Args:
            parts: what belongs to them, each [B, ...].
        """
        halves = [part.half() for part in parts]
        frames = list(zip(*halves, strict=True))
        if self._frames and self._frames[0][0].shape != frames[0][0].shape:
            self._frames.clear()
        self._frames.extend(frames)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return parts of `count` random frames, fewer only if fewer are kept; float32."""
        chosen = torch.randperm(len(self._frames), generator=generator)[:count].tolist()
        frames = [self._frames[place] for place in chosen]
        return tuple(torch.stack(part).float() for part in zip(*frames, strict=True))


def given(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a transform that is not trained; networks are fastest in inference mode."""
    with torch.inference_mode():
        result = transform(x)
    return result.clone()


def moved(symbols: Tensor, field: Tensor) -> Tensor:
    """Move symbols [B, C, h, w] by a field [B, 2, 2h, 2w], in whole latents.

    A latent takes the vector of the upper left one of its four blocks, rounded to whole latents.
    """
    height, width = symbols.shape[-2:]
    unit = _STRIDE * _QUARTERS
    steps = torch.div(field[:, :, ::2, ::2].int() + unit // 2, unit, rounding_mode="floor")
    rows = torch.arange(height, device=symbols.device)[:, None]
    columns = torch.arange(width, device=symbols.device)
    x = (columns + steps[:, 0]).clamp_(0, width - 1)
    y = (rows + steps[:, 1]).clamp_(0, height - 1)
    source = (y * width + x).flatten(1).long()
    flat = symbols.flatten(2)
    return flat.gather(2, source[:, None].expand(-1, flat.shape[1], -1)).view_as(symbols)


def still_latents(field: Tensor) -> Tensor:
    """Return which latents stand still, bool [B, 1, h, w], for a field [B, 2, 2h, 2w].

    No vector of theirs or of a latent beside them moves.
    """
    moving = (field != 0).any(1, keepdim=True).float()
    return _apart(F.max_pool2d(moving, 2))


def uncoded_latents(symbols: Tensor) -> Tensor:
    """Return which latents have no symbol, and none beside them, bool [B, 1, h, w].

    Args:
        symbols: of the frame before [B, C, h, w].
    """
    return _apart((symbols != 0).any(1, keepdim=True).float())


def _apart(places: Tensor) -> Tensor:
    """Return where neither a place nor one of the eight around it is 1, bool [B, 1, h, w]."""
    return F.max_pool2d(places, 3, stride=1, padding=1) == 0


class Prediction(Objective):
    """Rate and distortion of predicted frames, averaged over chains.

    Args:
        net: the network that is trained.
        ema: its average.
        settings: of the objective.
        picture: the networks of the picture codec.
    """

    def __init__(
        self, net: nn.Module, ema: nn.Module, settings: PredictionSettings, picture: PyramidNet
    ) -> None:
        super().__init__(net, ema)
        self.settings, self.picture = settings, picture
        self.chains = Chains(picture, _network(net).config.motion)
        self.weights: Tensor | None = None
        self.replay = Replay(_KEPT)
        self.generator = torch.Generator()
        self._turn = 0.0

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)
        self._turn = float(torch.rand((), generator=self.generator))

    def prepare(self, phase: Phase, done: float) -> None:
        for net in (self.net, self.ema):
            entropy = _network(net).entropy
            entropy.quantise(done >= self.settings.quantise_from)
            entropy.price_rounded(phase.rounded)

    def losses(self, net: Any, pixels: Advance) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the loss and its parts, means over the chains."""
        frames, count = pixels.frames, len(pixels.frames)
        if self.weights is None:
            self.weights = channel_weights(self.picture, frames, self.generator)
        with torch.autocast(frames.device.type, enabled=False):
            before, begin = team().place(len(pixels.begins))
            rows = slice(before, before + len(pixels.begins))
            rate = self._rates(begin)[rows].to(frames.device)
            above = torch.rand(begin, generator=self.generator)[rows].to(frames.device)
            intra = (rate + _INTRA_ABOVE * above).clamp_max(RATE_INDICES - 1)
            self.chains.begin(pixels.begins, pixels.first, rate, intra, count)
            fields = nearest(pixels.fields, self.chains.rate)
            new = (self.chains.analyse(frames), self.chains.rate.clone())
            y, rate, *condition = self._with_earlier(*new, *self.chains.condition(fields))
        found = net.entropy.predict(y, rate, *condition)
        area = frames.shape[-1] * frames.shape[-2]
        with torch.autocast(frames.device.type, enabled=False):
            own = Predicted(found.y_hat[:count].detach(), found.symbols[:count], {})
            self.chains.advance(own)
            wrong = found.y_hat - y
            error = (wrong.square() * self.weights).flatten(1).sum(1) / (3 * area)
        lam = rate_lambda(rate)
        bpp = {f"{name}_bpp": bits / area for name, bits in found.bits.items()}
        cost = lam * 255**2 * error
        for part in bpp.values():
            cost = cost + part
        loss = (cost * (_LAMBDA_MIDDLE / lam).sqrt()).mean()
        parts = {name: part.mean() for name, part in bpp.items()}
        return {"loss": loss, "distortion": error.mean(), **parts}

    def _with_earlier(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Return parts of new frames [B, ...], followed by those of frames to be replayed."""
        if not self.settings.replay:
            return parts
        count = len(parts[0])
        self.replay.add(*parts)
        earlier = self.replay.draw(count * self.settings.replay, self.generator)
        return tuple(map(torch.cat, zip(parts, earlier, strict=True)))

    def _rates(self, count: int) -> Tensor:
        """Return the rates of new chains, evenly spread over the range."""
        turns = self._turn + _GOLDEN * torch.arange(1, count + 1)
        self._turn = (self._turn + _GOLDEN * count) % 1
        return turns.remainder(1) * (RATE_INDICES - 1)

    def state(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.weights = state["weights"]

    @torch.no_grad()
    def evaluate(self, pictures: Sequence[Clip]) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return bits per pixel (estimated, without vectors) and mean PSNR of predicted frames."""
        points = []
        for position in self.settings.evaluation_rates:
            bpp = psnr = 0.0
            count = 0
            for clip in pictures:
                for number, (drawn, bits) in enumerate(self._predicted(clip, position), 1):
                    wrong = drawn - clip.frames[number].float()
                    psnr += float(10 * torch.log10(255**2 / wrong.square().mean()))
                    bpp += bits / clip.frames[0, 0].numel()
                    count += 1
            count = max(count, 1)
            points.append({"rate": position, "bpp": bpp / count, "psnr": psnr / count})
        return points

    def samples(self, picture: Clip) -> list[Tensor]:
        """Return the middle of the last frame, and of what is predicted of it."""
        found = []
        for position in sorted(self.settings.evaluation_rates):
            found += [drawn for drawn, _ in self._predicted(picture, position)][-1:]
        frames = [picture.frames[-1], *(each.to(torch.uint8) for each in found)] if found else []
        return [middle(each) for each in frames]

    def _predicted(self, clip: Clip, position: float) -> Iterator[tuple[Tensor, float]]:
        """Yield every frame but the first [3, H, W], in whole levels, and its bits."""
        net = _network(self.ema).eval()
        chains = Chains(self.picture, net.config.motion)
        frames = clip.frames.float() / 255
        rate = torch.tensor([float(position)])
        intra = (rate + self.settings.intra_above).clamp_max(RATE_INDICES - 1)
        if len(frames) > 1:
            chains.begin(torch.zeros(1, dtype=torch.int64), frames[:1], rate, intra, 1)
        for number in range(1, len(frames)):
            field = torch.from_numpy(clip.forward[:, number].copy())[:, None]
            y = chains.analyse(frames[number : number + 1])
            condition = chains.condition(nearest(field, rate))
            found = net.entropy.predict(y, rate, *condition)
            chains.advance(found)
            drawn = self.picture.synthesis(found.y_hat)[0].clamp(0, 1).mul(255).round()
            yield drawn, sum(float(bits) for bits in found.bits.values())


def _network(net: nn.Module) -> VideoNet:
    if not isinstance(net, VideoNet):
        raise ArgumentError(f"{type(net).__name__} has no predicted frames")
    return net


def nearest(fields: Tensor, rate: Tensor) -> Tensor:
    """Return, of the fields [R, B, 2, h, w] at SEARCH_RATES, those nearest to the rates [B]."""
    searched = torch.tensor(SEARCH_RATES, device=rate.device) / _QUARTERS
    choice = (rate[:, None] - searched).abs().argmin(1)
    return fields[choice, torch.arange(len(rate), device=rate.device)]


@torch.no_grad()
def synthesis_unit(picture: PyramidNet) -> Tensor:
    """Return what a unit of each latent is to the synthesis, [1, M, 1, 1].

    It is that of codecs.video.picture.synthesis_unit(), of networks in training.
    """
    entropy, highest = picture.entropy, torch.full((1,), RATE_INDICES - 1.0)
    highest = highest.to(entropy.log_gain.anchors.device)
    unit: Tensor = entropy.gain(highest) * entropy.ungain(highest)
    return unit


def channel_weights(picture: PyramidNet, frames: Tensor, generator: torch.Generator) -> Tensor:
    """Return the squared change of a picture by a unit of each latent channel [M, 1, 1].

    The squared length of a column of the Jacobian matrix of the synthesis is the expected square of
    what a backward pass makes of white noise, so a few passes measure all of them, at latents as
    they are coded. Errors of quantisation are no white noise: all weights are scaled so that they
    add up to what such errors really change.

    Args:
        picture: the networks of the picture codec.
        frames: real pictures [B, 3, H, W] in 0..1.
        generator: of the noise.
    """
    device = frames.device
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        rate = torch.full((len(frames),), _WEIGHED_AT, device=device)
        entropy = picture.entropy
        with torch.no_grad():
            y = picture.analysis(frames)
            coded = entropy(y, rate).y_hat
            wrong = coded - y * synthesis_unit(picture)
        y_hat = coded.clone().requires_grad_(True)
        drawn = picture.synthesis(y_hat)
        squares = torch.zeros(coded.shape[1], device=device)
        for _ in range(_NOISES):
            shape = team().size * len(drawn), *drawn.shape[1:]
            noise = team().own(torch.randn(shape, generator=generator)).to(device)
            (passed,) = torch.autograd.grad(drawn, y_hat, noise, retain_graph=True)
            squares += passed.square().mean((0, 2, 3)) / _NOISES
        weights = team().mean(squares)[:, None, None]
        really = team().mean((drawn.detach() - frames).square().sum())
        return weights * (really / team().mean((wrong.square() * weights).sum()))
