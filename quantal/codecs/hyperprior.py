"""Codec `hyperprior`: pyramid transforms, exact scales from z, one model for all rates.

The stream is one stack of symbols: all of z, then y band by band of rows, so that memory stays
bounded for pictures of any size. docs/codecs/hyperprior.md specifies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from quantal.codecs._hyperprior_net import HyperpriorNet
from quantal.codecs._prices import Choose
from quantal.codecs._pyramid import QUARTERS, STRIDE, Batch, PyramidCodec
from quantal.codecs.base import Latents
from quantal.entropy.coder import Decoder
from quantal.entropy.hyperprior import Z_STRIDE, MeanNet
from quantal.transforms import apply_in_windows

__all__ = ["Hyperprior"]

#: Latents per channel in a band: 4 megapixels of the picture. Part of the format.
BAND_POSITIONS = 16384


def bands(height: int, width: int) -> Iterator[slice]:
    """Rows of latents of each band; they start at multiples of Z_STRIDE."""
    rows = max(BAND_POSITIONS // width // Z_STRIDE, 1) * Z_STRIDE
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


class Hyperprior(PyramidCodec):
    """The codec with its weights loaded; device: where the floating-point networks run."""

    name = "hyperprior"
    net_type = HyperpriorNet

    @torch.inference_mode()
    def _coded(
        self, latents: Tensor, rate: int, z: Tensor | None = None, choose: Choose | None = None
    ) -> Iterator[Batch]:
        z = self._quantise_z(latents, rate) if z is None else z
        choose = choose or self._prices.nearest
        height, width = latents.shape[-2:]
        yield self._z_batch(z, rate)
        gain, _ = self._gains(rate)
        for band in bands(height, width):
            index = self._scale_index(z, rate, band, width)
            mean = self._means(z, rate, band, width) * gain
            symbols = choose(latents[0, :, band] * gain - mean, index)
            yield symbols.numpy().reshape(-1), index.numpy().reshape(-1), self._y_tables

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Returns [z int32 [N, h', w'], y int32 [M, h, w]]."""
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        decoder = Decoder(payload)
        z = self._take_z(decoder, len(payload), width, height, rate)
        y = torch.empty(self._channels, rows, columns, dtype=torch.int32)
        for band in bands(rows, columns):
            index = self._scale_index(z, rate, band, columns)
            taken = decoder.take(index.numpy().reshape(-1), self._y_tables)
            y[:, band] = torch.from_numpy(taken).view(self._channels, -1, columns)
        decoder.finish()
        return [z, y]

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        z, y = symbols
        columns = y.shape[-1]
        # What is returned is made outside: a model may be trained on latents.
        y_hat, z_hat = torch.empty(y.shape, dtype=torch.float32), self._z_hat(z, rate)
        with torch.inference_mode():
            gain, ungain = self._gains(rate)
            for band in bands(*y.shape[1:]):
                mean = self._means(z, rate, band, columns) * gain
                y_hat[:, band] = (y[:, band] + mean) * ungain
        return Latents(self.name, width, height, rate, STRIDE, symbols, y_hat, z_hat)

    def _around(
        self, z: Tensor, band: slice, reach: int, apply: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Apply a 4x upsampling network to the rows of z around a band of rows of y."""
        low = max(band.start // Z_STRIDE - reach, 0)
        high = min(-(-band.stop // Z_STRIDE) + reach, z.shape[-2])
        fine = apply(z[None, :, low:high])[0]
        return fine[:, band.start - low * Z_STRIDE : band.stop - low * Z_STRIDE]

    def _scale_index(self, z: Tensor, rate: int, band: slice, width: int) -> Tensor:
        """Table index of a band of y, uint8 [M, rows, width]: integers alone."""

        def network(part: Tensor) -> Tensor:
            return self._exact(self._z_values(part, rate), rate // QUARTERS)

        index = self._around(z, band, 2, network)
        return index[..., :width].to(torch.uint8).contiguous()

    def _means(self, z: Tensor, rate: int, band: slice, width: int) -> Tensor:
        """Means of a band of y [M, rows, width], in the latents' own units."""
        position = self._position(rate)

        def network(part: Tensor) -> Tensor:
            return self._net.mean(self._z_hat(part, rate).to(self.device), position).cpu()

        def windowed(part: Tensor) -> Tensor:
            return apply_in_windows(network, part, self.core // 2, MeanNet.reach, Z_STRIDE)

        return self._around(z, band, MeanNet.reach, windowed)[..., :width]
