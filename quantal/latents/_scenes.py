"""Drawn scenes, on which linear maps between latents are fitted where no photographs are at hand.

Ellipses and bars that hide one another, with shading, stripes and noise: edges at all angles and
scales, as photographs have them (Lee, Mumford and Huang, "Occlusion models for natural images",
2001).
"""

from __future__ import annotations

import numpy as np

from quantal.codecs.contract import Pixels

__all__ = ["scenes"]


def scenes(count: int, size: int = 256, seed: int = 0) -> list[Pixels]:
    """Return scenes, uint8 [size, size, 3] each; the same for the same arguments."""
    noise = np.random.default_rng(seed)
    return [_scene(size, noise) for _ in range(count)]


def _scene(size: int, noise: np.random.Generator) -> Pixels:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = noise.uniform(0, 255, 3)
    for _ in range(int(noise.integers(20, 100))):
        radius = size / 2 * noise.uniform(0.02, 1) ** 2 + 1
        angle, flat = noise.uniform(0, np.pi), noise.uniform(0.2, 1)
        left, top = noise.uniform(0, size, 2)
        along = (x - left) * np.cos(angle) + (y - top) * np.sin(angle)
        across = (y - top) * np.cos(angle) - (x - left) * np.sin(angle)
        if noise.random() < 0.5:
            inside = (along / radius) ** 2 + (across / (radius * flat)) ** 2 < 1
        else:
            inside = (np.abs(along) < radius) & (np.abs(across) < radius * flat)
        shade = along[inside] * noise.normal(0, 40 / size)
        if noise.random() < 0.5:
            shade += noise.uniform(0, 60) * np.sin(along[inside] * noise.uniform(0, 1.5))
        picture[inside] = noise.uniform(0, 255, 3) + shade[:, None]
    picture += noise.normal(0, noise.uniform(0, 12), picture.shape)
    return picture.clip(0, 255).astype(np.uint8)
