"""Symbols of y as one array on the latents' grid, and what a step of them is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantal.codecs.contract import Codec
from quantal.codecs.transform import QUARTERS, TransformCodec
from quantal.entropy.frozen.context import FrozenContext
from quantal.entropy.frozen.hyperprior import FrozenHyperprior
from quantal.entropy.orders import scatter
from quantal.errors import ArgumentError
from quantal.latents._runs import Array
from quantal.planes import ceil_div

__all__ = ["on_grid", "steps", "stride_of"]


def on_grid(codec: Codec, symbols: Sequence[Array], width: int, height: int) -> Array:
    """Return the symbols of y on the latents' grid, whatever the order in which they are coded.

    Args:
        codec: the codec.
        symbols: of a picture, in coding order; integers of any type.
        width: picture width, in pixels.
        height: picture height, in pixels.

    Returns:
        Integers [M, h, w] in the type of the symbols of y.

    Raises:
        ArgumentError: The codec has no such grid: no part is as large as it.
    """
    model = codec.entropy if isinstance(codec, TransformCodec) else None
    stride = stride_of(codec)
    rows, columns = (ceil_div(side, stride or 1) for side in (height, width))
    if isinstance(model, FrozenContext):
        cells = model.join(list(symbols))[1]
        found: Array = scatter(cells, model.places)[:, :rows, :columns]
        return found
    fitting = [part for part in symbols if part.ndim == 3 and part.shape[1:] == (rows, columns)]
    if stride and fitting:
        return max(fitting, key=len)
    raise ArgumentError(
        f"symbols of codec {codec.name!r} have no single grid; read values='symbols', or "
        "values='latents'"
    )


def stride_of(codec: Codec) -> int:
    """Return the pixels per latent along each axis; 0 if the codec has no such grid."""
    return int(getattr(codec, "stride", 0))


def steps(codec: Codec, rate: int) -> Array:
    """Return what a symbol of y is worth at a rate, in the latents' own unit: float32 [M, 1, 1].

    Symbols times steps are residuals that have one unit at all rates.

    Args:
        codec: the codec.
        rate: 0..252.

    Raises:
        ArgumentError: Its symbols have no step.
    """
    model = codec.entropy if isinstance(codec, TransformCodec) else None
    if not isinstance(model, (FrozenContext, FrozenHyperprior)):
        raise ArgumentError(f"symbols of codec {codec.name!r} have no step; leave scaled out")
    found: Array = np.asarray(model.networks("ungain", rate / QUARTERS), np.float32)
    return found.reshape(-1, 1, 1)
