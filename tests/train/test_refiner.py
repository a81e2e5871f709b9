"""What the refiner of `vq` learns from, and who else does."""

from __future__ import annotations

import torch

from quantal.codecs.vq.net import Request, VqConfig, VqNet


def test_what_refining_leaves_teaches_the_refiner_alone() -> None:
    """A rung that learned from it grew, and its target with it, until both overflowed."""
    torch.manual_seed(1)
    net = VqNet(
        VqConfig((8, 8, 8, 8), (1, 1, 1, 1), (1, 1, 1, 1), 4, entries=(8, 4), refine_width=4)
    )
    books = torch.zeros(2, 3, dtype=torch.int64)
    # All cells have the second rung and none the third, whose error would reach the second.
    request = Request(books, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    net(torch.rand(2, 3, 64, 64), request).losses["commitment"].sum().backward()
    assert net.refiner is not None
    refined = net.refiner.leave.weight.grad
    assert refined is not None and refined.abs().max() > 0
    leave = net.rung(1).leave.weight.grad
    assert leave is None or not leave.any()
