"""The networks of codec `tokens`: a tile of 256x256 pixels as a short sequence of binary tokens.

A tile's features are mixed over all positions into coefficients, which successive signs describe; a
token is 16 signs (binary latents as in Instella, 2025). Signs are ordered by importance, and a
random tail of the sequence is dropped in training (One-D-Piece's tail token drop, Miwa et al.
2025), so that any prefix is a picture.

The start is an orthonormal transform: a DCT over positions of the KLT's features, with signs
assigned greedily by variance.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quantal.codecs.output import TrainingOutput
from quantal.codecs.sizes import Sizes
from quantal.codecs.tokens.file import LAYOUT, ORDER
from quantal.codecs.tokens.walk import GROUP, TILE, TOKEN_BITS
from quantal.codecs.weights import NET, WeightsFile, renamed, sound_weights
from quantal.entropy.curves import RateCurve
from quantal.entropy.models.base import Shape
from quantal.entropy.rates import ANCHORS, RATE_INDICES
from quantal.entropy.rounding import clamp_through
from quantal.errors import ArgumentError
from quantal.layers import AttentionBlock, Unfilled
from quantal.transforms import PyramidAnalysis, PyramidSynthesis, initialise_with_klt

__all__ = [
    "STORED",
    "Keep",
    "TokenConfig",
    "TokenNet",
    "indices_of",
    "joined",
    "signs_of",
]

#: What layers are called in files, where that differs from the code.
STORED = {"norm1": "before", "qkv": "ask", "proj": "answer", "norm2": "between"}
#: The mean magnitude of a normal variable, and the variance of its magnitude.
_MEAN_MAGNITUDE, _REST = math.sqrt(2 / math.pi), 1 - 2 / math.pi


@dataclass(frozen=True)
class TokenConfig(Sizes):
    """Sizes of the networks.

    Attributes:
        channels: widths at 1/4, 1/8, 1/16.
        analysis_blocks: of the analysis at each level.
        synthesis_blocks: of the synthesis at each level.
        tokens: of a tile.
        encoder_blocks: of attention over all positions of a tile.
        decoder_blocks: likewise.
        heads: of attention.
    """

    channels: tuple[int, ...] = (64, 128, 256)
    analysis_blocks: tuple[int, ...] = (1, 2, 1)
    synthesis_blocks: tuple[int, ...] = (3, 4, 3)
    tokens: int = 128
    encoder_blocks: int = 2
    decoder_blocks: int = 3
    heads: int = 8

    def __post_init__(self) -> None:
        sizes = (self.channels, self.analysis_blocks, self.synthesis_blocks)
        if any(len(s) != 3 for s in sizes) or self.heads < 1 or self.channels[-1] % self.heads:
            raise ArgumentError(f"tokens need three levels, and heads that divide channels: {self}")
        if not 1 <= self.tokens <= 128:
            raise ArgumentError(f"a tile has 1 to 128 tokens, not {self.tokens}")


@dataclass(frozen=True)
class Keep:
    """The request of a training step.

    Attributes:
        tokens: how many tokens of each tile are kept [B].
    """

    tokens: Tensor

    def to(self, device: torch.device) -> Keep:
        return Keep(self.tokens.to(device))

    def rows(self, rows: range) -> Keep:
        """Return the part for some of the samples."""
        return Keep(self.tokens[rows.start : rows.stop])


def _dct(side: int) -> Tensor:
    """Return the two-dimensional DCT-II of side x side positions [side^2, side^2], orthonormal."""
    place = torch.arange(side) + 0.5
    rows = torch.cos(torch.arange(side)[:, None] * place * math.pi / side) * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ux,vy->uvxy", rows, rows).reshape(side * side, side * side)


class TokenNet(nn.Module):
    """All networks of `tokens`."""

    stride = TILE
    start_size = TILE
    layout = LAYOUT
    config_type = TokenConfig

    def __init__(self, config: TokenConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels[-1]
        self.analysis = PyramidAnalysis(config.channels, config.analysis_blocks)
        self.synthesis = PyramidSynthesis(config.channels, config.synthesis_blocks)
        self.side = TILE // self.analysis.stride
        places = self.side**2
        self.mix = nn.Parameter(_dct(self.side))
        self.unmix = nn.Parameter(_dct(self.side))
        self.encoder = nn.Sequential(
            *(AttentionBlock(width, config.heads) for _ in range(config.encoder_blocks))
        )
        self.decoder = nn.Sequential(
            *(AttentionBlock(width, config.heads) for _ in range(config.decoder_blocks))
        )
        self.encoder_place = nn.Parameter(torch.zeros(places, width))
        self.decoder_place = nn.Parameter(torch.zeros(places, width))
        #: Features of how much of the sequence the decoder has.
        self.kept = RateCurve(torch.zeros(ANCHORS, width))
        bits = config.tokens * TOKEN_BITS
        #: The value of each sign, in the coefficients' own units, and the unit of each coefficient.
        self.amplitude = nn.Parameter(torch.ones(bits))
        self.coefficient: Tensor
        self.level: Tensor
        self.unit: Tensor
        self.register_buffer("coefficient", torch.arange(bits) % (places * width))
        self.register_buffer("level", torch.zeros(bits, dtype=torch.int64))
        self.register_buffer("unit", torch.ones(places, width))

    @classmethod
    def of(cls, file: WeightsFile) -> TokenNet:
        """Return the networks of a weights file; see backends.torch.CodecNet."""
        with sound_weights(file):
            with Unfilled():
                net = cls(TokenConfig.from_dict(file.sizes()))
            own = renamed(list(net.state_dict()), STORED).items()
            names = {NET + stored: name for name, stored in own}
            state = {}
            for stored, value in file.arrays.items():
                if stored.startswith(NET):
                    name = names.get(stored, stored)
                    state[name] = torch.from_numpy(value.astype("i8" if name in ORDER else "f4"))
            net.load_state_dict(state, assign=True)
        net.requires_grad_(False)
        return net.eval()

    def transforms(self) -> dict[str, nn.Module]:
        """Return the transforms by name; see backends.torch.CodecNet."""
        return {"analysis": self.analysis, "synthesis": self.synthesis}

    def stored_names(self) -> dict[str, str]:
        """Return what files call each tensor; see backends.torch.CodecNet."""
        names = renamed(list(self.state_dict()), STORED)
        return {name: NET + stored for name, stored in names.items()}

    def shapes(self) -> dict[str, list[Shape]]:
        """Return what the networks take; see backends.torch.CodecNet."""
        channels = self.config.channels[-1]
        tile: Shape = (channels, self.side, self.side)
        return {
            "analysis": [(3, "16h", "16w")],
            "coefficients": [tile],
            "features": [tile],
            "synthesis": [(channels, "h", "w")],
        }

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        """Return the networks by name; see tokens.codec."""

        def features(values: Tensor, tokens: Tensor) -> Tensor:
            return self.features(values.flatten(2).transpose(1, 2), tokens)

        return {
            "analysis": lambda pixels, rate: self.analysis(pixels / 255),
            "coefficients": lambda tiles, rate: self.coefficients(tiles),
            "features": features,
            "synthesis": lambda y_hat, rate: self.synthesis(y_hat) * 255,
        }

    # -- the start ---------------------------------------------------------------------------

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of pictures [B, 3, 256, 256] in 0..1, signs assigned by variance."""
        initialise_with_klt(self.analysis, self.synthesis, pictures)
        found = torch.cat([self._mixed(self.analysis(part)) for part in torch.split(pictures, 8)])
        variance = found.double().square().mean(0).flatten()
        heap = [(-float(v), n, 0) for n, v in enumerate(variance) if v > 0]
        heapq.heapify(heap)
        for bit in range(len(self.amplitude)):
            worth, place, level = heapq.heappop(heap)
            self.coefficient[bit], self.level[bit] = place, level
            self.amplitude[bit] = math.sqrt(-worth) * _MEAN_MAGNITUDE
            heapq.heappush(heap, (worth * _REST, place, level + 1))
        # Coefficients above what the last sign explains come near 1, those below stay small.
        least = math.sqrt(-heap[0][0])
        self.unit.copy_((variance.sqrt() + least).view_as(self.unit).float())
        self.amplitude.div_(self.unit.flatten()[self.coefficient])

    def _mixed(self, tiles: Tensor) -> Tensor:
        """Mix features of tiles [T, C, h, w] over positions: coefficients [T, positions, C]."""
        return torch.einsum("np,bcp->bnc", self.mix, tiles.float().flatten(2))

    # -- pixels, coefficients, signs ---------------------------------------------------------

    def tiled(self, features: Tensor) -> Tensor:
        """Return features [B, C, h, w] of whole tiles, tile by tile: [T, C, 16, 16]."""
        return _cut(features, self.side)

    def coefficients(self, tiles: Tensor) -> Tensor:
        """Map features of tiles [T, C, 16, 16] to coefficients in their units [T, positions, C]."""
        return self.encoder(self._mixed(tiles) / self.unit + self.encoder_place).float()

    def signs(self, coefficients: Tensor) -> Tensor:
        """Return all successive signs of coefficients: bool [B, bits]."""
        flat = coefficients.detach().flatten(1)
        rest = flat.clone()
        found = torch.zeros(len(flat), len(self.amplitude), dtype=torch.bool, device=flat.device)
        for level in range(int(self.level.max()) + 1):
            bits = torch.nonzero(self.level == level)[:, 0]
            places = self.coefficient[bits]
            sign = rest[:, places] > 0
            found[:, bits] = sign
            worth = self.amplitude.detach()[bits]
            rest[:, places] -= torch.where(sign, worth, -worth)
        return found

    def valued(self, signs: Tensor, tokens: Tensor) -> Tensor:
        """Map signs bool [B, bits], of which `tokens` [B] tokens are kept, to coefficients."""
        place = torch.arange(len(self.amplitude), device=signs.device)
        there = place < (tokens * TOKEN_BITS)[:, None]
        worth = torch.where(signs, self.amplitude, -self.amplitude) * there
        flat = worth.new_zeros(len(signs), self.unit.numel())
        return flat.index_add(1, self.coefficient, worth).view(len(signs), *self.unit.shape)

    @torch.no_grad()
    def _reach(self) -> Tensor:
        """Return the largest magnitude that signs can express, per coefficient [positions, C]."""
        flat = torch.full_like(self.unit, 1e-6).flatten()
        return flat.index_add(0, self.coefficient, self.amplitude.abs()).view_as(self.unit)

    def features(self, values: Tensor, tokens: Tensor) -> Tensor:
        """Map decoded coefficients of `tokens` [B] tokens to features [B, C, 16, 16]."""
        position = tokens.float().clamp_min(1).log2() / 7 * (RATE_INDICES - 1)
        placed = values + self.decoder_place + self.kept(position)[:, None]
        coefficients = self.decoder(placed) * self.unit
        features = torch.einsum("np,bnc->bcp", self.unmix, coefficients.float())
        return features.unflatten(2, (self.side, self.side))  # type: ignore[no-untyped-call]

    def forward(self, pixels: Tensor, request: Keep) -> TrainingOutput:
        """Code pictures for training.

        Args:
            pixels: [B, 3, H, W] in 0..1, whole tiles.
            request: how many tokens of each tile are kept.
        """
        batch, _, height, width = pixels.shape
        coefficients = self.coefficients(self.tiled(self.analysis(pixels)))
        tokens = request.tokens.repeat_interleave(len(coefficients) // batch)
        # Clipped to what signs can express: otherwise coefficients would grow without end.
        reach = self._reach()
        coefficients = clamp_through(coefficients / reach, -1.0, 1.0) * reach
        signs = self.signs(coefficients)
        values = self.valued(signs, tokens)
        there = values.detach() != 0
        error = ((coefficients - values) * there * self.unit).square().flatten(1).sum(1)
        # The gradient passes straight through signs; their values have one of their own.
        passed = values + (coefficients - coefficients.detach()) * there
        plane = joined(self.features(passed, tokens), height // TILE, width // TILE)
        loss = error.view(batch, -1).mean(1) / (3 * TILE * TILE)
        return TrainingOutput(
            self.synthesis(plane),
            losses={"commitment": loss},
            indices=self._indices(signs, tokens),
        )

    def _indices(self, signs: Tensor, tokens: Tensor) -> list[Tensor]:
        found = indices_of(signs)
        place = torch.arange(self.config.tokens, device=signs.device)
        absent = place[:, None] >= tokens[:, None, None]
        return [found.masked_fill(absent, -1)]

    # -- for training runs -------------------------------------------------------------------

    def draw_request(self, count: int, books: bool, generator: torch.Generator) -> Keep:
        """Return a random request of `count` tiles: short prefixes as often as long ones."""
        least = math.log2(4)
        most = math.log2(self.config.tokens)
        place = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        tokens = 2 ** (least + (most + 0.5 - least) * place)
        return Keep(tokens.round().clamp(1, self.config.tokens))

    def probes(self) -> dict[str, Keep]:
        """Return requests of a single sample for the evaluation of a training run."""
        most = self.config.tokens
        return {
            f"{part} tokens": Keep(torch.tensor([float(part)]))
            for part in (max(most // 4, 1), max(most // 2, 1), most)
        }

    def shrink(self) -> None:
        """Do nothing: there is no codebook that could become smaller."""


def _cut(features: Tensor, side: int) -> Tensor:
    """Return features [B, C, H, W] as tiles [T, C, side, side], row by row, picture by picture."""
    batch, channels, height, width = features.shape
    parts = features.reshape(batch, channels, height // side, side, width // side, side)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, side, side)


def joined(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """Reverse _cut(): map [B * rows * columns, C, h, w] to [B, C, rows * h, columns * w]."""
    _, channels, height, width = tiles.shape
    parts = tiles.reshape(-1, rows, columns, channels, height, width)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, rows * height, columns * width)


def indices_of(signs: Tensor) -> Tensor:
    """Return signs bool [B, bits] as indices int64 [B, tokens, 2]."""
    place = 1 << torch.arange(GROUP, device=signs.device)
    return (signs.view(len(signs), -1, TOKEN_BITS // GROUP, GROUP) * place).sum(3)


def signs_of(indices: Tensor) -> Tensor:
    """Reverse indices_of()."""
    place = torch.arange(GROUP, device=indices.device)
    return ((indices[..., None] >> place) & 1).bool().flatten(1)
