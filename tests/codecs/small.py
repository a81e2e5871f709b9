"""Small untrained context codecs, for tests: quick, and livelier than trained ones."""

from __future__ import annotations

from pathlib import Path

import torch

from quantal.codecs.context.net import ContextConfig, ContextNet
from quantal.codecs.info import Card
from quantal.codecs.pyramid.net import PyramidNet
from quantal.codecs.pyramid.weights import write_entropy_net_weights

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
        model = net.entropy
        for leave in model.mean.leaves:
            leave.conv.weight.mul_(20)  # type: ignore[union-attr, operator]
        for step in model.scale.steps:
            step.leave.conv.weight.mul_(20)  # type: ignore[union-attr, operator]
        model.hyper_analysis.leave.weight.mul_(10)
        model.lean.fill_(lean)
    write_untrained(path, net)
    return path


def write_untrained(path: Path, net: PyramidNet) -> bytes:
    """The weights file of a network, in half precision; returns its hash."""
    with torch.no_grad():
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value.copy_(value.half().float())
    return write_entropy_net_weights(path, net, net.entropy.freeze(), Card())
