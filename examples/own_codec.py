"""A codec of your own: your convolutions, an exact context model, a minute of training, a real file.

    python examples/own_codec.py [SECONDS [FILE.qtl]]

The transforms are a few lines of torch and know nothing of coding; the entropy model knows nothing
of pixels. docs/build_your_own.md explains every step.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from skimage import data
from torch import Tensor, nn

import quantal
from quantal import codecs
from quantal.entropy import ContextModel, rate_lambda

STRIDE, CHANNELS, CROP = 8, 32, 64


def networks() -> tuple[nn.Module, nn.Module, ContextModel]:
    """Analysis, synthesis, and the model of what lies between."""
    analysis = nn.Sequential(
        nn.Conv2d(3, 64, 4, stride=4),
        nn.GELU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(64, CHANNELS, 2, stride=2),
    )
    synthesis = nn.Sequential(
        nn.ConvTranspose2d(CHANNELS, 64, 2, stride=2),
        nn.GELU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.GELU(),
        nn.ConvTranspose2d(64, 3, 4, stride=4),
    )
    nn.init.constant_(synthesis[-1].bias, 0.5)  # type: ignore[arg-type]
    sizes = {"z_channels": 16, "hyper_width": 32, "mean_width": 32, "scale_width": 32}
    return analysis, synthesis, ContextModel(CHANNELS, **sizes, order="places")  # type: ignore[arg-type]


def crops(pictures: list[Tensor], count: int) -> Tensor:
    """Random crops [B, 3, 64, 64] in 0..1."""
    found = []
    for place in torch.randint(len(pictures), (count,)).tolist():
        picture = pictures[place]
        top, left = (int(torch.randint(side - CROP, ())) for side in picture.shape[1:])
        found.append(picture[:, top : top + CROP, left : left + CROP])
    return torch.stack(found).float() / 255


def main(seconds: float = 60.0, path: str = "own.qtl") -> None:
    torch.manual_seed(0)
    analysis, synthesis, entropy = networks()
    photographs = (data.astronaut(), data.coffee(), data.rocket())
    pictures = [torch.from_numpy(each.copy()).permute(2, 0, 1) for each in photographs]
    parameters = [p for net in (analysis, synthesis, entropy) for p in net.parameters()]
    optimiser, end = torch.optim.Adam(parameters, 2e-3), time.monotonic() + seconds
    while time.monotonic() < end:
        pixels, rate = crops(pictures, 16), torch.rand(16) * 63  # one model for all rates
        y_hat, bits = entropy(analysis(pixels), rate)
        error = (synthesis(y_hat) - pixels).square().mean((1, 2, 3))
        bpp = sum(bits.values()) / CROP**2
        loss = rate_lambda(rate) * 255**2 * error + bpp
        optimiser.zero_grad()
        (loss / rate_lambda(rate).sqrt()).mean().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    with torch.no_grad():
        samples = [(analysis(crops(pictures, 4)), torch.rand(4) * 63) for _ in range(20)]
    frozen = entropy.freeze(samples)  # integers from here on: tables and scale networks
    codecs.register(
        codecs.ProgressiveTransformCodec("own", analysis, synthesis, frozen, stride=STRIDE)
    )
    photograph = data.chelsea()  # not trained on
    size = quantal.write(path, photograph, "own", quality=60)
    error = np.square(np.asarray(quantal.read(path), np.float64) - photograph).mean()
    print(f"{path}: {size:,} bytes, {10 * np.log10(255**2 / error):.2f} dB PSNR")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((float, str), sys.argv[1:], strict=False)))  # type: ignore[operator]
