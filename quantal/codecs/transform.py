"""A codec of two transforms and a frozen entropy model, as most learned codecs are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from quantal.arguments import whole
from quantal.codecs.backends import need
from quantal.codecs.backends.base import Transform
from quantal.codecs.contract import (
    Codec,
    Latents,
    Pixels,
    StackedLatents,
    Symbols,
    UnroundedPixels,
)
from quantal.codecs.drawing import draw, draw_unrounded, plane_of, window_limit
from quantal.codecs.weights import digest
from quantal.entropy.coder import IntArray
from quantal.entropy.frozen import Decoded, FrozenModel
from quantal.entropy.walk import FloatArray, Rounding, round_nearest
from quantal.errors import BitstreamError
from quantal.planes import apply_in_windows, ceil_div, round_up

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["QUARTERS", "ProgressiveTransformCodec", "TransformCodec", "TransformEncoding"]

#: A rate of a file counts quarters of a position on the rate axis.
QUARTERS = 4
#: A picture of up to this many pixels a side goes through transforms without `reach` in one piece.
_WHOLE = 1 << 17
#: Latents per channel from which on pictures are not read together: 1 megapixel at a stride of 16.
_LARGE = 4096


class TransformEncoding:
    """One picture being coded; its latents serve every rate.

    Args:
        codec: the codec.
        pixels: uint8 [H, W, 3].
        y: its latents, float32 [M, h, w].
    """

    def __init__(self, codec: TransformCodec, pixels: Pixels, y: FloatArray) -> None:
        self.codec, self.pixels, self.y = codec, pixels, y

    def at(self, rate: int) -> bytes:
        return self.codec.encode(self.y, rate)


class TransformCodec(Codec):
    """A codec of any transforms and any of Quantal's entropy models.

    A transform may have attributes `reach` and `alignment`, in pixels: how far a result depends on
    its surroundings, and where a window may begin. Large pictures then go through it window by
    window; without these attributes, in one piece.

    Args:
        name: is written to files, 1 to 23 characters of a-z, 0-9, "-", "_" and ".".
        analysis: a network of torch that maps pixels [B, 3, H, W] in 0..1, H and W multiples of
            `stride`, to latents [B, M, H / stride, W / stride]; or a Transform.
        synthesis: the reverse; need not clip.
        entropy: the frozen entropy model of M channels.
        stride: pixels per latent along each axis.
        device: where the transforms are.
        model_hash: 4 bytes that identify everything that decides how bits are read; default:
            computed.
    """

    #: A window's core, in latents: 2.4 megapixels at a stride of 16 keep networks below a gigabyte.
    core = 96

    def __init__(
        self,
        name: str,
        analysis: Callable[[Tensor], Tensor] | Transform,
        synthesis: Callable[[Tensor], Tensor] | Transform,
        entropy: FrozenModel,
        stride: int,
        *,
        device: str | torch.device = "cpu",
        model_hash: bytes | None = None,
    ) -> None:
        stride = whole("stride", stride, 1)
        if model_hash is None:
            model_hash = digest(f"{type(entropy).__name__} {stride}", entropy.integers())
        super().__init__(name, device, model_hash)
        self.entropy, self.stride = entropy, stride
        self._analysis = _transform(analysis, device, draws=False)
        self._synthesis = _transform(synthesis, device, draws=True)

    # -- pixels and latents ----------------------------------------------------------------------

    def _window(self, transform: Transform) -> tuple[int, int]:
        """Return core and halo, in pixels, of a transform's windows on a large picture."""
        if transform.reach is None:
            return round_up(_WHOLE, self.stride), 0
        unit = transform.alignment or self.stride
        core = min(self.core * self.stride, window_limit())
        return round_up(core, unit), round_up(transform.reach, unit)

    def analyse(self, pixels: Pixels | UnroundedPixels) -> FloatArray:
        """Return the latents of a picture.

        Args:
            pixels: uint8 or float32 [H, W, 3], 0..255.

        Returns:
            float32 [M, h, w].
        """
        core, halo = self._window(self._analysis)
        plane = plane_of(pixels, self.stride)
        return apply_in_windows(
            lambda part: self._analysis.run(part.astype(np.float32)),
            plane,
            core,
            halo,
            Fraction(1, self.stride),
        )

    def _drawn_from(
        self, run: Callable[[FloatArray], FloatArray], y_hat: FloatArray, width: int, height: int
    ) -> tuple[Callable[[FloatArray], FloatArray], FloatArray, tuple[int, int], int, int, int]:
        core, halo = (pixels // self.stride for pixels in self._window(self._synthesis))
        return run, y_hat, (height, width), core, halo, self.stride

    def synthesise(self, latents: Latents) -> Pixels:
        run = partial(self._synthesis.run, rate=latents.rate / QUARTERS)
        return draw(*self._drawn_from(run, latents.y_hat, latents.width, latents.height))

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        return self.draw_unrounded(latents.y_hat, latents.width, latents.height)

    def draw_unrounded(self, y_hat: FloatArray, width: int, height: int) -> UnroundedPixels:
        """Draw a picture without rounding it to 8 bits.

        Args:
            y_hat: its latents, float32 [M, h, w].
            width: width of the picture, in pixels.
            height: height of the picture, in pixels.

        Returns:
            float32 [H, W, 3] in 0..255.
        """
        return draw_unrounded(*self._drawn_from(self._synthesis.run, y_hat, width, height))

    # -- latents and bytes -----------------------------------------------------------------------

    def encoding(self, pixels: Pixels) -> TransformEncoding:
        return TransformEncoding(self, pixels, self.analyse(pixels))

    def encode(
        self,
        y: FloatArray,
        rate: int,
        *,
        z: IntArray | None = None,
        rounding: Rounding = round_nearest,
    ) -> bytes:
        """Return the image part of latents.

        Args:
            y: float32 [M, h, w].
            rate: 0..252.
            z: see FrozenModel.encode().
            rounding: see FrozenModel.encode().
        """
        return self.entropy.encode(y, rate / QUARTERS, z=z, rounding=rounding)

    def estimate_bits(self, y: FloatArray, rate: int) -> float:
        """Return the bits that encode() would spend, by the tables, to within a few bytes."""
        return self.entropy.estimate_bits(y, rate / QUARTERS)

    def _geometry(self, width: int, height: int) -> tuple[int, int]:
        return ceil_div(height, self.stride), ceil_div(width, self.stride)

    def _decoded(self, payload: bytes, width: int, height: int, rate: int) -> Decoded:
        what = f"a picture of {width}x{height}"
        return self.entropy.decode(
            payload, *self._geometry(width, height), rate / QUARTERS, what=what
        )

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Return the symbols: z int32 [N, h', w'], then those of y, in coding order."""
        return self._decoded(payload, width, height, rate).symbols

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        # In one go: reading computes what dequantising needs.
        return self._latents(self._decoded(payload, width, height, rate), width, height, rate)

    def read_stacked(
        self,
        payloads: Sequence[bytes],
        width: int,
        height: int,
        rate: int,
        *,
        dequantised: bool = True,
    ) -> StackedLatents:
        """Return the latents of several image parts in stacked arrays; see contract.Stacking.

        Memory is that of all pictures together.
        """
        decoded = self.entropy.decode_many(
            payloads,
            *self._geometry(width, height),
            rate / QUARTERS,
            what=f"a picture of {width}x{height}",
        )
        y_hat, z_hat = None, None
        if dequantised and decoded.places:
            y_hat, z_hat = decoded.latents()
        return StackedLatents(
            codec=self.name,
            model_hash=self.model_hash,
            width=width,
            height=height,
            rate=rate,
            stride=self.stride,
            symbols=decoded.symbols,
            y_hat=y_hat,
            z_hat=z_hat,
            places=decoded.places,
            errors=decoded.errors,
        )

    def parse_many(
        self, payloads: Sequence[bytes], width: int, height: int, rate: int
    ) -> list[list[Symbols] | BitstreamError]:
        if self._is_large(width, height):
            return super().parse_many(payloads, width, height, rate)
        stacked = self.read_stacked(payloads, width, height, rate, dequantised=False)
        found: dict[int, list[Symbols] | BitstreamError] = {**stacked.errors}
        for number, place in enumerate(stacked.places):
            found[place] = [part[number] for part in stacked.symbols]
        return [found[place] for place in range(len(payloads))]

    def read_many(
        self, payloads: Sequence[bytes], width: int, height: int, rate: int
    ) -> list[Latents | BitstreamError]:
        if self._is_large(width, height):
            return super().read_many(payloads, width, height, rate)
        stacked = self.read_stacked(payloads, width, height, rate)
        found: dict[int, Latents | BitstreamError] = {**stacked.errors}
        for number, place in enumerate(stacked.places):
            found[place] = stacked.latents(number)
        return [found[place] for place in range(len(payloads))]

    def _is_large(self, width: int, height: int) -> bool:
        """Return whether a picture is better read alone, in little memory."""
        rows, columns = self._geometry(width, height)
        return rows * columns > _LARGE

    def dequantise(self, symbols: list[Symbols], width: int, height: int, rate: int) -> Latents:
        decoded = self.entropy.dequantise(symbols, *self._geometry(width, height), rate / QUARTERS)
        return self._latents(decoded, width, height, rate)

    def dequantise_many(
        self, symbols: list[Symbols], width: int, height: int, rate: int
    ) -> list[Latents]:
        if self._is_large(width, height):
            return super().dequantise_many(symbols, width, height, rate)
        whole = self.dequantise(symbols, width, height, rate)
        parts = zip(*whole.symbols, strict=True)
        pairs = zip(parts, whole.y_hat, whole.z_hat, strict=True)
        return [
            replace(whole, symbols=list(own), y_hat=y_hat, z_hat=z_hat)
            for own, y_hat, z_hat in pairs
        ]

    def recode(self, symbols: list[Symbols], width: int, height: int, rate: int) -> bytes:
        """Return the image part that symbols were parsed from; see contract.Recoding."""
        return self.entropy.recode(symbols, *self._geometry(width, height), rate / QUARTERS)

    def _latents(self, decoded: Decoded, width: int, height: int, rate: int) -> Latents:
        return Latents(
            codec=self.name,
            model_hash=self.model_hash,
            width=width,
            height=height,
            rate=rate,
            stride=self.stride,
            symbols=decoded.symbols,
            y_hat=decoded.y_hat(),
            z_hat=decoded.z_hat,
        )


class ProgressiveTransformCodec(TransformCodec):
    """A TransformCodec whose entropy model writes progressive streams: a prefix is a picture."""

    def read_prefix(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """Return latents of the first parts: z, then the steps of y; see contract.Progressive."""
        decoded = self.entropy.decode_prefix(
            payload,
            missing,
            *self._geometry(width, height),
            rate / QUARTERS,
            parts,
            what=f"a picture of {width}x{height}",
        )
        return self._latents(decoded, width, height, rate)


def _transform(
    network: Callable[[Tensor], Tensor] | Transform, device: str | torch.device, draws: bool
) -> Transform:
    if isinstance(network, Transform):
        return network
    need("torch", "a codec of networks of your own")
    from quantal.codecs.backends.torch import transform_of

    return transform_of(network, device, draws=draws)
