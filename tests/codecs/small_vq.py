"""Small untrained codecs of indices, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from quantal.codecs.info import Card
from quantal.codecs.tokens.net import TokenConfig, TokenNet
from quantal.codecs.vq.conceal_net import ConcealConfig, ConcealNet, write_conceal_weights
from quantal.codecs.vq.net import VqConfig, VqNet
from quantal.codecs.vq.weights import read_vq_weights
from quantal.train.families.tokens import export_tokens
from quantal.train.families.vq import export_vq


def halved(net: nn.Module) -> None:
    """What is exported is what runs: half precision."""
    for value in (*net.parameters(), *net.buffers()):
        if value.is_floating_point():
            value.data = value.data.half().float()
    net.eval().requires_grad_(False)


def pictures(count: int = 6, side: int = 160) -> list[Tensor]:
    """Smooth random pictures uint8 [3, H, W]."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for _ in range(count):
        coarse = torch.rand(1, 3, side // 20, side // 20, generator=generator)
        fine = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
        noise = 0.05 * torch.randn(1, 3, side, side, generator=generator)
        found.append(((fine + noise)[0].clamp(0, 1) * 255).to(torch.uint8))
    return found


def write_small_vq(path: Path, refine_width: int = 0) -> Path:
    """Weights of an untrained `vq` with three codebooks a rung, and of its concealment beside."""
    torch.manual_seed(5)
    config = VqConfig(
        (4, 6, 8, 8), (1, 1, 1, 1), (1, 1, 1, 1), 4, (16, 8, 4), refine_width=refine_width
    )
    net = VqNet(config)
    shown = pictures()
    net.initialise(torch.stack([p[:, :128, :128] for p in shown]).float() / 255)
    if net.refiner is not None:
        net.refiner.leave.weight.data.normal_(0, 0.1)
    halved(net)
    export_vq(net, path, shown, 0, "none", each=3)
    conceal = ConcealNet(ConcealConfig(4, 16, 1, 2))
    halved(conceal)
    beside = path.with_name(f"{path.stem}-conceal.safetensors")
    write_conceal_weights(beside, conceal, read_vq_weights(path).hash, Card())
    return path


def write_small_tokens(path: Path) -> Path:
    """Weights of an untrained `tokens` with 12 tokens a tile."""
    torch.manual_seed(6)
    net = TokenNet(TokenConfig((4, 6, 8), (1, 1, 1), (1, 1, 1), 12, 1, 1, 2))
    shown = pictures(6, 300)
    net.initialise(torch.stack([p[:, :256, :256] for p in shown]).float() / 255)
    halved(net)
    export_tokens(net, path, shown, 0, "none", tiles=16)
    return path


def scene(width: int, height: int) -> np.ndarray:
    """A picture uint8 [H, W, 3] with slopes, an edge and noise."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 60 * np.sin(x / 17 + c) + 40 * np.cos(y / 11 - c) for c in range(3)]
    noise = np.random.default_rng(width * height).normal(0, 4, (height, width, 3))
    return (np.stack(planes, -1) + 40 * (x > y)[..., None] + noise).clip(0, 255).astype(np.uint8)
