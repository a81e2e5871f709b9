"""Pixels to planes and planes to pixels, window by window, for the transforms of all codecs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from quantal.arguments import whole
from quantal.codecs.contract import Pixels, UnroundedPixels
from quantal.transforms import apply_in_windows

__all__ = ["WINDOW_VARIABLE", "draw", "draw_unrounded", "plane_of", "window_limit"]

#: Names the largest side of windows, in pixels, for machines with little memory.
WINDOW_VARIABLE = "QUANTAL_WINDOW"


def window_limit() -> int:
    """Return the largest side of a window in pixels, without its surroundings.

    Raises:
        ArgumentError: The environment variable QUANTAL_WINDOW is no whole number of 64 or more.
    """
    text = os.environ.get(WINDOW_VARIABLE)
    if not text:
        return sys.maxsize
    return whole(WINDOW_VARIABLE, int(text) if text.isdecimal() else text, 64)


def plane_of(pixels: Pixels | UnroundedPixels, multiple: int) -> Tensor:
    """Return pixels [H, W, 3] as [1, 3, H', W'], padded to whole multiples by their edge."""
    height, width = pixels.shape[:2]
    edges = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    padded = np.pad(pixels, edges, mode="edge") if edges[0][1] or edges[1][1] else pixels
    return torch.from_numpy(np.require(padded, requirements=["C", "W"])).permute(2, 0, 1)[None]


def _draw(
    network: Callable[..., Tensor],
    latents: Tensor,
    size: tuple[int, int],
    core: int,
    halo: int,
    stride: int,
    beside: Sequence[Tensor],
    finish: Callable[[Tensor], Tensor],
) -> Tensor:
    def finished(*parts: Tensor) -> Tensor:
        return finish(network(*parts).mul_(255).clamp_(0, 255)).cpu()

    plane = apply_in_windows(finished, latents, core, halo, stride, beside)
    height, width = size
    return plane[0, :, :height, :width].permute(1, 2, 0).contiguous()


def draw(
    network: Callable[..., Tensor],
    latents: Tensor,
    size: tuple[int, int],
    core: int,
    halo: int,
    stride: int,
    beside: Sequence[Tensor] = (),
) -> Pixels:
    """Draw a picture, rounded to 8 bits.

    Args:
        network: maps a window of latents, and those of `beside`, to samples [1, 3, H, W] in 0..1,
            on any device.
        latents: [1, M, h, w].
        size: height and width of the picture, in pixels.
        core: latents of a window along each axis, without its halo.
        halo: latents around the core that the network sees as well.
        stride: pixels per latent.
        beside: further planes of the size of the latents.

    Returns:
        uint8 [H, W, 3].
    """
    parts = (network, latents, size, core, halo, stride, beside)
    return _draw(*parts, lambda drawn: drawn.round_().to(torch.uint8)).numpy()


def draw_unrounded(
    network: Callable[..., Tensor],
    latents: Tensor,
    size: tuple[int, int],
    core: int,
    halo: int,
    stride: int,
    beside: Sequence[Tensor] = (),
) -> UnroundedPixels:
    """Draw a picture as draw() does, without rounding: float32 [H, W, 3] in 0..255."""
    parts = (network, latents, size, core, halo, stride, beside)
    return _draw(*parts, lambda drawn: drawn).numpy()
