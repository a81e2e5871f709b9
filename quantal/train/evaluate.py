"""Estimated rate and real distortion of a network in training, on whole pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from quantal.codecs.training import Trainable, pad_to

__all__ = ["evaluate"]


@torch.no_grad()
def evaluate(
    net: Trainable, pictures: Sequence[Tensor], rates: Sequence[int]
) -> list[dict[str, float]]:
    """Mean bpp (estimated) and mean PSNR-RGB in dB of uint8 pictures [3, H, W] at each rate."""
    points = []
    device = next(net.parameters()).device
    for rate in rates:
        bpp = psnr = 0.0
        for picture in pictures:
            pixels = picture[None].to(device).float() / 255
            height, width = pixels.shape[-2:]
            estimate = net(pad_to(pixels, 64), torch.tensor([float(rate)], device=device))
            drawn = estimate.pixels[..., :height, :width].clamp(0, 1).mul(255).round()
            error = (drawn - picture.to(device)).square().mean()
            bpp += float(estimate.y_bits + estimate.z_bits) / (height * width)
            psnr += float(10 * torch.log10(255**2 / error))
        count = len(pictures)
        points.append({"rate": rate, "bpp": bpp / count, "psnr": psnr / count})
    return points
