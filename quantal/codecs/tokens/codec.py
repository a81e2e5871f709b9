"""Codec `tokens`: a tile of 256x256 pixels as up to 128 binary tokens, most important first."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from quantal.codecs.contract import Codec, Latents, Pixels, UnroundedPixels
from quantal.codecs.drawing import draw, draw_unrounded, plane_of
from quantal.codecs.tokens.net import indices_of, joined, signs_of
from quantal.codecs.tokens.walk import TILE, TOKEN_BITS, tokens_at, walk_tokens
from quantal.codecs.tokens.weights import read_token_weights
from quantal.entropy.walk import Reading, Writing
from quantal.errors import TruncatedError
from quantal.planes import ceil_div, round_up
from quantal.transforms import apply_in_windows

__all__ = ["Tokens"]

#: Pixels of a latent; tiles that go through attention together; a window's core, in pixels.
_STRIDE, _TOGETHER, _CORE = 16, 16, 1536


class _Encoding:
    """One picture being coded; its signs, bool [T, bits], serve every rate."""

    def __init__(self, codec: Tokens, signs: Tensor) -> None:
        self._codec, self.signs = codec, signs

    def at(self, rate: int) -> bytes:
        indices = indices_of(self.signs).permute(1, 2, 0).to(torch.int32)
        return self._codec.recode([indices], 0, 0, rate)


class Tokens(Codec):
    """The codec with its weights loaded; see Codec.

    Args:
        name: is written to files.
        weights: the file.
        device: where the networks run.
    """

    def __init__(self, name: str, weights: Path, device: torch.device) -> None:
        loaded = read_token_weights(weights)
        super().__init__(name, device, loaded.hash)
        self._net = loaded.net.to(device)
        self.tables = loaded.tables

    def tokens_of(self, rate: int) -> int:
        """Return the tokens of a tile at a rate 0..252: from 1 to all, evenly in the log domain."""
        return tokens_at(rate, self._net.config.tokens)

    # -- pixels and signs ------------------------------------------------------------------------

    @torch.inference_mode()
    def encoding(self, pixels: Pixels) -> _Encoding:
        analysis = self._net.analysis

        def network(part: Tensor) -> Tensor:
            return analysis(part.to(self.device).float().div_(255)).cpu()

        halo = round_up(analysis.reach, _STRIDE)
        features = apply_in_windows(
            network, plane_of(pixels, TILE), _CORE, halo, Fraction(1, _STRIDE)
        )
        net, signs = self._net, []
        for tiles in torch.split(net.tiled(features), _TOGETHER):
            signs.append(net.signs(net.coefficients(tiles.to(self.device))).cpu())
        return _Encoding(self, torch.cat(signs))

    # -- bytes and signs -------------------------------------------------------------------------

    def _read(self, reading: Reading, width: int, height: int, tokens: int) -> Tensor:
        """Return the indices of the first tokens, int32 [tokens, 2, T]."""
        tiles = ceil_div(height, TILE) * ceil_div(width, TILE)
        try:
            return torch.from_numpy(walk_tokens(reading, self.tables, tokens, tiles))
        except TruncatedError as error:
            raise reading.cut_error(tokens) from error

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Return the symbols: [indices int32 [tokens, 2, tiles]]."""
        reading = Reading(payload, progressive=True, what=f"a picture of {width}x{height}")
        found = self._read(reading, width, height, self.tokens_of(rate))
        reading.finish()
        return [found]

    def recode(self, symbols: list[Tensor], width: int, height: int, rate: int) -> bytes:
        """Return the image part that symbols were parsed from; see contract.Recoding."""
        (indices,) = symbols
        writing = Writing([indices.numpy()])
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

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        """Return latents; see Codec.dequantise().

        `y_hat` is features at 1/16, `z_hat` every tile's tokens as signs, +1 or -1 [bits, h, w].
        """
        (indices,) = symbols
        rows, columns = ceil_div(height, TILE), ceil_div(width, TILE)
        signs = signs_of(indices.permute(2, 0, 1).long())
        count = len(indices)
        with torch.inference_mode():
            parts = [self._features(part, count) for part in torch.split(signs, _TOGETHER)]
        # Results are made outside of inference mode: models may be trained on latents.
        y_hat = joined(torch.cat(parts).clone(), rows, columns)[0]
        y_hat = y_hat[:, : ceil_div(height, _STRIDE), : ceil_div(width, _STRIDE)].contiguous()
        z_hat = (signs.float() * 2 - 1).T.reshape(count * TOKEN_BITS, rows, columns)
        return Latents(
            self.name, self.model_hash, width, height, rate, _STRIDE, symbols, y_hat, z_hat
        )

    def _features(self, signs: Tensor, count: int) -> Tensor:
        """Return features of tiles [T, C, 16, 16] from the signs of their first tokens."""
        bits = self._net.config.tokens * TOKEN_BITS
        whole = torch.zeros(len(signs), bits, dtype=torch.bool)
        whole[:, : signs.shape[1]] = signs
        tokens = torch.full((len(signs),), float(count), device=self.device)
        values = self._net.valued(whole.to(self.device), tokens)
        return self._net.features(values, tokens).cpu()

    # -- latents to pixels -----------------------------------------------------------------------

    def _drawn_from(
        self, latents: Latents
    ) -> tuple[Callable[[Tensor], Tensor], Tensor, tuple[int, int], int, int, int]:
        """Return the arguments of draw()."""
        synthesis = self._net.synthesis
        size = latents.height, latents.width
        halo = ceil_div(synthesis.reach, _STRIDE)

        def network(part: Tensor) -> Tensor:
            return synthesis(part.to(self.device))

        return network, latents.y_hat[None], size, _CORE // _STRIDE, halo, _STRIDE

    def synthesise(self, latents: Latents) -> Pixels:
        return draw(*self._drawn_from(latents))

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        return draw_unrounded(*self._drawn_from(latents))
