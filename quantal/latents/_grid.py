"""Symbols of y as one array on the latents' grid, and what a step of them is worth."""

from __future__ import annotations

from collections.abc import Sequence

from quantal.codecs.contract import Codec
from quantal.codecs.transform import QUARTERS, TransformCodec
from quantal.errors import ArgumentError
from quantal.latents._runs import Array
from quantal.latents._symbols import damaged_symbols
from quantal.planes import ceil_div

__all__ = ["on_grid", "steps", "stride_of"]


def on_grid(codec: Codec, symbols: Sequence[Array], width: int, height: int) -> Array:
    """Return the symbols of y on the latents' grid, whatever the order in which they are coded.

    Args:
        codec: the codec.
        symbols: the symbols of a picture in coding order, integers of any type.
        width: picture width, in pixels.
        height: picture height, in pixels.

    Returns:
        Integers [M, h, w] in the type of the symbols of y.

    Raises:
        ArgumentError: The codec has no such grid: no part is as large as it.
        CorruptError: The symbols are not those of such a picture.
    """
    if isinstance(codec, TransformCodec):
        rows, columns = (ceil_div(side, codec.stride) for side in (height, width))
        expected = (codec.entropy.channels, rows, columns)
        with damaged_symbols(width, height):
            found = codec.entropy.on_grid(symbols, rows, columns)
            if found is not None and found.shape != expected:
                raise ValueError(f"a grid {list(found.shape)} found, expected {list(expected)}")
        if found is not None:
            return found
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
    found = codec.entropy.step(rate / QUARTERS) if isinstance(codec, TransformCodec) else None
    if found is None:
        raise ArgumentError(f"symbols of codec {codec.name!r} have no step; leave scaled out")
    return found
