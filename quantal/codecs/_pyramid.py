"""What our codecs share: pixels through pyramid transforms, windows for large pictures, and z.

A subclass says how y is coded: in which order, under which scales, with which means.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._net import CodecNet, pad_to
from quantal.codecs._prices import Choose, Prices
from quantal.codecs._search import (
    ITERATIONS,
    WORTH,
    Method,
    Scene,
    anneal,
    improved,
    step_once,
)
from quantal.codecs._weights import Z_TABLE_STEP, read_weights
from quantal.codecs.base import Codec, Latents, Pixels, Tell, UnroundedPixels, plane_of
from quantal.entropy.coder import Decoder, Encoder, IndexArray, IntArray, estimate_bits
from quantal.entropy.hyperprior import Z_BITS, Z_LIMIT, Z_STRIDE, HyperAnalysis
from quantal.entropy.scales import SCALES
from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError, ModelError, TruncatedError
from quantal.transforms import PyramidAnalysis, PyramidSynthesis, apply_in_windows

__all__ = ["QUARTERS", "STRIDE", "Batch", "PyramidCodec"]

STRIDE = 16
#: A rate of a file counts quarters of a rate index.
QUARTERS = 4
#: Symbols, their table indices, and the tables: what the coder is given at a time.
Batch = tuple[IntArray, IndexArray, TableSet]


def _multiple(pixels: int, unit: int) -> int:
    """The smallest multiple of `unit` that is at least `pixels`."""
    return -(-pixels // unit) * unit


class PyramidCodec(Codec):
    """A codec with its weights loaded; device: where the floating-point networks run."""

    net_type: ClassVar[type[CodecNet]]
    #: A window's core, in latents: 2.4 megapixels keep the networks below a gigabyte.
    core = 96
    #: The same for a search, which has to remember what the networks did.
    search_core = 48
    efforts = (0, *ITERATIONS)

    def __init__(self, weights: Path, device: torch.device) -> None:
        loaded = read_weights(weights)
        if not isinstance(loaded.net, self.net_type):
            raise ModelError(
                f"weights {weights.name} are of another codec: {loaded.net.layout!r}, expected "
                f"{self.net_type.layout!r}"
            )
        super().__init__(device, loaded.hash)
        self._net = loaded.net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net.requires_grad_(False)
        self._exact = loaded.exact
        self._z_units = loaded.z_units
        self._y_tables = loaded.y_tables
        self._z_tables = loaded.z_tables
        self._prices = Prices(loaded.y_tables, self._lean())
        self._channels = loaded.net.config.channels[-1]
        self._z_channels = loaded.net.config.z_channels

    @property
    def net(self) -> CodecNet:
        """The floating-point networks."""
        return self._net

    @property
    def latent_channels(self) -> int:
        """M, the channels of y."""
        return self._channels

    def _lean(self) -> Tensor:
        """How much nearer to zero than itself a symbol is drawn, for each scale index [64]."""
        return torch.zeros(SCALES)

    # -- pixels and latents ------------------------------------------------------------------

    def analyse(self, pixels: Pixels) -> Tensor:
        """pixels: uint8 [H, W, 3]; returns y [1, M, ceil(H / 16), ceil(W / 16)] on the CPU."""
        plane = plane_of(pixels, STRIDE)
        core, reach = self._window(self._net.analysis)

        def network(part: Tensor) -> Tensor:
            scaled = part.to(self.device).float().div_(255)
            return self._net.analysis(scaled).cpu()

        return apply_in_windows(network, plane, core, reach, Fraction(1, STRIDE))

    def synthesise(self, latents: Latents) -> Pixels:
        """Returns uint8 [H, W, 3]."""
        return self._draw(latents, lambda drawn: drawn.round_().to(torch.uint8)).numpy()

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Returns float32 [H, W, 3], 0..255."""
        return self._draw(latents, lambda drawn: drawn).numpy()

    def _draw(self, latents: Latents, finish: Callable[[Tensor], Tensor]) -> Tensor:
        """Draw, window by window, what `finish` makes of samples in 0..255: [H, W, 3]."""
        core, reach = (pixels // STRIDE for pixels in self._window(self._net.synthesis))

        def network(part: Tensor) -> Tensor:
            drawn = self._net.synthesis(part.to(self.device, memory_format=torch.channels_last))
            return finish(drawn.mul_(255).clamp_(0, 255)).cpu()

        plane = apply_in_windows(network, latents.y_hat[None], core, reach, STRIDE)
        cropped = plane[0, :, : latents.height, : latents.width].permute(1, 2, 0)
        return cropped.contiguous()

    def _window(self, transform: PyramidAnalysis | PyramidSynthesis) -> tuple[int, int]:
        """Core and halo, in pixels, with which a transform runs over a large picture."""
        unit = transform.alignment
        return _multiple(self.core * STRIDE, unit), _multiple(transform.reach, unit)

    # -- latents and bytes -------------------------------------------------------------------

    @abstractmethod
    def _coded(
        self, latents: Tensor, rate: int, z: Tensor | None = None, choose: Choose | None = None
    ) -> Iterator[Batch]:
        """All symbols in coding order; z's come first.

        z: its symbols, if they don't follow from these latents. choose: how y's residuals become
        symbols, if not to the nearest.
        """

    def _write(self, coded: Iterable[Batch]) -> bytes:
        encoder = Encoder()
        for symbols, index, tables in coded:
            encoder.put(symbols, index, tables)
        return encoder.finish()

    def encode(self, latents: Tensor, rate: int) -> bytes:
        return self._write(self._coded(latents, rate))

    @torch.inference_mode(False)  # or a caller's would keep gradients from being taken
    def search(self, latents: Tensor, pixels: Pixels, rate: int, effort: int, tell: Tell) -> bytes:
        """1: one step of descent, then rounding by prices. 2, 3: annealing, short and long."""
        if effort not in ITERATIONS:
            return super().search(latents, pixels, rate, effort, tell)
        z = self._quantise_z(latents, rate)
        scene = Scene(
            net=self._net,
            prices=self._prices.to(self.device),
            y=pad_to(latents, Z_STRIDE).clone(),
            z_hat=self._z_hat(z, rate)[None].clone(),
            pixels=pixels,
            position=self._position(rate),
        )
        iterations = ITERATIONS[effort]
        first = 1 / (1 + iterations)
        y = self._improved(scene, step_once, lambda part: tell(part * first))
        data = self._write(self._coded(y, rate, z, self._prices.chooser(WORTH)))
        if not iterations:
            return data
        method = partial(anneal, iterations=iterations)
        scene = replace(scene, y=pad_to(y, Z_STRIDE))
        y = self._improved(scene, method, lambda part: tell(first + part * (1 - first)))
        other = self._write(self._coded(y, rate, z))

        def cost(data: bytes) -> float:
            height, width = pixels.shape[:2]
            return scene.cost(data, self.synthesise(self.read(data, width, height, rate)))

        return min(data, other, key=cost)

    def _improved(self, scene: Scene, method: Method, tell: Tell) -> Tensor:
        """A scene's latents after a search, window by window: [1, M, h, w] of the picture."""
        synthesis = self._net.synthesis
        unit = math.lcm(synthesis.alignment, STRIDE * Z_STRIDE)
        core, halo = (
            _multiple(pixels, unit) // STRIDE
            for pixels in (self.search_core * STRIDE, synthesis.reach)
        )
        rows, columns = (-(-side // STRIDE) for side in scene.pixels.shape[:2])
        return improved(scene, core, halo, method, tell)[..., :rows, :columns]

    def estimate_bits(self, latents: Tensor, rate: int) -> float:
        """Bits that encode() would spend, by the tables; it should be right to a few bytes."""
        coded = self._coded(latents, rate)
        return sum(estimate_bits(symbols, index, tables) for symbols, index, tables in coded)

    # -- the side information ----------------------------------------------------------------

    def _position(self, rate: int) -> Tensor:
        return torch.tensor([rate / QUARTERS], device=self.device)

    def _gains(self, rate: int) -> tuple[Tensor, Tensor]:
        """Multipliers before rounding and after parsing [M, 1, 1], on the CPU."""
        position = self._position(rate)
        return self._net.gain(position)[0].cpu(), self._net.ungain(position)[0].cpu()

    def _z_tables_at(self, rate: int) -> TableSet:
        return self._z_tables[rate // (QUARTERS * Z_TABLE_STEP)]

    def _z_index(self, positions: int) -> IndexArray:
        """z's table index: its channel, [N * positions]."""
        return np.repeat(np.arange(self._z_channels, dtype=np.uint8), positions)

    def _quantise_z(self, latents: Tensor, rate: int) -> Tensor:
        """Latents [1, M, h, w] to z's symbols, int32 [N, ceil(h / 4), ceil(w / 4)]."""
        position = self._position(rate)

        def network(part: Tensor) -> Tensor:
            z = self._net.quantise_z(part.to(self.device), position)
            return z.round().clamp(-Z_LIMIT, Z_LIMIT).to(torch.int32).cpu()

        halo = _multiple(HyperAnalysis.reach, Z_STRIDE)
        padded = pad_to(latents, Z_STRIDE)
        return apply_in_windows(network, padded, self.core, halo, Fraction(1, Z_STRIDE))[0]

    def _z_batch(self, z: Tensor, rate: int) -> Batch:
        return z.numpy().reshape(-1), self._z_index(z[0].numel()), self._z_tables_at(rate)

    def _take_z(self, decoder: Decoder, size: int, width: int, height: int, rate: int) -> Tensor:
        """Read z [N, h', w'] of a picture, whose image part has `size` bytes."""
        rows, columns = (-(-pixels // (STRIDE * Z_STRIDE)) for pixels in (height, width))
        tables = self._z_tables_at(rate)
        # No symbol of z is free, so that a size which the bytes can't hold is known at once.
        least = tables.least_bits.sum() * rows * columns / 8
        if size + 8 < least:
            lack = (
                f"a picture of {width}x{height} needs at least {int(least)} bytes of image part, "
                f"this one has {size}"
            )
            if decoder.cut:
                raise TruncatedError(f"{lack}: it was cut")
            raise CorruptError(f"{lack}: its header is wrong")
        flat = decoder.take(self._z_index(rows * columns), tables)
        # Not by magnitude: the lowest int32 has none.
        if flat.min() < -Z_LIMIT or flat.max() > Z_LIMIT:
            raise CorruptError(f"a symbol of z is beyond {Z_LIMIT}: the image part is damaged")
        return torch.from_numpy(flat).view(self._z_channels, rows, columns)

    def _z_values(self, z: Tensor, rate: int) -> Tensor:
        """z's symbols [..., N, h', w'] as whole numbers of 2^-Z_BITS, int32."""
        return z * self._z_units[rate // QUARTERS][:, None, None]

    def _z_hat(self, z: Tensor, rate: int) -> Tensor:
        """z's values [..., N, h', w'], float32."""
        return self._z_values(z, rate).float() * 2.0**-Z_BITS
