"""Hybrid pictures: synthetic tiles in exact colours, all else by the transforms of a codec.

The idea is that of mixed raster content (de Queiroz, Buckley and Xu 1999) with tiles in place of
masks. The image part of a hybrid is a zero byte, which no stream of transforms begins with; the
length of the layer (LEB128); the layer; and the stream of the transforms, for the picture with
its synthetic tiles filled from around them, or nothing if all tiles are synthetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from quantal.codecs.contract import (
    Encoding,
    Latents,
    Pixels,
    Progress,
    StackedLatents,
    Symbols,
    Synthetic,
    UnroundedPixels,
)
from quantal.codecs.synthetic.choice import (
    Costs,
    cheaper_tiles,
    choose_tiles,
    looks_synthetic,
    tile_sums,
)
from quantal.codecs.synthetic.holes import fill_holes
from quantal.codecs.synthetic.layer import (
    TILE,
    decode_layer,
    encode_layer,
    is_justified,
    read_tiles,
    to_colours,
)
from quantal.codecs.synthetic.logistic import Bits
from quantal.codecs.synthetic.loss import distance, guessed_bits, merged
from quantal.codecs.synthetic.parts import holds_layer, join, split
from quantal.codecs.transform import QUARTERS, TransformCodec, TransformEncoding
from quantal.errors import BitstreamError, CorruptError

__all__ = ["HybridCodec", "HybridEncoding", "price_of"]

Found = TypeVar("Found")

#: The worth of a bit at a rate, and the quarters of a position in which it doubles.
_WORTH, _AT, _HALVED_IN = 1100.0, 80, 19.3
#: Prices for which merging of colours is tried, and the bits of a layer for each guessed one.
_MERGINGS, _GUESSED = tuple(2.0**power for power in range(14)), 0.5
#: Layers that are kept for other rates.
_KEPT = 4
#: From this share on, all tiles are tried.
_MOSTLY = 0.5


def price_of(rate: int) -> float:
    """Return what a bit is worth to a context codec, in squared differences of all channels.

    Measured on screens: -dD / dR between neighbouring rates, the same within a fifth.

    Args:
        rate: 0..252.
    """
    return float(_WORTH * 2 ** ((_AT - rate) / _HALVED_IN))


def _read(payload: bytes, width: int, height: int) -> tuple[Synthetic, bytes]:
    """Return the layer of an image part, and the stream of the transforms."""
    layer, stream = split(payload)
    synthetic = Synthetic(*decode_layer(layer, width, height))
    if synthetic.tiles.all() and stream:
        raise CorruptError("a picture of synthetic tiles alone goes on behind them: it was altered")
    return synthetic, stream


# -- encoding --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a hybrid is made of at a rate.

    Attributes:
        layer: the bytes of the layer.
        encoding: of the picture without its synthetic tiles; None if they are all of it.
        cost: distortion, and bits times their price.
    """

    layer: bytes
    encoding: TransformEncoding | None
    cost: float


class HybridEncoding(TransformEncoding):
    """A picture being coded with synthetic tiles, where these cost less at a rate.

    Three ways are tried in full: no synthetic tiles; all tiles, or all that look synthetic, which
    shows how far guessed costs are off; and the tiles that cost less by corrected guesses.

    Args:
        codec: the codec.
        pixels: uint8 [H, W, 3].
    """

    def __init__(self, codec: TransformCodec, pixels: Pixels) -> None:
        super().__init__(codec, pixels, codec.analyse(pixels))
        self._likely = looks_synthetic(pixels)
        self.parts = lru_cache(maxsize=2)(self._parts)
        self._layer = lru_cache(maxsize=_KEPT)(self._coded_layer)
        self._guesses = lru_cache(maxsize=_KEPT)(self._guessed)

    def at(self, rate: int) -> bytes:
        parts = self.parts(rate)
        if parts is None:
            return super().at(rate)
        return join(parts.layer, b"" if parts.encoding is None else parts.encoding.at(rate))

    def _parts(self, rate: int) -> _Parts | None:
        """Return the parts of a hybrid, or None where transforms alone cost less."""
        if not self._likely.any():
            return None
        price = price_of(rate)
        plain = super().at(rate)
        other = self._by_transforms(plain, rate)
        tiles = self._likely.copy()
        if tiles.mean() > _MOSTLY:
            tiles[:] = True
        merging = self._merging(tiles.tobytes(), price)
        layer, drawn = self._layer(tiles.tobytes(), merging)
        tried = [self._tried(rate, tiles, layer, drawn, other)]
        bits = tile_sums(guessed_bits(to_colours(drawn)))
        bits *= 8 * len(layer) / max(float(bits[tiles].sum()), 1.0)
        lost = tile_sums(_squares(drawn, self.pixels))
        chosen = cheaper_tiles(price, Costs(bits, lost), other) & tiles
        if chosen.any() and (chosen != tiles).any():
            layer, drawn = self._layer(chosen.tobytes(), merging)
            tried.append(self._tried(rate, chosen, layer, drawn, other))
        height, width = self.pixels.shape[:2]
        tried = [parts for parts in tried if is_justified(parts.layer, height, width)]
        if not tried:
            return None
        best = min(tried, key=lambda parts: parts.cost)
        plainly = float(other.distortion.sum()) + price * 8 * len(plain)
        return best if best.cost < plainly else None

    def _merging(self, marks: bytes, price: float) -> float:
        """Return the price for which merging of colours costs least by a guess.

        Bits don't always fall as it rises: where it draws a line through a smooth area, noise
        crosses the line.
        """
        costs = [lost + price * bits for lost, bits in self._guesses(marks)]
        return _MERGINGS[costs.index(min(costs))]

    def _guessed(self, marks: bytes) -> list[tuple[float, float]]:
        """Return what merging loses, and about how many bits are left, for each of _MERGINGS."""
        colours = to_colours(self.pixels)
        inside = _inside(np.frombuffer(marks, np.bool_).reshape(self._likely.shape), colours)
        found = []
        for merging in _MERGINGS:
            drawn = merged(colours, inside, merging)
            bits = _GUESSED * float(guessed_bits(drawn)[inside].sum())
            found.append((float(distance(drawn, colours).sum()), bits))
        return found

    def _coded_layer(self, marks: bytes, merging: float) -> tuple[bytes, Pixels]:
        """Code some tiles, bool [h, w] as bytes, with colours merged; see encode_layer()."""
        tiles = np.frombuffer(marks, np.bool_).reshape(self._likely.shape)
        return encode_layer(self.pixels, tiles, merging)

    def _tried(self, rate: int, tiles: Bits, layer: bytes, drawn: Pixels, other: Costs) -> _Parts:
        """Return the parts of a hybrid of some tiles.

        Args:
            rate: 0..252.
            tiles: bool [h, w].
            layer: the bytes of these.
            drawn: their pixels [H, W, 3].
            other: what tiles cost by transforms; they lose about as much without the others.
        """
        encoding, stream = None, b""
        if not tiles.all():
            filled = fill_holes(self.pixels, _inside(tiles, self.pixels))
            encoding = TransformEncoding(self.codec, filled, self.codec.analyse(filled))
            stream = encoding.at(rate)
        lost = np.where(tiles, tile_sums(_squares(drawn, self.pixels)), other.distortion)
        bits = 8 * len(join(layer, stream))
        return _Parts(layer, encoding, float(lost.sum()) + price_of(rate) * bits)

    def _by_transforms(self, data: bytes, rate: int) -> Costs:
        """Return what tiles cost by transforms; bits go by the logarithms of latents."""
        codec, (height, width) = self.codec, self.pixels.shape[:2]
        drawn = codec.synthesise(codec.read(data, width, height, rate))
        lost = tile_sums(_squares(drawn, self.pixels))
        rows, columns = lost.shape
        steps = 1 + (2 * np.abs(codec.entropy.latents(self.y, rate / QUARTERS)[1])) ** 2
        bits = np.log2(steps).sum(0)
        wide = np.repeat(np.repeat(bits, 2, 0), 2, 1)[:rows, :columns]
        return Costs(wide * (8 * len(data) / max(float(wide.sum()), 1e-9)), lost)


def _inside(tiles: Bits, picture: npt.NDArray[Any]) -> Bits:
    """Return which pixels of a picture [H, W, ...] are in tiles, bool [H, W]."""
    height, width = picture.shape[:2]
    return np.repeat(np.repeat(tiles, TILE, 0), TILE, 1)[:height, :width]


def _squares(drawn: Pixels, pixels: Pixels) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    difference = drawn.astype(np.int32) - pixels
    return (difference * difference).sum(-1).astype(np.float64)


class _Searched:
    """A hybrid whose stream of the transforms is searched for."""

    def __init__(
        self, codec: HybridCodec, hybrid: HybridEncoding, effort: int, progress: Progress
    ) -> None:
        self._codec, self._hybrid = codec, hybrid
        self._effort, self._progress = effort, progress

    def at(self, rate: int) -> bytes:
        hybrid = self._hybrid
        parts = hybrid.parts(rate)
        if parts is None:
            plain = TransformEncoding(hybrid.codec, hybrid.pixels, hybrid.y)
            return self._codec.searching(plain, self._effort, self._progress).at(rate)
        if parts.encoding is None:
            return hybrid.at(rate)
        found = self._codec.searching(parts.encoding, self._effort, self._progress).at(rate)
        return join(parts.layer, found)


# -- the codec -------------------------------------------------------------------------------------


class HybridCodec(TransformCodec):
    """A codec of transforms that codes tiles of screens in exact colours; see contract.Mixed.

    It stands before the classes that it changes among the bases of a codec.
    """

    def mixed_encoding(self, pixels: Pixels, content: str) -> Encoding:
        """Begin to code a picture of any content; see contract.Mixed."""
        if content == "photo" or (content == "auto" and not choose_tiles(pixels).any()):
            return self.encoding(pixels)
        return HybridEncoding(self, pixels)

    @staticmethod
    def synthetic_tiles(payload: bytes, width: int, height: int) -> Bits | None:
        """Return which tiles are synthetic; see contract.Tiled."""
        return read_tiles(split(payload)[0], width, height) if holds_layer(payload) else None

    def searching(self, encoding: Encoding, effort: int, progress: Progress) -> Encoding:
        if isinstance(encoding, HybridEncoding):
            return _Searched(self, encoding, effort, progress)
        return super().searching(encoding, effort, progress)  # type: ignore[misc, no-any-return]

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Return the symbols of the transforms; synthetic tiles have none, but are checked."""
        if holds_layer(payload):
            synthetic, payload = _read(payload, width, height)
            if synthetic.tiles.all():
                return []
        return super().parse(payload, width, height, rate)

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        if not holds_layer(payload):
            return super().read(payload, width, height, rate)
        synthetic, stream = _read(payload, width, height)
        if synthetic.tiles.all():
            return self._nothing_but(synthetic, width, height, rate)
        return replace(super().read(stream, width, height, rate), synthetic=synthetic)

    def _nothing_but(self, synthetic: Synthetic, width: int, height: int, rate: int) -> Latents:
        """Return the latents of a picture of synthetic tiles alone: it has no symbols."""
        return Latents(
            codec=self.name,
            model_hash=self.model_hash,
            width=width,
            height=height,
            rate=rate,
            stride=self.stride,
            symbols=[],
            y_hat=np.zeros((self.entropy.channels, *self._geometry(width, height)), np.float32),
            z_hat=np.zeros((0, 0, 0), np.float32),
            synthetic=synthetic,
        )

    def read_prefix(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """Return latents of the first parts; see contract.Progressive.

        Synthetic tiles come before all parts, and are needed whole.
        """
        sizes = (width, height, rate, parts)
        if not holds_layer(payload):
            return super().read_prefix(payload, missing, *sizes)  # type: ignore[misc, no-any-return]
        synthetic, stream = _read(payload, width, height)
        if synthetic.tiles.all():
            return self._nothing_but(synthetic, width, height, rate)
        found: Latents = super().read_prefix(stream, missing, *sizes)  # type: ignore[misc]
        return replace(found, synthetic=synthetic)

    def parse_many(
        self, payloads: Sequence[bytes], width: int, height: int, rate: int
    ) -> list[list[Symbols] | BitstreamError]:
        """Return the symbols of several pictures; an error for each that has synthetic tiles."""
        found = super().parse_many(payloads, width, height, rate)
        return [_refused(each, payload) for each, payload in zip(found, payloads, strict=True)]

    def read_many(
        self, payloads: Sequence[bytes], width: int, height: int, rate: int
    ) -> list[Latents | BitstreamError]:
        """Return the latents of several pictures; an error for each that has synthetic tiles."""
        found = super().read_many(payloads, width, height, rate)
        return [_refused(each, payload) for each, payload in zip(found, payloads, strict=True)]

    def read_stacked(
        self,
        payloads: Sequence[bytes],
        width: int,
        height: int,
        rate: int,
        *,
        dequantised: bool = True,
    ) -> StackedLatents:
        """Return stacked latents; a picture that has synthetic tiles is among the errors."""
        stacked = super().read_stacked(payloads, width, height, rate, dequantised=dequantised)
        for place, error in stacked.errors.items():
            stacked.errors[place] = _refused(error, payloads[place])
        return stacked

    def synthesise(self, latents: Latents) -> Pixels:
        if latents.synthetic is not None and latents.synthetic.tiles.all():
            return latents.synthetic.pixels
        return _pasted(super().synthesise(latents), latents)

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        return _pasted(super().synthesise_unrounded(latents), latents)


def _refused(found: Found, payload: bytes) -> Found | BitstreamError:
    """Return what was found in an image part, or an error where latents don't describe all of it.

    Latents of many pictures are for learning; read() gives those of one.
    """
    if not holds_layer(payload):
        return found
    return BitstreamError(
        "the picture holds synthetic tiles, which its latents don't describe; compress it as a "
        "photograph, or read it alone"
    )


def _pasted(drawn: npt.NDArray[Any], latents: Latents) -> npt.NDArray[Any]:
    """Return a picture with its synthetic tiles; it may be changed in place."""
    synthetic = latents.synthetic
    if synthetic is None:
        return drawn
    width = drawn.shape[1]
    if not drawn.flags.writeable:
        drawn = drawn.copy()
    for row, marks in enumerate(synthetic.tiles):
        rows = slice(row * TILE, (row + 1) * TILE)
        columns = np.repeat(marks, TILE)[:width]
        drawn[rows, columns] = synthetic.pixels[rows, columns]
    return drawn
