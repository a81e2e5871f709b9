"""Rounding with a straight-through gradient, and clamps whose gradient leads back inside."""

from __future__ import annotations

import torch
from torch import Tensor

from quantal.team import team

__all__ = ["add_noise", "clamp_through", "round_through"]


def round_through(x: Tensor) -> Tensor:
    """Round to the nearest integer; the gradient passes unchanged."""
    return x + (x.round() - x).detach()


def add_noise(x: Tensor) -> Tensor:
    """Add uniform noise in -0.5..0.5, a smooth approximation of rounding (Balle et al. 2017)."""
    return x + team().uniform_like(x) - 0.5


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, *grads: Tensor):  # type: ignore[no-untyped-def]
        (grad,) = grads
        (x,) = ctx.saved_tensors
        low, high = ctx.bounds
        # A step goes against the gradient: below the bound only a negative one leads back.
        stuck = ((x < low) & (grad > 0)) | ((x > high) & (grad < 0))
        return grad.masked_fill(stuck, 0.0), None, None


def clamp_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp x; outside the bounds only gradients that lead back inside pass."""
    out: Tensor = _Clamp.apply(x, low, high)
    return out
