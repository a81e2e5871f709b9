"""Codec `tokens`: a tile of 256x256 pixels as up to 128 binary tokens, most important first.

Networks, by name: `analysis` maps pixels in 0..255 to features at 1/16; `coefficients` maps the
features of tiles [T, C, 16, 16] to their coefficients [T, positions, C]; `features` maps
coefficients [T, C, 16, 16], a position after the other, back, its rate is the number of tokens that
are known; `synthesis` maps features at 1/16 to pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from quantal.codecs.backends import Backend
from quantal.codecs.contract import Codec, Floats, Latents, Pixels, Symbols, UnroundedPixels
from quantal.codecs.drawing import draw, draw_unrounded, plane_of
from quantal.codecs.tokens import NET
from quantal.codecs.tokens.file import LAYOUT, read_token_file
from quantal.codecs.tokens.walk import GROUP, TILE, TOKEN_BITS, tokens_at, walk_tokens
from quantal.codecs.weights import Array, read_weights
from quantal.entropy.walk import Reading, Writing
from quantal.errors import TruncatedError
from quantal.planes import apply_in_windows, ceil_div, round_up

__all__ = ["Tokens"]

#: Pixels of a latent; tiles that go through attention together; a window's core, in pixels.
_STRIDE, _TOGETHER, _CORE = 16, 16, 1536


class _Encoding:
    """One picture being coded; its signs, bool [T, bits], serve every rate."""

    def __init__(self, codec: Tokens, signs: Array) -> None:
        self._codec, self.signs = codec, signs

    def at(self, rate: int) -> bytes:
        return self._codec.recode([_indices(self.signs)], 0, 0, rate)


class Tokens(Codec):
    """The codec with its weights loaded; see Codec.

    Args:
        name: is written to files.
        weights: the file.
        backend: runs the networks.
    """

    def __init__(self, name: str, weights: Path, backend: Backend) -> None:
        file = read_weights(weights, [LAYOUT])
        self._networks = backend.networks(file, NET)
        known = read_token_file(file)
        super().__init__(name, backend.device, known.hash)
        self.tables, self.signs, self.tokens = known.tables, known.signs, known.tokens

    def tokens_of(self, rate: int) -> int:
        """Return the tokens of a tile at a rate 0..252: from 1 to all, evenly in the log domain."""
        return tokens_at(rate, self.tokens)

    # -- pixels and signs ------------------------------------------------------------------------

    def encoding(self, pixels: Pixels) -> _Encoding:
        analysis = self._networks.transform("analysis")
        features = apply_in_windows(
            lambda part: analysis.run(part.astype(np.float32)),
            plane_of(pixels, TILE),
            _CORE,
            round_up(analysis.reach or 0, _STRIDE),
            Fraction(1, _STRIDE),
        )
        tiles = _cut(features, TILE // _STRIDE)
        signs = []
        for start in range(0, len(tiles), _TOGETHER):
            part = tiles[start : start + _TOGETHER]
            signs.append(self.signs.of(self._networks("coefficients", 0.0, part)))
        return _Encoding(self, np.concatenate(signs))

    # -- bytes and signs -------------------------------------------------------------------------

    def _read(self, reading: Reading, width: int, height: int, tokens: int) -> Symbols:
        """Return the indices of the first tokens, int32 [tokens, 2, T]."""
        tiles = ceil_div(height, TILE) * ceil_div(width, TILE)
        try:
            return walk_tokens(reading, self.tables, tokens, tiles)
        except TruncatedError as error:
            raise reading.cut_error(tokens) from error

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Return the symbols: [indices int32 [tokens, 2, tiles]]."""
        reading = Reading(payload, progressive=True, what=f"a picture of {width}x{height}")
        found = self._read(reading, width, height, self.tokens_of(rate))
        reading.finish()
        return [found]

    def recode(self, symbols: list[Symbols], width: int, height: int, rate: int) -> bytes:
        """Return the image part that symbols were parsed from; see contract.Recoding."""
        (indices,) = symbols
        writing = Writing([indices])
        walk_tokens(writing, self.tables, self.tokens_of(rate), indices.shape[-1])
        return writing.finish(progressive=True)

    def read_prefix(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """Return the latents of the first tokens, which are the parts."""
        what = f"a picture of {width}x{height}"
        reading = Reading(payload, progressive=True, missing=missing, what=what)
        found = self._read(reading, width, height, min(parts, self.tokens_of(rate)))
        return self.dequantise([found], width, height, rate)

    def dequantise(self, symbols: list[Symbols], width: int, height: int, rate: int) -> Latents:
        """Return latents; see Codec.dequantise().

        `y_hat` is features at 1/16, `z_hat` every tile's tokens as signs, +1 or -1 [bits, h, w].
        """
        (indices,) = symbols
        rows, columns = ceil_div(height, TILE), ceil_div(width, TILE)
        signs, count = _signs(indices), len(indices)
        parts = [
            self._features(signs[start : start + _TOGETHER], count)
            for start in range(0, len(signs), _TOGETHER)
        ]
        y_hat = _joined(np.concatenate(parts), rows, columns)
        y_hat = y_hat[:, : ceil_div(height, _STRIDE), : ceil_div(width, _STRIDE)]
        y_hat = np.ascontiguousarray(y_hat)
        z_hat = (signs.astype(np.float32) * 2 - 1).T.reshape(count * TOKEN_BITS, rows, columns)
        return Latents(
            self.name, self.model_hash, width, height, rate, _STRIDE, symbols, y_hat, z_hat
        )

    def _features(self, signs: Array, count: int) -> Floats:
        """Return features of tiles [T, C, 16, 16] from the signs of their first tokens."""
        side = TILE // _STRIDE
        values = self.signs.values(signs).transpose(0, 2, 1)
        return self._networks("features", float(count), values.reshape(len(signs), -1, side, side))

    # -- latents to pixels -----------------------------------------------------------------------

    def _drawn_from(
        self, latents: Latents
    ) -> tuple[Callable[[Floats], Floats], Floats, tuple[int, int], int, int, int]:
        """Return the arguments of draw()."""
        synthesis = self._networks.transform("synthesis")
        halo = ceil_div(synthesis.reach or 0, _STRIDE)
        size = latents.height, latents.width
        return synthesis.run, latents.y_hat, size, _CORE // _STRIDE, halo, _STRIDE

    def synthesise(self, latents: Latents) -> Pixels:
        return draw(*self._drawn_from(latents))

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        return draw_unrounded(*self._drawn_from(latents))


def _cut(features: Floats, side: int) -> Floats:
    """Return features [C, H, W] as tiles [T, C, side, side], row by row."""
    channels, height, width = features.shape
    parts = features.reshape(channels, height // side, side, width // side, side)
    return np.ascontiguousarray(parts.transpose(1, 3, 0, 2, 4)).reshape(-1, channels, side, side)


def _joined(tiles: Floats, rows: int, columns: int) -> Floats:
    """Reverse _cut(): map [rows * columns, C, h, w] to [C, rows * h, columns * w]."""
    _, channels, height, width = tiles.shape
    parts = tiles.reshape(rows, columns, channels, height, width).transpose(2, 0, 3, 1, 4)
    return parts.reshape(channels, rows * height, columns * width)


def _indices(signs: Array) -> Symbols:
    """Return signs bool [T, bits] as indices int32 [tokens, 2, T]."""
    place = 1 << np.arange(GROUP, dtype=np.int32)
    grouped = signs.reshape(len(signs), -1, TOKEN_BITS // GROUP, GROUP)
    found: Symbols = (grouped * place).sum(3, dtype=np.int32)
    return np.ascontiguousarray(found.transpose(1, 2, 0))


def _signs(indices: Symbols) -> Array:
    """Reverse _indices()."""
    place = np.arange(GROUP, dtype=np.int32)
    found = (indices.transpose(2, 0, 1)[..., None] >> place) & 1
    return found.astype(np.bool_).reshape(indices.shape[2], -1)
