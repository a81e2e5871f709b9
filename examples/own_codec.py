"""A codec of your own: your convolutions, our context model, a minute of training, a real file.

    python examples/own_codec.py [SECONDS [FILE.qtl]]

docs/tutorials/own-codec.md explains every step.
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


def transforms() -> tuple[nn.Module, nn.Module]:
    """Analysis and synthesis: they know nothing of coding."""
    analysis = nn.Sequential(
        nn.Conv2d(3, 64, 4, stride=4),
        nn.GELU(),
        nn.Conv2d(64, CHANNELS, 2, stride=2),
    )
    synthesis = nn.Sequential(
        nn.ConvTranspose2d(CHANNELS, 64, 2, stride=2),
        nn.GELU(),
        nn.ConvTranspose2d(64, 3, 4, stride=4),
    )
    return analysis, synthesis


def crops(pictures: list[Tensor], count: int) -> Tensor:
    """Random crops [B, 3, 64, 64] in 0..1."""
    found = []
    for place in torch.randint(len(pictures), (count,)).tolist():
        top, left = (int(torch.randint(n - CROP, ())) for n in pictures[place].shape[1:])
        found.append(pictures[place][:, top : top + CROP, left : left + CROP])
    return torch.stack(found).float() / 255


def main(seconds: float = 60.0, path: str = "own.qtl") -> None:
    torch.manual_seed(0)
    analysis, synthesis = transforms()
    entropy = ContextModel(CHANNELS, 16, 32, 32, 32, order="places")
    photographs = (data.astronaut(), data.coffee(), data.rocket())
    pictures = [torch.from_numpy(each.copy()).permute(2, 0, 1) for each in photographs]
    parameters = [p for net in (analysis, synthesis, entropy) for p in net.parameters()]
    optimiser, end = torch.optim.Adam(parameters, 3e-3), time.monotonic() + seconds
    while time.monotonic() < end:
        pixels, rate = crops(pictures, 16), torch.rand(16) * 63  # one model for all rates
        y_hat, bits = entropy(analysis(pixels), rate)
        error = (synthesis(y_hat) - pixels).square().mean((1, 2, 3))
        loss = rate_lambda(rate) * 255**2 * error + sum(bits.values()) / CROP**2
        optimiser.zero_grad()
        (loss / rate_lambda(rate).sqrt()).mean().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    with torch.no_grad():
        samples = [(analysis(crops(pictures, 4)), torch.rand(4) * 63) for _ in range(20)]
    frozen = entropy.freeze(samples)  # from here on integers decide how bits are read
    codec = codecs.ProgressiveTransformCodec("own", analysis, synthesis, frozen, STRIDE)
    codecs.register(codec)
    size = quantal.write(path, data.chelsea(), "own", quality=60)  # not trained on
    mse = np.square(np.asarray(quantal.read(path), np.float64) - data.chelsea()).mean()
    print(f"{path}: {size:,} bytes, {10 * np.log10(255**2 / mse):.2f} dB PSNR")


if __name__ == "__main__":
    main(float((sys.argv[1:] or ["60"])[0]), (sys.argv[2:] or ["own.qtl"])[0])
