"""Small untrained context codecs, for tests: quick, and livelier than trained ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from quantal.codecs._context_net import ContextConfig, ContextNet
from quantal.codecs._weights import write_weights
from quantal.entropy.scales import SCALES
from quantal.train.exporter import _y_tables, _z_tables

#: Orders, and channels that suit them.
ORDERS = {"core": 32, "places": 20, "slices": 20}
#: How far symbols are drawn from the middle of their cell.
LEAN = 0.1


def write_small(path: Path, order: str, adaptive: bool, lean: float = LEAN) -> Path:
    """Weights of an untrained codec whose symbols, means and scales are all lively."""
    torch.manual_seed(7)
    sizes = {"z_channels": 6, "hyper_width": 8, "mean_width": 8, "scale_width": 8}
    config = ContextConfig(
        (8, 12, ORDERS[order]), (1, 1, 1), **sizes, order=order, adaptive=adaptive
    )  # type: ignore[arg-type]
    net = ContextNet(config)
    net.initialise(torch.rand(4, 3, 64, 64))
    with torch.no_grad():
        for leave in net.mean.leaves:
            leave.conv.weight.mul_(20)  # type: ignore[union-attr, operator]
        for step in net.scale.steps:
            step.leave.conv.weight.mul_(20)  # type: ignore[union-attr, operator]
        net.hyper_analysis.leave.weight.mul_(10)
        net.lean.fill_(lean)
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value.copy_(value.half().float())
    net.scale.quantise(True)
    counts = [np.zeros(2001)] * SCALES
    write_weights(path, net, _y_tables(counts), _z_tables(net), {})
    return path
