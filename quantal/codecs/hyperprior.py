"""Codec `hyperprior`: pyramid transforms, exact scales from z, one model for all rates.

The stream is one stack of symbols: all of z, then y band by band of rows, so that memory stays
bounded for pictures of any size. docs/codecs/hyperprior.md specifies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._hyperprior_net import pad_to
from quantal.codecs._hyperprior_weights import Z_TABLE_STEP, HyperpriorWeights, read_weights
from quantal.codecs.base import Codec, Latents, Pixels, UnroundedPixels
from quantal.entropy.coder import Decoder, Encoder, IndexArray, IntArray, estimate_bits
from quantal.entropy.hyperprior import Z_BITS, Z_LIMIT, Z_STRIDE, HyperAnalysis, MeanNet
from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError
from quantal.transforms import apply_in_windows

__all__ = ["Hyperprior"]

STRIDE = 16
#: A rate of a file counts quarters of a rate index.
QUARTERS = 4
#: Latents per channel in a band: 4 megapixels of the picture. Part of the format.
BAND_POSITIONS = 16384
#: A window's core, in latents: 2.4 megapixels keep the networks below a gigabyte.
_CORE = 96


def _halo(pixels: int, unit: int) -> int:
    """The smallest multiple of `unit` that is at least `pixels`."""
    return -(-pixels // unit) * unit


def bands(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Rows of latents (start, end) of each band; starts are multiples of Z_STRIDE."""
    rows = max(BAND_POSITIONS // width // Z_STRIDE, 1) * Z_STRIDE
    for start in range(0, height, rows):
        yield start, min(start + rows, height)


class Hyperprior(Codec):
    """The codec with its weights loaded; device: where the floating-point networks run."""

    name = "hyperprior"

    def __init__(self, weights: Path, device: torch.device) -> None:
        loaded: HyperpriorWeights = read_weights(weights)
        super().__init__(device, loaded.hash)
        self._net = loaded.net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._exact = loaded.exact
        self._z_units = loaded.z_units
        self._y_tables = loaded.y_tables
        self._z_tables = loaded.z_tables
        self._channels = loaded.net.config.channels[-1]
        self._z_channels = loaded.net.config.z_channels

    # -- pixels and latents ------------------------------------------------------------------

    def analyse(self, pixels: Pixels) -> Tensor:
        """pixels: uint8 [H, W, 3]; returns y [1, M, ceil(H / 16), ceil(W / 16)] on the CPU."""
        height, width = pixels.shape[:2]
        edges = ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0))
        padded = np.pad(pixels, edges, mode="edge") if edges[0][1] or edges[1][1] else pixels
        plane = torch.from_numpy(np.require(padded, requirements=["C", "W"])).permute(2, 0, 1)[None]
        reach = _halo(self._net.analysis.reach, STRIDE)

        def network(part: Tensor) -> Tensor:
            scaled = part.to(self.device).float().div_(255)
            return self._net.analysis(scaled).cpu()

        return apply_in_windows(network, plane, _CORE * STRIDE, reach, Fraction(1, STRIDE))

    def synthesise(self, latents: Latents) -> Pixels:
        """Returns uint8 [H, W, 3]."""
        return self._draw(latents, lambda drawn: drawn.round_().to(torch.uint8)).numpy()

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Returns float32 [H, W, 3], 0..255."""
        return self._draw(latents, lambda drawn: drawn).numpy()

    def _draw(self, latents: Latents, finish: Callable[[Tensor], Tensor]) -> Tensor:
        """Draw, window by window, what `finish` makes of samples in 0..255: [H, W, 3]."""
        reach = _halo(self._net.synthesis.reach, STRIDE) // STRIDE

        def network(part: Tensor) -> Tensor:
            drawn = self._net.synthesis(part.to(self.device))
            return finish(drawn.mul_(255).clamp_(0, 255)).cpu()

        plane = apply_in_windows(network, latents.y_hat[None], _CORE, reach, STRIDE)
        cropped = plane[0, :, : latents.height, : latents.width].permute(1, 2, 0)
        return cropped.contiguous()

    # -- latents and bytes -------------------------------------------------------------------

    def encode(self, latents: Tensor, rate: int) -> bytes:
        encoder = Encoder()
        for symbols, index, tables in self._coded(latents, rate):
            encoder.put(symbols, index, tables)
        return encoder.finish()

    def estimate_bits(self, latents: Tensor, rate: int) -> float:
        """Bits that encode() would spend, by the tables; it should be right to a few bytes."""
        coded = self._coded(latents, rate)
        return sum(estimate_bits(symbols, index, tables) for symbols, index, tables in coded)

    def _coded(self, latents: Tensor, rate: int) -> Iterator[tuple[IntArray, IndexArray, TableSet]]:
        """Yield (symbols, table index, tables) in coding order."""
        height, width = latents.shape[-2:]
        position = self._position(rate)
        z = self._quantise_z(latents, position)
        yield z.numpy().reshape(-1), self._z_index(z[0].numel()), self._z_tables_at(rate)
        with torch.inference_mode():
            gain = self._net.gain(position)[0].cpu()
            for start, end in bands(height, width):
                index = self._scale_index(z, rate, start, end, width)
                mean = self._means(z, rate, start, end, width) * gain
                residual = latents[0, :, start:end] * gain - mean
                symbols = residual.round_().to(torch.int32)
                certain = torch.from_numpy(self._y_tables.certain)[index.int()]
                symbols[certain] = 0
                yield symbols.numpy().reshape(-1), index.numpy().reshape(-1), self._y_tables

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Returns [z int32 [N, h', w'], y int32 [M, h, w]]."""
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        z_rows, z_columns = -(-rows // Z_STRIDE), -(-columns // Z_STRIDE)
        z_tables = self._z_tables_at(rate)
        # No symbol of z is free, so that a size which the bytes can't hold is known at once.
        least = z_tables.least_bits.sum() * z_rows * z_columns / 8
        if len(payload) + 8 < least:
            raise CorruptError(
                f"a picture of {width}x{height} needs at least {int(least)} bytes of image part, "
                f"this one has {len(payload)}: its header is wrong"
            )
        decoder = Decoder(payload)
        flat = decoder.take(self._z_index(z_rows * z_columns), z_tables)
        # Not by magnitude: the lowest int32 has none.
        if flat.min() < -Z_LIMIT or flat.max() > Z_LIMIT:
            raise CorruptError(f"a symbol of z is beyond {Z_LIMIT}: the image part is damaged")
        z = torch.from_numpy(flat).view(self._z_channels, z_rows, z_columns)
        y = torch.empty(self._channels, rows, columns, dtype=torch.int32)
        for start, end in bands(rows, columns):
            index = self._scale_index(z, rate, start, end, columns)
            taken = decoder.take(index.numpy().reshape(-1), self._y_tables)
            y[:, start:end] = torch.from_numpy(taken).view(self._channels, end - start, columns)
        decoder.finish()
        return [z, y]

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        z, y = symbols
        position = self._position(rate)
        columns = y.shape[-1]
        with torch.inference_mode():
            gain, ungain = self._net.gain(position)[0].cpu(), self._net.ungain(position)[0].cpu()
            y_hat = torch.empty(y.shape, dtype=torch.float32)
            for start, end in bands(*y.shape[1:]):
                mean = self._means(z, rate, start, end, columns) * gain
                y_hat[:, start:end] = (y[:, start:end] + mean) * ungain
            z_hat = self._z_values(z, rate).float() * 2.0**-Z_BITS
        return Latents(self.name, width, height, rate, STRIDE, symbols, y_hat, z_hat)

    # -- the side information ----------------------------------------------------------------

    def _position(self, rate: int) -> Tensor:
        return torch.tensor([rate / QUARTERS], device=self.device)

    def _z_tables_at(self, rate: int) -> TableSet:
        return self._z_tables[rate // (QUARTERS * Z_TABLE_STEP)]

    def _z_index(self, positions: int) -> IndexArray:
        """z's table index: its channel, [N * positions]."""
        return np.repeat(np.arange(self._z_channels, dtype=np.uint8), positions)

    def _quantise_z(self, latents: Tensor, position: Tensor) -> Tensor:
        """Latents [1, M, h, w] to z's symbols, int32 [N, ceil(h / 4), ceil(w / 4)]."""

        def network(part: Tensor) -> Tensor:
            z = self._net.hyper_analysis(part.to(self.device), position)
            z = (z * self._net.z_gain(position)).round().clamp(-Z_LIMIT, Z_LIMIT)
            return z.to(torch.int32).cpu()

        halo = _halo(HyperAnalysis.reach, Z_STRIDE)
        padded = pad_to(latents, Z_STRIDE)
        return apply_in_windows(network, padded, _CORE, halo, Fraction(1, Z_STRIDE))[0]

    def _z_values(self, z: Tensor, rate: int) -> Tensor:
        """z's symbols [..., N, h', w'] as whole numbers of 2^-Z_BITS, int32."""
        return z * self._z_units[rate // QUARTERS][:, None, None]

    def _around(
        self, z: Tensor, start: int, end: int, reach: int, apply: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Apply a 4x upsampling network to the rows of z around the rows start..end of y."""
        low = max(start // Z_STRIDE - reach, 0)
        high = min(-(-end // Z_STRIDE) + reach, z.shape[-2])
        fine = apply(z[None, :, low:high])[0]
        return fine[:, start - low * Z_STRIDE : end - low * Z_STRIDE]

    def _scale_index(self, z: Tensor, rate: int, start: int, end: int, width: int) -> Tensor:
        """Table index of rows start..end of y, uint8 [M, rows, width]: integers alone."""

        def network(part: Tensor) -> Tensor:
            return self._exact(self._z_values(part, rate), rate // QUARTERS)

        index = self._around(z, start, end, 2, network)
        return index[..., :width].to(torch.uint8).contiguous()

    def _means(self, z: Tensor, rate: int, start: int, end: int, width: int) -> Tensor:
        """Means of rows start..end of y [M, rows, width], in the latents' own units."""
        position = self._position(rate)

        def network(part: Tensor) -> Tensor:
            z_hat = self._z_values(part, rate).to(self.device).float() * 2.0**-Z_BITS
            return self._net.mean(z_hat, position).cpu()

        def windowed(part: Tensor) -> Tensor:
            return apply_in_windows(network, part, _CORE // 2, MeanNet.reach, Z_STRIDE)

        return self._around(z, start, end, MeanNet.reach, windowed)[..., :width]

