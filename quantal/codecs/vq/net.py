"""The networks of codec `vq`: a pyramid of features, and a ladder of codebooks that describe them.

Three rungs, coarse to fine: a cell of 32x32 pixels has one index, where it pays four more (one for
each 16x16), and where that pays sixteen more (one for each 8x8). Each rung codes the difference
between the features and those that the synthesis has drawn from the coarser rungs: McQuic's cascade
(Zhu et al. 2022) over strides, with the granularity chosen by content as in Control-GIC (Li et al.
2025).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.output import TrainingOutput
from quantal.codecs.sizes import Sizes
from quantal.codecs.vq.file import LAYOUT
from quantal.codecs.vq.maps import CELL, RUNGS
from quantal.codecs.weights import NET, Array, WeightsFile, renamed, sound_weights
from quantal.entropy.curves import RateCurve
from quantal.entropy.models.base import Shape
from quantal.entropy.quantisers import VectorQuantiser
from quantal.entropy.rates import ANCHORS, RATE_INDICES
from quantal.errors import ArgumentError
from quantal.layers import GatedBlock, Unfilled
from quantal.transforms import (
    CENTRE,
    PyramidAnalysis,
    PyramidSynthesis,
    initialise_with_klt,
    principal_components,
)

__all__ = [
    "STORED",
    "TRAINING_STATE",
    "Request",
    "Rung",
    "VqConfig",
    "VqNet",
    "cell_energy",
    "index_bpp",
    "spread",
]

#: State of a VectorQuantiser that is not stored; it serves training alone.
TRAINING_STATE = (".counts", ".sums")
#: What layers are called in files, where that differs from the code.
STORED = {"rate_offset": "told"}
#: Entries of a codebook: the stream of the widest row of cells must fit its length of two bytes.
MOST = 2048
#: Decay of each rung's moving averages: a batch has 16 times fewer vectors at 1/32 than at 1/8.
_DECAYS = (0.998, 0.994, 0.99)
#: Range of bits per pixel that a refiner distinguishes, in octaves: 0.004 to 0.25.
_LOWEST_OCTAVE, _OCTAVES = -8.0, 6.0
#: Vectors that a codebook's start is computed from.
_SAMPLE = 32768


@dataclass(frozen=True)
class VqConfig(Sizes):
    """Sizes of the networks.

    Attributes:
        channels: widths at 1/4, 1/8, 1/16, 1/32.
        analysis_blocks: of the analysis at each level.
        synthesis_blocks: of the synthesis at each level.
        code_channels: of the vectors in codebooks.
        entries: of each rung's codebooks, largest first; a file of weights has all of them.
        refine_width: of the network that removes quantisation noise from features; 0 for none.
    """

    channels: tuple[int, ...] = (64, 128, 256, 256)
    analysis_blocks: tuple[int, ...] = (1, 2, 1, 1)
    synthesis_blocks: tuple[int, ...] = (3, 5, 4, 1)
    code_channels: int = 32
    entries: tuple[int, ...] = (1024, 512, 256, 64, 16)
    refine_width: int = 0

    def __post_init__(self) -> None:
        levels = RUNGS + 1
        sizes = (self.channels, self.analysis_blocks, self.synthesis_blocks)
        if any(len(s) != levels for s in sizes) or min(*self.channels, self.code_channels) < 1:
            raise ArgumentError(f"vq needs {levels} channels and counts of blocks: {self}")
        if list(self.entries) != sorted(set(self.entries), reverse=True):
            raise ArgumentError(f"codebooks have to become smaller: {self.entries}")
        if (
            not 1 <= len(self.entries) <= 16
            or not 2 <= min(self.entries) <= max(self.entries) <= MOST
        ):
            raise ArgumentError(
                f"a rung has 1 to 16 codebooks of 2 to {MOST} entries, not {self.entries}"
            )


@dataclass(frozen=True)
class Reach:
    """How far a network's results depend on their surroundings, in pixels."""

    reach: int


def reach_of(transform: PyramidAnalysis | PyramidSynthesis, *levels: int) -> Reach:
    """Return how far the blocks of some levels reach together."""
    return Reach(sum(int(transform.refines[level].reach) for level in levels))  # type: ignore[arg-type, misc]


@dataclass(frozen=True)
class Request:
    """The request of a training step.

    Attributes:
        books: which codebooks [B, 3], by their place in `entries`.
        shares: fractions of the cells that have the second rung, and of those that also have the
            third [B, 2].
    """

    books: Tensor
    shares: Tensor

    def to(self, device: torch.device) -> Request:
        return Request(self.books.to(device), self.shares.to(device))

    def rows(self, rows: range) -> Request:
        """Return the part for some of the samples."""
        part = slice(rows.start, rows.stop)
        return Request(self.books[part], self.shares[part])


class Rung(nn.Module):
    """One rung: codes the difference of features [B, C, h, w] and a prediction of them."""

    def __init__(
        self, channels: int, code_channels: int, entries: Sequence[int], decay: float
    ) -> None:
        super().__init__()
        self.meet = nn.Conv2d(2 * channels, channels, 1)
        self.sharpen = GatedBlock(channels)
        self.enter = nn.Conv2d(channels, code_channels, 1)
        self.leave = nn.Conv2d(code_channels, channels, 1)
        self.books = nn.ModuleList(VectorQuantiser(code_channels, size, decay) for size in entries)
        #: Takes the place of vectors that are not coded.
        self.absent = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def start_at(self, features: Tensor, prediction: Tensor) -> None:
        """Start as the KLT of the difference, and codebooks as its k-means."""
        channels = features.shape[1]
        unit = torch.eye(channels)
        self.meet.weight.copy_(torch.cat((unit, -unit), 1)[:, :, None, None])
        rows, _ = principal_components(features - prediction, self.enter.out_channels)
        self.enter.weight.copy_(rows[:, :, None, None])
        self.leave.weight.copy_(rows.T[:, :, None, None])
        for layer in (self.meet, self.enter, self.leave):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        codes = self.codes(features, prediction).permute(0, 2, 3, 1).flatten(0, 2)
        chosen = torch.randperm(len(codes))[:_SAMPLE]
        self.books[0].start_at(codes[chosen])  # type: ignore[operator]
        self.shrink()

    def shrink(self) -> None:
        """Restart the smaller codebooks as the k-means of the largest."""
        for book in list(self.books)[1:]:
            book.start_as(self.books[0])  # type: ignore[operator]

    def codes(self, features: Tensor, prediction: Tensor) -> Tensor:
        """Return the vectors to be quantised [B, D, h, w], float32."""
        met = self.meet(torch.cat((features, prediction), 1))
        return self.enter(self.sharpen(met)).float()

    def injected(self, codes: Tensor, where: Tensor | None) -> Tensor:
        """Return what a decoder adds to its features [B, C, h, w].

        Args:
            codes: vectors [B, D, h, w].
            where: which are coded, bool [B, h, w]; None: all.
        """
        added: Tensor = self.leave(codes)
        if where is None:
            return added
        absent = self.absent[:, None, None].to(added.dtype)
        return torch.where(where[:, None], added, absent)


class Refiner(nn.Module):
    """Remove some of the quantisation noise from features [B, C, h, w] in one pass, given the rate.

    A small stand-in for one-step diffusion decoders such as OSCAR (Guo et al. 2025) and RDEIC (Li
    et al. 2024), which map a rate to a noise level; it starts as the identity.
    """

    blocks = 3

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 1)
        self.rate_offset = RateCurve(torch.zeros(ANCHORS, width))
        self.denoise = nn.Sequential(*(GatedBlock(width) for _ in range(self.blocks)))
        self.leave = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    @property
    def reach(self) -> int:
        """Return how many positions in each direction a result depends on."""
        return self.blocks * GatedBlock.reach

    def forward(self, x: Tensor, bpp: Tensor) -> Tensor:
        """Map features [B, C, h, w] to features of the same shape.

        Args:
            x: features.
            bpp: bits per pixel [B], from index_bpp().
        """
        octave = (bpp.clamp_min(1e-6).log2() - _LOWEST_OCTAVE) / _OCTAVES
        offset = self.rate_offset(octave.clamp(0, 1) * (RATE_INDICES - 1))
        inside = self.enter(x) + offset[:, :, None, None]
        return x + self.leave(self.denoise(inside))  # type: ignore[no-any-return]


def index_bpp(entries: Tensor, shares: Tensor) -> Tensor:
    """Return the bits per pixel of indices, if all entries were equally likely.

    Args:
        entries: of the rungs' codebooks, coarsest first [..., R].
        shares: fractions of the cells that have each rung [..., R].
    """
    each = entries.float().log2() * 4.0 ** torch.arange(entries.shape[-1], device=entries.device)
    return (each * shares).sum(-1) / CELL**2


def cell_energy(codes: Tensor, rung: int) -> Tensor:
    """Return the energy that a rung's quantised codes [B, D, h, w] add to each cell [B, h', w']."""
    return F.avg_pool2d(codes.float().square().sum(1), 1 << rung) * 4.0**rung


def spread(cells: Tensor, rung: int) -> Tensor:
    """Repeat a value of every cell [..., h', w'] at every position of a rung [..., h, w]."""
    return cells.repeat_interleave(1 << rung, -2).repeat_interleave(1 << rung, -1)


class VqNet(nn.Module):
    """All networks of `vq`."""

    stride = CELL
    #: Pixels along a side of the crops that the start is computed from.
    start_size = 128
    layout = LAYOUT
    config_type = VqConfig

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = PyramidAnalysis(config.channels, config.analysis_blocks)
        self.synthesis = PyramidSynthesis(config.channels, config.synthesis_blocks)
        self.rungs = nn.ModuleList(
            Rung(config.channels[RUNGS - rung], config.code_channels, config.entries, decay)
            for rung, decay in enumerate(_DECAYS)
        )
        width = config.refine_width
        self.refiner = Refiner(config.channels[2], width) if width else None

    @classmethod
    def of(cls, file: WeightsFile) -> VqNet:
        """Return the networks of a weights file; see backends.torch.CodecNet."""
        with sound_weights(file):
            with Unfilled():
                net = cls(VqConfig.from_dict(file.sizes()))
            net.load_state_dict(net._state(file.arrays), assign=True)
        net.requires_grad_(False)
        return net.eval()

    def _state(self, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
        """Return the state that a file's arrays hold."""
        own = self.state_dict()
        names = {NET + stored: name for name, stored in renamed(list(own), STORED).items()}
        state = {
            names.get(name, name): torch.from_numpy(value.astype(np.float32))
            for name, value in arrays.items()
            if name.startswith(NET)
        }
        # State for training starts as if all entries had been used equally.
        for name in own:
            if name.endswith(".counts"):
                state[name] = torch.ones(own[name].shape)
            elif name.endswith(".sums"):
                codebook: Tensor = state[name.removesuffix("sums") + "codebook"]
                state[name] = codebook.clone()
        unknown = sorted(state.keys() ^ own.keys())
        if unknown:
            raise ValueError(f"its tensors are not those of its sizes: {', '.join(unknown[:3])}")
        return state

    def transforms(self) -> dict[str, Reach]:
        """Return how far networks reach, in pixels; see backends.torch.CodecNet."""
        analysis, synthesis = self.analysis, self.synthesis
        found = {
            "analysis.1": reach_of(analysis, 0, 1),
            "analysis.2": reach_of(analysis, 2),
            "analysis.3": reach_of(analysis, 3),
            "climbed.0": reach_of(synthesis, 0),
            "climbed.1": reach_of(synthesis, 1),
            "drawn": reach_of(synthesis, 1, 2, 3),
        }
        if self.refiner is not None:
            found["refined"] = Reach(self.refiner.reach * CELL // 2)
        return found

    def stored_names(self) -> dict[str, str]:
        """Return what files call each tensor; see backends.torch.CodecNet."""
        names = renamed(list(self.state_dict()), STORED)
        return {name: NET + stored for name, stored in names.items()}

    def shapes(self) -> dict[str, list[Shape]]:
        """Return what the networks take; see backends.torch.CodecNet."""
        channels, codes = self.config.channels, self.config.code_channels
        found: dict[str, list[Shape]] = {
            "analysis.1": [(3, "8h", "8w")],
            "analysis.2": [(channels[1], "2h", "2w")],
            "analysis.3": [(channels[2], "2h", "2w")],
            "drawn": [(channels[2], "h", "w"), (codes, "2h", "2w"), (1, "2h", "2w")],
            "refined": [(channels[2], "h", "w")],
        }
        for place in range(RUNGS):
            features: Shape = (channels[RUNGS - place], "h", "w")
            found[f"codes.{place}"] = [features, features]
            found[f"added.{place}"] = [(codes, "h", "w"), (1, "h", "w")]
            found[f"climbed.{place}"] = [features]
        return found

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        """Return the networks by name; see vq.painter."""

        def first(pixels: Tensor, rate: Tensor) -> Tensor:
            return self.analysis.step(1, self.analysis.step(0, pixels / 255 - CENTRE))

        def drawn(y_hat: Tensor, codes: Tensor, where: Tensor, rate: Tensor) -> Tensor:
            x = self.synthesis.step(1, y_hat.contiguous(memory_format=torch.channels_last))
            x = self.synthesis.step(2, x + self.rung(2).injected(codes, where[:, 0] > 0))
            return (self.synthesis.step(3, x) + CENTRE) * 255

        found: dict[str, Callable[..., Tensor]] = {"analysis.1": first, "drawn": drawn}
        for level in (2, 3):
            found[f"analysis.{level}"] = lambda x, rate, n=level: self.analysis.step(n, x)
        for place in range(RUNGS):
            found[f"codes.{place}"] = lambda x, prediction, rate, n=place: self.rung(n).codes(
                x, prediction
            )
        for place in range(RUNGS - 1):
            found[f"added.{place}"] = lambda codes, where, rate, n=place: self.rung(n).injected(
                codes, where[:, 0] > 0
            )
            found[f"climbed.{place}"] = lambda x, rate, n=place: self.synthesis.step(n, x)
        if self.refiner is not None:
            found["refined"] = self.refiner
        return found

    def rung(self, rung: int) -> Rung:
        """Return a rung; 0 is the coarsest."""
        found = self.rungs[rung]
        if not isinstance(found, Rung):
            raise ArgumentError(f"there is no rung {rung}")
        return found

    def book(self, rung: int, place: int) -> VectorQuantiser:
        """Return a rung's codebook by its place in `entries`."""
        found = self.rung(rung).books[place]
        if not isinstance(found, VectorQuantiser):
            raise ArgumentError(f"rung {rung} has no codebook {place}")
        return found

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of pictures [B, 3, H, W] in 0..1; H, W multiples of 32."""
        initialise_with_klt(self.analysis, self.synthesis, pictures)
        features = self.analysis.levels(pictures)
        drawn = torch.zeros_like(features[-1])
        for place in range(RUNGS):
            rung, level = self.rung(place), features[RUNGS - place]
            rung.start_at(level, drawn)
            codes = rung.codes(level, drawn)
            book = rung.books[0]
            found = book.decode(book.encode(codes))  # type: ignore[operator]
            drawn = self.synthesis.step(place, drawn + rung.injected(found, None))

    def draw_request(self, count: int, books: bool, generator: torch.Generator) -> Request:
        """Return a random request of `count` samples; `books`: also of smaller codebooks."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)

        # Equal cells are included: those of a picture's crops often are.
        shares = torch.stack((uniform(-0.3, 1.6), uniform(-0.6, 1.1)), 1).clamp(0, 1)
        chosen = torch.zeros(count, RUNGS, dtype=torch.int64)
        if books:
            some = torch.randint(len(self.config.entries), (count, RUNGS), generator=generator)
            chosen = torch.where(uniform(0, 1)[:, None] < 0.5, some, chosen)
        return Request(chosen, shares)

    def probes(self) -> dict[str, Request]:
        """Return requests of a single sample for the evaluation of a training run."""
        largest = torch.zeros(1, RUNGS, dtype=torch.int64)
        shares = {"coarse": (0.0, 0.0), "medium": (1.0, 0.0), "mixed": (1.0, 0.25)}
        return {name: Request(largest, torch.tensor([s])) for name, s in shares.items()}

    def shrink(self) -> None:
        """Restart all smaller codebooks as the k-means of the largest of their rung."""
        for place in range(RUNGS):
            self.rung(place).shrink()

    def forward(self, pixels: Tensor, request: Request) -> TrainingOutput:
        """Code pictures for training.

        Args:
            pixels: [B, 3, H, W] in 0..1, H and W multiples of 32.
            request: codebooks and shares of cells.

        Returns:
            Reconstructed pixels; the loss `commitment`, the mean square of the change by quantising
            and of what refining leaves of it, on the scale of a pixel's squared error; the indices
            of each rung.
        """
        x, loss, indices = self._ladder(pixels, request)
        drawn = self.synthesis.step(RUNGS, x) + CENTRE
        return TrainingOutput(drawn, losses={"commitment": loss}, indices=indices)

    def describe(self, pixels: Tensor, request: Request) -> list[Tensor]:
        """Return the indices of forward() alone."""
        return self._ladder(pixels, request)[2]

    def draw(
        self, codes: Sequence[Tensor], where: Sequence[Tensor | None], request: Request
    ) -> Tensor:
        """Draw pixels [B, 3, H, W].

        Args:
            codes: vectors of every rung [B, D, h, w].
            where: which of them are there, bool [B, h, w]; None: all.
            request: of the rate.
        """
        x = codes[0].new_zeros(())
        for place in range(RUNGS):
            x = self.synthesis.step(
                place, self.joined(place, x, codes[place], where[place], request)
            )
        return self.synthesis.step(RUNGS, x) + CENTRE

    def joined(
        self, place: int, x: Tensor, codes: Tensor, where: Tensor | None, request: Request
    ) -> Tensor:
        """Return the complete features of a rung: the prediction plus what vectors add."""
        x = x + self.rung(place).injected(codes, where)
        if place == 1 and self.refiner is not None:
            x = self.refiner(x, self._bpp(request))
        return x

    def _ladder(self, pixels: Tensor, request: Request) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the features below the last step of synthesis, the commitment and the indices."""
        features = self.analysis.levels(pixels)
        x = torch.zeros_like(features[-1])
        present: Tensor | None = None
        loss = pixels.new_zeros(len(pixels), dtype=torch.float32)
        found_indices = []
        for place in range(RUNGS):
            rung = self.rung(place)
            codes = rung.codes(features[RUNGS - place], x)
            found, indices = self._quantise(rung, codes, request.books[:, place])
            cells: Tensor | None = None
            if place:
                cells = _most(cell_energy(found, place), request.shares[:, place - 1], present)
                present = cells
            where = None if cells is None else spread(cells, place)
            error = (codes - found).square().sum(1)
            if self.training and rung.enter.weight.requires_grad:
                self._learn(rung, codes, indices, request.books[:, place], where)
            if where is not None:
                error = error * where
                indices = indices.masked_fill(~where, -1)
            pixels_each = 3 * (CELL >> place) ** 2
            found_indices.append(indices)
            passed = codes + (found - codes).detach()
            joined = self.joined(place, x, passed, where, request)
            if place == 1 and self.refiner is not None:
                # The target of refining is features without quantisation. Only the refiner
                # learns from this: a rung that did as well would grow without end.
                noisy = (x + rung.injected(passed, where)).detach()
                clean = (x + rung.leave(codes)).detach()
                refined = self.refiner(noisy, self._bpp(request))
                error = error + (refined - clean).float().square().sum(1)
            loss = loss + error.flatten(1).mean(1) / pixels_each
            x = self.synthesis.step(place, joined)
        return x, loss, found_indices

    def _bpp(self, request: Request) -> Tensor:
        """Return index_bpp() of a request's first two rungs [B]."""
        entries = torch.tensor(self.config.entries, device=request.books.device)
        second = request.shares[:, 0]
        shares = torch.stack((torch.ones_like(second), second), 1)
        return index_bpp(entries[request.books[:, :2]], shares)

    def _quantise(self, rung: Rung, codes: Tensor, books: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise codes [B, D, h, w] by each sample's codebook: entries, and indices [B, h, w]."""
        found = torch.empty_like(codes)
        indices = torch.empty(len(codes), *codes.shape[2:], dtype=torch.int64, device=codes.device)
        with torch.no_grad():
            for place in torch.unique(books).tolist():
                rows = books == place
                book = rung.books[place]
                chosen = book.encode(codes[rows])  # type: ignore[operator]
                found[rows] = book.decode(chosen)  # type: ignore[operator]
                indices[rows] = chosen[:, 0]
        return found, indices

    def _learn(
        self, rung: Rung, codes: Tensor, indices: Tensor, books: Tensor, where: Tensor | None
    ) -> None:
        for place, book in enumerate(rung.books):  # processes that share a batch need all of them
            rows = books == place
            part = None if where is None else where[rows]
            book.learn(codes[rows], indices[rows][:, None], part)  # type: ignore[operator]


def _most(energy: Tensor, share: Tensor, among: Tensor | None) -> Tensor:
    """Return the share [B] of cells with the most energy [B, h, w], of those `among`: bool."""
    if among is not None:
        energy = energy.masked_fill(~among, -1.0)
    flat = energy.flatten(1)
    allowed = flat.shape[1] if among is None else among.flatten(1).sum(1)
    wanted = (share * allowed).round().long()
    order = flat.argsort(1, descending=True).argsort(1)
    return (order < wanted[:, None]).view_as(energy)
