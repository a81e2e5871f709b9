"""Codecs `context-s`, `-m` and `-l`: every step of y knows the steps before it.

The stream is one stack of symbols: all of z, then y step by step over the whole picture, each step
band by band of rows. It is stored last byte first, so that what is read first stands first and a
prefix of the bytes is a coarser picture. docs/codecs/context.md specifies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from quantal.codecs._context_net import ContextNet
from quantal.codecs._net import pad_to
from quantal.codecs._prices import Choose
from quantal.codecs._pyramid import QUARTERS, STRIDE, Batch, PyramidCodec
from quantal.codecs.base import Latents
from quantal.entropy.coder import Decoder
from quantal.entropy.context import CELL, ContextMean, ContextScale, ExactContext
from quantal.entropy.hyperprior import Z_STRIDE
from quantal.errors import ModelError, TruncatedError
from quantal.transforms import apply_in_windows

__all__ = ["Context", "ContextL", "ContextM", "ContextS"]

#: Cells in a band: 4 megapixels of the picture. Part of the format.
BAND_CELLS = 4096
#: Cells per axis of what one element of z stands for.
_Z_CELLS = Z_STRIDE // CELL


def bands(height: int, width: int) -> Iterator[slice]:
    """Rows of cells of each band; they start at multiples of what z stands for."""
    rows = max(BAND_CELLS // width // _Z_CELLS, 1) * _Z_CELLS
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


@dataclass(frozen=True)
class Symbols:
    """Of a whole picture, in cells: symbols int32 and scale indices uint8, both [4M, h/2, w/2]."""

    values: Tensor
    index: Tensor


class _Scales:
    """Scale indices of one picture, from z and from the symbols so far: integers alone."""

    def __init__(self, exact: ExactContext, z: Tensor, rate: int, rows: int, columns: int) -> None:
        """z: int32 [N, h', w'], in units of 2^-Z_BITS; rows, columns: of latents."""
        self.exact, self.rate_index = exact, rate // QUARTERS
        self.height, self.width = (-(-side // CELL) for side in (rows, columns))
        self.ragged = (rows % CELL != 0, columns % CELL != 0)
        features = torch.empty(exact.trunk.outputs, self.height, self.width, dtype=torch.int32)
        for band in bands(self.height, self.width):
            low, high = band.start // _Z_CELLS, -(-band.stop // _Z_CELLS)
            around = slice(max(low - ContextScale.trunk_reach, 0), high + ContextScale.trunk_reach)
            made = exact.features(z[None, :, around], self.rate_index)[0]
            top = (low - around.start) * _Z_CELLS
            features[:, band] = made[:, top : top + band.stop - band.start, : self.width]
        self.features = features

    def index(self, step: int, span: slice, band: slice, known: Tensor) -> Tensor:
        """Table indices uint8 [n, rows, w/2] of one step in a band; known: the symbols so far."""
        reach = ContextScale.reach
        around = slice(max(band.start - reach, 0), band.stop + reach)
        made = self.exact.index(
            step,
            self.features[None, :, around],
            known[None, : span.start, around],
            self.rate_index,
        )[0]
        top = band.start - around.start
        index = made[:, top : top + band.stop - band.start].to(torch.uint8).contiguous()
        # A last cell may reach beyond the latents; what is not there is surely zero.
        places = self.exact.elements[span] % (CELL * CELL)
        if self.ragged[0] and band.stop == self.height:
            index[places >= CELL, -1] = 0
        if self.ragged[1]:
            index[places % CELL == 1, :, -1] = 0
        return index


class _Means:
    """Means of one picture, from z and from the latents so far: floating point."""

    def __init__(self, codec: Context, z_hat: Tensor, rate: int, height: int, width: int) -> None:
        """height, width: of the picture in cells."""
        self.net, self.device, self.core = codec._net, codec.device, codec.core // CELL
        self.position = codec._position(rate)
        gain, ungain = (codec._cells.per_element(g[None])[0] for g in codec._gains(rate))
        self.gain, self.ungain = gain, ungain
        self.lean = self.net.lean.cpu()

        def features(part: Tensor) -> Tensor:
            return self.net.mean.features(part.to(self.device), self.position).cpu()

        core = self.core // _Z_CELLS
        made = apply_in_windows(features, z_hat[None], core, ContextMean.features_reach, _Z_CELLS)
        self.features = made[..., :height, :width]
        #: The latents so far, in cells; filled step by step.
        self.known = torch.empty(self.net.mean.spread.shape[0], height, width)

    def mean(self, step: int, span: slice) -> Tensor:
        """Means of a step [n, h/2, w/2], in units of its symbols."""

        def network(features: Tensor, known: Tensor) -> Tensor:
            parts = (features.to(self.device), known.to(self.device))
            return self.net.mean(step, *parts, self.position).cpu()

        known = self.known[None, : span.start]
        made = apply_in_windows(
            network, self.features, self.core, ContextMean.reach, beside=[known]
        )
        return made[0].mul_(self.gain[span])

    def tell(self, span: slice, mean: Tensor, symbols: Symbols) -> None:
        """Draw the latents of a step, for the steps after it."""
        values = symbols.values[span].float()
        lean = self.lean.index_select(0, symbols.index[span].int().flatten())
        values.addcmul_(values.sign(), lean.view(values.shape), value=-1)
        self.known[span] = values.add_(mean).mul_(self.ungain[span])


class Context(PyramidCodec):
    """A context codec with its weights loaded; device: where the floating-point networks run."""

    net_type = ContextNet
    _net: ContextNet
    _exact: ExactContext

    def __init__(self, weights: Path, device: torch.device) -> None:
        super().__init__(weights, device)
        if not self._y_tables.certain[0] or self._y_tables.first[0] != 0:
            raise ModelError(f"weights {weights.name}: scale index 0 does not mean a sure zero")
        #: Symbols are put in order on the CPU, wherever the networks run.
        self._cells = deepcopy(self._net.cells).cpu()
        self._spans = self._cells.spans

    # -- latents and bytes -------------------------------------------------------------------

    def _lean(self) -> Tensor:
        return self._net.lean.detach().cpu()

    def _write(self, coded: Iterable[Batch]) -> bytes:
        return super()._write(coded)[::-1]

    @torch.inference_mode()
    def _coded(
        self, latents: Tensor, rate: int, z: Tensor | None = None, choose: Choose | None = None
    ) -> Iterator[Batch]:
        z = self._quantise_z(latents, rate) if z is None else z
        choose = choose or self._prices.nearest
        yield self._z_batch(z, rate)
        scales = _Scales(self._exact, self._z_values(z, rate), rate, *latents.shape[-2:])
        means = _Means(self, self._z_hat(z, rate), rate, scales.height, scales.width)
        cells = self._cells.gather(pad_to(latents, CELL))[0]
        found = self._empty(scales)
        for step, span in enumerate(self._spans):
            mean = means.mean(step, span)
            residual = cells[span] * means.gain[span] - mean
            for band in bands(scales.height, scales.width):
                index = scales.index(step, span, band, found.values)
                symbols = choose(residual[:, band], index)
                found.values[span, band], found.index[span, band] = symbols, index
                flat = symbols.contiguous().numpy().reshape(-1)
                yield flat, index.numpy().reshape(-1), self._y_tables
            means.tell(span, mean, found)

    def _empty(self, scales: _Scales) -> Symbols:
        shape = (self._channels * CELL * CELL, scales.height, scales.width)
        return Symbols(torch.zeros(shape, dtype=torch.int32), torch.zeros(shape, dtype=torch.uint8))

    def _read(
        self, decoder: Decoder, size: int, width: int, height: int, rate: int, steps: int
    ) -> tuple[Tensor, Symbols]:
        """z and the symbols of the first `steps` steps; those of the others are zero."""
        whole = 0
        try:
            z = self._take_z(decoder, size, width, height, rate)
            sides = (-(-side // STRIDE) for side in (height, width))
            scales = _Scales(self._exact, self._z_values(z, rate), rate, *sides)
            found = self._empty(scales)
            for step, span in enumerate(self._spans[:steps]):
                whole = step + 1
                for band in bands(scales.height, scales.width):
                    index = scales.index(step, span, band, found.values)
                    taken = decoder.take(index.numpy().reshape(-1), self._y_tables)
                    found.values[span, band] = torch.from_numpy(taken).view(index.shape)
                    found.index[span, band] = index
        except TruncatedError as error:
            advice = f", or draw what is there: --max-parts {whole} (in Python max_parts={whole})"
            raise TruncatedError(
                f"the stream was cut inside part {whole + 1} of its {1 + len(self._spans)}; "
                f"fetch it again{advice if whole else ''}"
            ) from error
        return z, found

    def _read_all(
        self, payload: bytes, width: int, height: int, rate: int
    ) -> tuple[Tensor, Symbols]:
        decoder = Decoder(payload[::-1])
        read = self._read(decoder, len(payload), width, height, rate, len(self._spans))
        decoder.finish()
        return read

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Returns z int32 [N, h', w'] and, for each step, its elements int32 [n, h/2, w/2]."""
        z, found = self._read_all(payload, width, height, rate)
        return [z, *(found.values[span] for span in self._spans)]

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        z, values = symbols[0], torch.cat(symbols[1:])
        sides = (-(-side // STRIDE) for side in (height, width))
        scales = _Scales(self._exact, self._z_values(z, rate), rate, *sides)
        index = torch.empty(values.shape, dtype=torch.uint8)
        for step, span in enumerate(self._spans):
            for band in bands(scales.height, scales.width):
                index[span, band] = scales.index(step, span, band, values)
        return self._latents(z, Symbols(values, index), width, height, rate)

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        # At once, because parsing has found the scale indices already.
        return self._latents(*self._read_all(payload, width, height, rate), width, height, rate)

    def read_start(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """The first part is z, the others are the steps."""
        decoder = Decoder(payload[::-1], missing)
        # z is the first part: what isn't there of the payload doesn't justify any of it.
        read = self._read(decoder, len(payload), width, height, rate, parts - 1)
        return self._latents(*read, width, height, rate)

    def _latents(self, z: Tensor, found: Symbols, width: int, height: int, rate: int) -> Latents:
        # What is returned is made outside: a model may be trained on latents.
        z_hat = self._z_hat(z, rate)
        means = _Means(self, z_hat, rate, *found.values.shape[-2:])
        with torch.inference_mode():
            for step, span in enumerate(self._spans):
                means.tell(span, means.mean(step, span), found)
        rows, columns = (-(-side // STRIDE) for side in (height, width))
        y_hat = self._cells.scatter(means.known[None])[0, :, :rows, :columns]
        symbols = [z, *(found.values[span] for span in self._spans)]
        return Latents(self.name, width, height, rate, STRIDE, symbols, y_hat.contiguous(), z_hat)


class ContextS(Context):
    """The smallest: about 10 kMAC/pixel to decode."""

    name = "context-s"


class ContextM(Context):
    """The default: about 30 kMAC/pixel to decode."""

    name = "context-m"


class ContextL(Context):
    """The largest, for machines with a GPU: 150 kMAC/pixel or more."""

    name = "context-l"
