"""Pixels to planes and planes to pixels, window by window, for the transforms of all codecs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.arguments import whole
from quantal.codecs.contract import Pixels, UnroundedPixels
from quantal.entropy.walk import FloatArray
from quantal.planes import apply_in_windows

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


def plane_of(pixels: Pixels | UnroundedPixels, multiple: int) -> npt.NDArray[Any]:
    """Return pixels [H, W, 3] as [3, H', W'], padded to whole multiples by their edge.

    Channels stay together in memory, which is how transforms run fastest.
    """
    height, width = pixels.shape[:2]
    edges = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    padded = np.pad(pixels, edges, mode="edge") if edges[0][1] or edges[1][1] else pixels
    return padded.transpose(2, 0, 1)


def _draw(
    network: Callable[..., FloatArray],
    latents: FloatArray,
    size: tuple[int, int],
    core: int,
    halo: int,
    stride: int,
    beside: Sequence[npt.NDArray[Any]],
    finish: Callable[[FloatArray], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    def finished(*parts: FloatArray) -> npt.NDArray[Any]:
        drawn = network(*parts)
        return finish(np.clip(drawn, 0, 255, out=drawn))

    plane = apply_in_windows(finished, latents, core, halo, stride, beside)
    height, width = size
    return np.ascontiguousarray(plane[:, :height, :width].transpose(1, 2, 0))


def _rounded(samples: FloatArray) -> Pixels:
    # Latents that no encoder writes may draw what is no number, which becomes any level.
    with np.errstate(invalid="ignore"):
        return np.rint(samples, out=samples).astype(np.uint8)


def draw(
    network: Callable[..., FloatArray],
    latents: FloatArray,
    size: tuple[int, int],
    core: int,
    halo: int,
    stride: int,
    beside: Sequence[npt.NDArray[Any]] = (),
) -> Pixels:
    """Draw a picture, rounded to 8 bits.

    Args:
        network: maps a window of latents, and those of `beside`, to an array of its own: samples
            [3, H, W] in 0..255, not clipped.
        latents: [M, h, w].
        size: height and width of the picture, in pixels.
        core: latents of a window along each axis, without its halo.
        halo: latents around the core that the network sees as well.
        stride: pixels per latent.
        beside: further planes of the size of the latents.

    Returns:
        uint8 [H, W, 3].
    """
    return _draw(network, latents, size, core, halo, stride, beside, _rounded)


def draw_unrounded(
    network: Callable[..., FloatArray],
    latents: FloatArray,
    size: tuple[int, int],
    core: int,
    halo: int,
    stride: int,
    beside: Sequence[npt.NDArray[Any]] = (),
) -> UnroundedPixels:
    """Draw a picture as draw() does, without rounding: float32 [H, W, 3] in 0..255."""
    return _draw(network, latents, size, core, halo, stride, beside, lambda drawn: drawn)
