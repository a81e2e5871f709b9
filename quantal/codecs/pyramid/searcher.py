"""A search for better symbols of whole pictures, at one rate: window by window, by torch."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from quantal.codecs.contract import Pixels, Progress
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
from quantal.codecs.transform import QUARTERS, TransformCodec
from quantal.entropy.frozen.hyperprior import Z_STRIDE, SideModel
from quantal.entropy.models.base import pad_to
from quantal.entropy.models.runtime import as_batch
from quantal.entropy.walk import FloatArray
from quantal.planes import ceil_div, round_up

__all__ = ["Searcher"]


class Searcher:
    """Searches for a codec.

    Args:
        codec: the codec.
        net: its networks, on any device.
    """

    #: A window's core in latents; a search keeps the networks' activations.
    core = 48

    def __init__(self, codec: TransformCodec, net: PyramidNet) -> None:
        if not isinstance(codec.entropy, SideModel):
            raise TypeError(f"codec {codec.name!r} has no side latents to search with")
        self._codec, self._net, self._frozen = codec, net, codec.entropy
        self._device = net.entropy.log_gain.anchors.device
        self._prices = Prices.of(self._frozen, self._device)

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
        codec, position = self._codec, rate / QUARTERS
        z = self._frozen.quantised_z(y, position)
        # Copies: the arrays come from networks in inference mode.
        scene = Scene(
            net=self._net,
            prices=self._prices,
            y=pad_to(as_batch(y).clone(), Z_STRIDE),
            z_hat=torch.from_numpy(self._frozen.side.dequantised(z, position))[None].clone(),
            pixels=pixels,
            rate=torch.tensor([position], device=self._device),
        )
        iterations = ITERATIONS[effort]
        first = 1 / (1 + iterations)
        better = self._improved(scene, step_once, lambda part: progress(part * first))
        rounding = self._frozen.rounding_by_price(WORTH)
        data = codec.encode(better[0].numpy(), rate, z=z, rounding=rounding)
        if not iterations:
            return data
        method = partial(anneal, iterations=iterations)
        scene = replace(scene, y=pad_to(better, Z_STRIDE))
        better = self._improved(scene, method, lambda part: progress(first + part * (1 - first)))
        other = codec.encode(better[0].numpy(), rate, z=z)

        def cost(data: bytes) -> float:
            height, width = pixels.shape[:2]
            return scene.cost(data, codec.synthesise(codec.read(data, width, height, rate)))

        return min(data, other, key=cost)

    def _improved(self, scene: Scene, method: Method, progress: Progress) -> Tensor:
        """Return a scene's latents after a search, window by window: [1, M, h, w]."""
        synthesis, stride = self._net.synthesis, self._codec.stride
        unit = math.lcm(synthesis.alignment, stride * Z_STRIDE)
        core, halo = (
            round_up(pixels, unit) // stride for pixels in (self.core * stride, synthesis.reach)
        )
        rows, columns = (ceil_div(side, stride) for side in scene.pixels.shape[:2])
        return improved(scene, core, halo, method, progress)[..., :rows, :columns]
