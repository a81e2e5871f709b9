"""The base of `hyperprior` and `context-*`: pyramid transforms, and a search for better symbols."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from quantal.codecs.contract import Encoding, Pixels, Progress
from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.pyramid.search import (
    ITERATIONS,
    WORTH,
    Method,
    Prices,
    Scene,
    anneal,
    improved,
    step_once,
)
from quantal.codecs.pyramid.weights import read_entropy_net_weights
from quantal.codecs.transform import QUARTERS, TransformCodec, TransformEncoding
from quantal.entropy.frozen.hyperprior import Z_STRIDE
from quantal.entropy.models.base import pad_to
from quantal.entropy.models.runtime import as_batch
from quantal.entropy.walk import FloatArray
from quantal.errors import ArgumentError
from quantal.planes import ceil_div, round_up

__all__ = ["STRIDE", "PyramidCodec"]

STRIDE = 16


class PyramidCodec(TransformCodec):
    """A codec of a weights file.

    Args:
        name: is written to files.
        weights: the file.
        device: where the floating-point networks run.
    """

    net_type: ClassVar[type[PyramidNet]]
    #: A window's core in latents for a search, which keeps the networks' activations.
    search_core = 48
    efforts = (0, *ITERATIONS)

    def __init__(self, name: str, weights: Path, device: torch.device) -> None:
        loaded = read_entropy_net_weights(weights, self.net_type)
        loaded.net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net = loaded.net
        self._frozen = loaded.net.entropy.frozen_from(loaded.integers, device)
        super().__init__(
            name,
            loaded.net.analysis,
            loaded.net.synthesis,
            self._frozen,
            STRIDE,
            device=device,
            model_hash=loaded.hash,
        )
        self._prices = Prices.of(self._frozen, device)

    def networks(self) -> PyramidNet:
        """Return a copy of the floating-point networks; changing it does not change the codec."""
        return copy.deepcopy(self._net)

    @property
    def latent_channels(self) -> int:
        """M, the number of latent channels."""
        return self._frozen.channels

    def searching(self, encoding: Encoding, effort: int, progress: Progress) -> Encoding:
        """Return an encoding that searches; see contract.Searching.

        Effort 1 is one step of descent, then rounding by prices; 2 and 3 are annealing, short and
        long.
        """
        if effort not in ITERATIONS or not isinstance(encoding, TransformEncoding):
            raise ArgumentError(f"codec {self.name!r} has no effort {effort}; it has: 0 to 3")
        return _Search(self, encoding, effort, progress)

    @torch.inference_mode(False)  # a caller's inference mode would prevent gradients
    def search(
        self, y: FloatArray, pixels: Pixels, rate: int, effort: int, progress: Progress
    ) -> bytes:
        """Return the image part of a picture with the symbols that a search found.

        Args:
            y: its latents, float32 [M, h, w].
            pixels: uint8 [H, W, 3].
            rate: 0..252.
            effort: 1 to 3.
            progress: called during the search.
        """
        position = rate / QUARTERS
        z = self._frozen.quantised_z(y, position)
        # Copies: the arrays come from networks in inference mode.
        scene = Scene(
            net=self._net,
            prices=self._prices,
            y=pad_to(as_batch(y).clone(), Z_STRIDE),
            z_hat=torch.from_numpy(self._frozen.side.dequantised(z, position))[None].clone(),
            pixels=pixels,
            rate=torch.tensor([position], device=self.device),
        )
        iterations = ITERATIONS[effort]
        first = 1 / (1 + iterations)
        better = self._improved(scene, step_once, lambda part: progress(part * first))
        rounding = self._frozen.rounding_by_price(WORTH)
        data = self.encode(better[0].numpy(), rate, z=z, rounding=rounding)
        if not iterations:
            return data
        method = partial(anneal, iterations=iterations)
        scene = replace(scene, y=pad_to(better, Z_STRIDE))
        better = self._improved(scene, method, lambda part: progress(first + part * (1 - first)))
        other = self.encode(better[0].numpy(), rate, z=z)

        def cost(data: bytes) -> float:
            height, width = pixels.shape[:2]
            return scene.cost(data, self.synthesise(self.read(data, width, height, rate)))

        return min(data, other, key=cost)

    def _improved(self, scene: Scene, method: Method, progress: Progress) -> Tensor:
        """Return a scene's latents after a search, window by window: [1, M, h, w]."""
        synthesis = self._net.synthesis
        unit = math.lcm(synthesis.alignment, STRIDE * Z_STRIDE)
        core, halo = (
            round_up(pixels, unit) // STRIDE
            for pixels in (self.search_core * STRIDE, synthesis.reach)
        )
        rows, columns = (ceil_div(side, STRIDE) for side in scene.pixels.shape[:2])
        return improved(scene, core, halo, method, progress)[..., :rows, :columns]


class _Search:
    """An encoding that searches at every rate."""

    def __init__(
        self, codec: PyramidCodec, plain: TransformEncoding, effort: int, progress: Progress
    ) -> None:
        self._codec, self._plain = codec, plain
        self._effort, self._progress = effort, progress

    def at(self, rate: int) -> bytes:
        plain = self._plain
        return self._codec.search(plain.y, plain.pixels, rate, self._effort, self._progress)
