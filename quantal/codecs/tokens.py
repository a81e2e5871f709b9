"""Codec `tokens`: a tile of 256x256 pixels as up to 128 binary tokens, most important first.

The stream holds the first token of every tile, then the second of every tile, and so on; it is
stored last byte first, so that any prefix of a file is a coarser picture. docs/codecs/tokens.md
specifies it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._token_net import GROUP, TILE, TOKEN_BITS, indices_of, joined, signs_of
from quantal.codecs._token_weights import INDICES, read_token_weights
from quantal.codecs.base import Codec, Latents, Pixels, UnroundedPixels, plane_of
from quantal.entropy.coder import Decoder, Encoder, IndexArray
from quantal.errors import CorruptError, TruncatedError
from quantal.transforms import apply_in_windows

__all__ = ["Tokens"]

_LAST_RATE = 252
#: Pixels of a latent; tiles that go through attention together; a window's core, in pixels.
_STRIDE, _TOGETHER, _CORE = 16, 16, 1536


@cache
def tokens_at(rate: int, most: int) -> int:
    """most^(rate / 252), rounded, in whole numbers: it decides how bits are read.

    >>> tokens_at(0, 128), tokens_at(126, 128), tokens_at(252, 128)
    (1, 11, 128)
    """
    wanted = 2**_LAST_RATE * most**rate
    return sum((2 * n - 1) ** _LAST_RATE <= wanted for n in range(1, most + 1))


class Tokens(Codec):
    """The codec with its weights loaded; device: where the networks run."""

    name = "tokens"

    def __init__(self, weights: Path, device: torch.device) -> None:
        loaded = read_token_weights(weights)
        super().__init__(device, loaded.hash)
        self._net = loaded.net.to(device)
        self._tables = loaded.tables

    def tokens_of(self, rate: int) -> int:
        """Tokens of a tile at a rate 0..252: from 1 to all, evenly in the log domain."""
        return tokens_at(rate, self._net.config.tokens)

    # -- pixels and signs --------------------------------------------------------------------

    @torch.inference_mode()
    def analyse(self, pixels: Pixels) -> Tensor:
        """pixels: uint8 [H, W, 3]; returns the signs of every tile, bool [T, bits]."""
        analysis = self._net.analysis

        def network(part: Tensor) -> Tensor:
            return analysis(part.to(self.device).float().div_(255)).cpu()

        halo = -(-analysis.reach // _STRIDE) * _STRIDE
        features = apply_in_windows(
            network, plane_of(pixels, TILE), _CORE, halo, Fraction(1, _STRIDE)
        )
        net, signs = self._net, []
        for tiles in torch.split(net.tiled(features), _TOGETHER):
            signs.append(net.signs(net.coefficients(tiles.to(self.device))).cpu())
        return torch.cat(signs)

    def encode(self, latents: Tensor, rate: int) -> bytes:
        indices = indices_of(latents).permute(1, 2, 0).to(torch.int32).numpy()
        encoder = Encoder()
        for token in range(self.tokens_of(rate)):
            flat = np.ascontiguousarray(indices[token]).reshape(-1)
            encoder.put(flat, self._states(token, len(latents)), self._tables)
        return encoder.finish()[::-1]

    def _states(self, token: int, tiles: int) -> IndexArray:
        """The tables of a token's indices: of every tile the first one, then the second."""
        return np.repeat(np.arange(INDICES, dtype=np.uint8) + INDICES * token, tiles)

    # -- bytes and signs ---------------------------------------------------------------------

    def _take(self, decoder: Decoder, size: int, width: int, height: int, tokens: int) -> Tensor:
        """Indices of the first tokens, int32 [tokens, 2, T]."""
        rows, columns = -(-height // TILE), -(-width // TILE)
        tiles = rows * columns
        least = float(self._tables.least_bits[: INDICES * tokens].sum()) * tiles / 8
        if size + 8 < least:
            lack = (
                f"{tokens} tokens of {tiles} tiles need at least {int(least)} bytes of image part, "
                f"this one has {size}"
            )
            if decoder.cut:
                raise TruncatedError(f"{lack}: it was cut")
            raise CorruptError(f"{lack}: its header is wrong")
        found = np.empty((tokens, INDICES, tiles), np.int32)
        for token in range(tokens):
            try:
                taken = decoder.take(self._states(token, tiles), self._tables)
            except TruncatedError as error:
                advice = (
                    f", or draw what is there: --max-parts {token} (in Python max_parts={token})"
                )
                raise TruncatedError(
                    f"the stream was cut inside token {token + 1} of {tokens}; fetch it again"
                    f"{advice if token else ''}"
                ) from error
            if int(taken.min()) < 0 or int(taken.max()) >= 1 << GROUP:
                raise CorruptError(
                    f"index {int(taken.max())} found, expected 0..{(1 << GROUP) - 1}: the image "
                    "part is damaged"
                )
            found[token] = taken.reshape(INDICES, tiles)
        return torch.from_numpy(found)

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Returns [indices int32 [tokens, 2, tiles]]."""
        decoder = Decoder(payload[::-1])
        found = self._take(decoder, len(payload), width, height, self.tokens_of(rate))
        decoder.finish()
        return [found]

    def read_start(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """The parts are tokens."""
        decoder = Decoder(payload[::-1], missing)
        tokens = min(parts, self.tokens_of(rate))
        found = self._take(decoder, len(payload), width, height, tokens)
        return self.dequantise([found], width, height, rate)

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        """y_hat: features at 1/16; z_hat: every tile's tokens as signs, +1 or -1 [bits, h, w]."""
        (indices,) = symbols
        rows, columns = -(-height // TILE), -(-width // TILE)
        signs = signs_of(indices.permute(2, 0, 1).long())
        count = len(indices)
        with torch.inference_mode():
            parts = [self._features(part, count) for part in torch.split(signs, _TOGETHER)]
        # What is returned is made outside: a model may be trained on latents.
        y_hat = joined(torch.cat(parts).clone(), rows, columns)[0]
        y_hat = y_hat[:, : -(-height // _STRIDE), : -(-width // _STRIDE)].contiguous()
        z_hat = (signs.float() * 2 - 1).T.reshape(count * TOKEN_BITS, rows, columns)
        return Latents(self.name, width, height, rate, _STRIDE, symbols, y_hat, z_hat)

    def _features(self, signs: Tensor, count: int) -> Tensor:
        """Features of tiles [T, C, 16, 16] from the signs of their first tokens."""
        bits = self._net.config.tokens * TOKEN_BITS
        whole = torch.zeros(len(signs), bits, dtype=torch.bool)
        whole[:, : signs.shape[1]] = signs
        tokens = torch.full((len(signs),), float(count), device=self.device)
        values = self._net.valued(whole.to(self.device), tokens)
        return self._net.features(values, tokens).cpu()

    # -- latents to pixels -------------------------------------------------------------------

    def synthesise(self, latents: Latents) -> Pixels:
        """Returns uint8 [H, W, 3]."""
        return self._draw(latents, lambda drawn: drawn.round_().to(torch.uint8)).numpy()

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Returns float32 [H, W, 3], 0..255."""
        return self._draw(latents, lambda drawn: drawn).numpy()

    @torch.inference_mode()
    def _draw(self, latents: Latents, finish: Callable[[Tensor], Tensor]) -> Tensor:
        """Draw, window by window, what `finish` makes of samples in 0..255: [H, W, 3]."""
        synthesis = self._net.synthesis

        def network(part: Tensor) -> Tensor:
            drawn = synthesis(part.to(self.device))
            return finish(drawn.mul_(255).clamp_(0, 255)).cpu()

        halo = -(-synthesis.reach // _STRIDE)
        plane = apply_in_windows(network, latents.y_hat[None], _CORE // _STRIDE, halo, _STRIDE)
        return plane[0, :, : latents.height, : latents.width].permute(1, 2, 0).contiguous()
