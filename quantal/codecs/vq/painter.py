"""The networks of `vq` on pictures of any size: pixels to maps of indices, and back.

Everything runs window by window; planes are on the CPU, networks on the device. No bits are read or
written here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.codecs.contract import Pixels, UnroundedPixels
from quantal.codecs.drawing import draw, draw_unrounded, plane_of
from quantal.codecs.vq.maps import CELL, RUNGS, Maps, Step
from quantal.codecs.vq.net import VqNet, cell_energy, index_bpp, spread
from quantal.entropy.indices import ABSENT
from quantal.planes import round_up
from quantal.transforms import CENTRE, PyramidAnalysis, PyramidSynthesis, apply_in_windows

__all__ = ["STRIDES", "Painter"]

#: Pixels along a position of the coarsest, the middle and the finest rung.
STRIDES = (32, 16, 8)
#: A window's core, in cells: 2.4 megapixels.
_CORE = 48
_SAMPLES_OF_CELL = 3 * CELL * CELL


class Painter:
    """Describes pictures by indices, and paints them from indices."""

    def __init__(self, net: VqNet, device: torch.device) -> None:
        self.net, self.device = net, device

    # -- pixels to indices -------------------------------------------------------------------

    @torch.inference_mode()
    def analyse(self, pixels: Pixels) -> Tensor:
        """Map pixels uint8 [H, W, 3] to features at 1/8 [1, C, h, w] of whole cells, on the CPU."""
        analysis = self.net.analysis

        def network(part: Tensor) -> Tensor:
            x = part.to(self.device).float().div_(255) - CENTRE
            return analysis.step(1, analysis.step(0, x)).cpu()

        halo = round_up(_reach(analysis, 0) + _reach(analysis, 1), CELL)
        return apply_in_windows(
            network, plane_of(pixels, CELL), _CORE * CELL, halo, Fraction(1, STRIDES[-1])
        )

    @torch.inference_mode()
    def describe(self, latents: Tensor, step: Step) -> Maps:
        """Return the indices of features at 1/8 for a step of the ladder of rates."""
        features = self._deeper(latents)
        drawn = torch.zeros_like(features[0])
        depth = torch.zeros(features[0].shape[-2:], dtype=torch.int32)
        planes = []
        for rung, book in enumerate(step.books):
            indices = self._nearest(rung, book, features[rung], drawn)
            if rung:
                cells = (self.gain(rung, book, indices) > step.price) & (depth == rung - 1)
                depth[cells] = rung
                indices = torch.where(spread(cells, rung), indices, ABSENT)
            planes.append(np.ascontiguousarray(indices.numpy()))
            if rung < RUNGS - 1:
                drawn = drawn + self.added(rung, book, indices)
                if rung == 1:
                    drawn = self._refined(drawn, step.books, depth)
                drawn = self.climbed(rung, drawn)
        return Maps(step.books, depth.numpy(), tuple(planes))

    def _deeper(self, latents: Tensor) -> list[Tensor]:
        """Return features of every rung, coarsest first, from those at 1/8."""
        features = [latents]
        for level in (2, 3):
            stride = 2 << level  # of the level's input
            network = self._here(lambda part, level=level: self.net.analysis.step(level, part))
            halo = round_up(_reach(self.net.analysis, level), 2 * stride) // stride
            core = _CORE * CELL // stride
            features.append(apply_in_windows(network, features[-1], core, halo, Fraction(1, 2)))
        return features[::-1]

    def _nearest(self, rung: int, book: int, features: Tensor, drawn: Tensor) -> Tensor:
        """Return the nearest entry for every position, int32 [h, w]."""
        net, codebook = self.net.rung(rung), self.net.book(rung, book)

        def network(part: Tensor, prediction: Tensor) -> Tensor:
            codes = net.codes(part.to(self.device), prediction.to(self.device))
            return codebook.encode(codes).to(torch.int32).cpu()

        return apply_in_windows(network, features, _CORE << rung, 1 << rung, 1, [drawn])[0, 0]

    def gain(self, rung: int, book: int, indices: Tensor) -> Tensor:
        """Return the gain of cells by a rung's indices [h, w], per bit of these: [h', w']."""
        vectors = self.net.book(rung, book).codebook.cpu()[indices.long()].permute(2, 0, 1)
        bits = 4**rung * math.log2(self.net.config.entries[book])
        return cell_energy(vectors[None], rung)[0] / (_SAMPLES_OF_CELL * bits)

    # -- indices to pixels -------------------------------------------------------------------

    @torch.inference_mode()
    def added(self, rung: int, book: int, indices: Tensor) -> Tensor:
        """Return what a rung adds for its indices int32 [h, w]: [1, C, h, w]."""
        network = self._here(lambda part: self._injected(rung, book, part[:, 0]))
        return apply_in_windows(network, indices[None, None], _CORE << rung, 0)

    def _injected(self, rung: int, book: int, indices: Tensor) -> Tensor:
        codebook = self.net.book(rung, book).codebook
        codes = codebook[indices.clamp_min(0).long()].permute(0, 3, 1, 2)
        return self.net.rung(rung).injected(codes, indices != ABSENT)

    @torch.inference_mode()
    def climbed(self, rung: int, x: Tensor) -> Tensor:
        """Map the complete features of a rung to the prediction of the next finer one's."""
        synthesis = self.net.synthesis
        network = self._here(lambda part: synthesis.step(rung, part))
        halo = _reach(synthesis, rung) // STRIDES[rung]
        return apply_in_windows(network, x, _CORE << rung, halo, 2)

    @torch.inference_mode()
    def features(self, maps: Maps) -> tuple[Tensor, Tensor]:
        """Return the features of maps: complete at 1/16, and at 1/32, [1, C, h, w] each."""
        coarse, middle, _ = (torch.from_numpy(plane) for plane in maps.indices)
        first = self.added(0, maps.books[0], coarse)
        x = self.climbed(0, first) + self.added(1, maps.books[1], middle)
        return self._refined(x, maps.books, torch.from_numpy(maps.depth)), first

    def _refined(self, x: Tensor, books: Sequence[int], depth: Tensor) -> Tensor:
        """Return features at 1/16 with less quantisation noise, if the weights have a refiner."""
        refiner = self.net.refiner
        if refiner is None:
            return x
        entries = torch.tensor([[self.net.config.entries[book] for book in books[:2]]])
        shares = torch.tensor([[1.0, float((depth >= 1).float().mean())]])
        bpp = index_bpp(entries, shares).to(self.device)
        network = self._here(lambda part: refiner(part, bpp))
        return apply_in_windows(network, x, _CORE << 1, refiner.reach)

    def paint(self, y_hat: Tensor, book: int, finest: Tensor, size: tuple[int, int]) -> Pixels:
        """Draw a picture, uint8 [H, W, 3].

        Args:
            y_hat: features at 1/16, complete, [1, C, h, w].
            book: the third rung's codebook.
            finest: the third rung's indices, int32 [2h, 2w].
            size: height and width in pixels.
        """
        return draw(*self._painting(y_hat, book, finest, size))

    def paint_unrounded(
        self, y_hat: Tensor, book: int, finest: Tensor, size: tuple[int, int]
    ) -> UnroundedPixels:
        """Draw a picture without rounding, float32 [H, W, 3] in 0..255; see paint()."""
        return draw_unrounded(*self._painting(y_hat, book, finest, size))

    def _painting(
        self, y_hat: Tensor, book: int, finest: Tensor, size: tuple[int, int]
    ) -> tuple[Callable[..., Tensor], Tensor, tuple[int, int], int, int, int, list[Tensor]]:
        """Return the arguments of draw()."""
        synthesis = self.net.synthesis
        # Four indices per position of y_hat, so that one window serves both.
        folded = F.pixel_unshuffle(finest[None, None], 2)

        def network(part: Tensor, indices: Tensor) -> Tensor:
            x = synthesis.step(1, part.to(self.device, memory_format=torch.channels_last))
            unfolded = F.pixel_shuffle(indices.to(self.device), 2)[:, 0]
            x = synthesis.step(2, x + self._injected(2, book, unfolded))
            return synthesis.step(3, x) + CENTRE

        stride = STRIDES[1]
        halo = round_up(sum(_reach(synthesis, level) for level in (1, 2, 3)), stride) // stride
        return network, y_hat, size, _CORE << 1, halo, stride, [folded]

    def _here(self, network: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return a network on the device as one that takes and gives planes on the CPU."""
        return lambda part: network(part.to(self.device)).cpu()


def _reach(transform: PyramidAnalysis | PyramidSynthesis, level: int) -> int:
    """Return how many pixels the blocks of a level reach in each direction."""
    return int(transform.refines[level].reach)  # type: ignore[arg-type]
