"""The Codec of CompressAI's picture models: its networks, Quantal's coder and files.

Transforms run in single precision on any device; prior.py computes what decides how bits are read.
A check value over all symbols shows whether a file is read as it was written.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal import container
from quantal.codecs.backends.torch import transform_of
from quantal.codecs.compressai import ARCHITECTURES, FAMILY, HEAD, unpack_head
from quantal.codecs.compressai.prior import (
    Factorized,
    Hyperprior,
    Prior,
    Rate,
    Values,
    exactly,
)
from quantal.codecs.compressai.sequential import Sequential
from quantal.codecs.compressai.tables import Bottleneck
from quantal.codecs.compressai.weights import FileName, qualities_of, quiet, read
from quantal.codecs.contract import Codec, Latents, Pixels, Symbols, UnroundedPixels
from quantal.codecs.drawing import draw, draw_unrounded, plane_of
from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.walk import Coding, FloatArray, Known, Reading, Writing
from quantal.errors import (
    ArgumentError,
    CorruptError,
    DivergenceError,
    TruncatedError,
)
from quantal.planes import apply_in_windows, ceil_div

__all__ = ["CompressaiCodec"]

STRIDE = 16
#: A window's core and halo, in latents. The largest reach is that of cheng2020-attn, 11 to draw.
_CORE, _HALO = 96, 12
#: The default quality of a model for several rates.
_USUAL = 5
_QUALITIES = range(1, 9)


class _Checksum:
    """A CRC-32 over the table indices and the symbols of every batch."""

    def __init__(self) -> None:
        self.value = 0

    def __call__(self, index: IndexArray, symbols: IntArray) -> None:
        record = symbols.astype("<i4", copy=False).tobytes()
        self.value = zlib.crc32(record, zlib.crc32(index.tobytes(), self.value))


class _Encoding:
    """One picture being coded; its latents y [1, M, h, w] serve every rate."""

    def __init__(self, codec: CompressaiCodec, y: Tensor) -> None:
        self._codec, self.y = codec, y

    def at(self, rate: int) -> bytes:
        return self._codec.encode(self.y, rate)


class CompressaiCodec(Codec):
    """A network of CompressAI's zoo; see Codec.

    Args:
        name: `compressai`, or `compressai/ARCHITECTURE` if a certain architecture is expected.
        weights: a file of weights.
        device: where the transforms run.
    """

    def __init__(self, name: str, weights: Path, device: torch.device) -> None:
        trained = read(weights, name.partition("/")[2])
        self.architecture, network = trained.architecture, trained.network
        self._prior = _prior(network)
        super().__init__(FAMILY, device, _model_hash(self.architecture, network, self._prior))
        self.warnings = tuple(_warnings(self._prior))
        named = FileName.of(weights)
        # Any name may end in a number; only one with this architecture gives a quality.
        known = named is not None and named.architecture == self.architecture
        self._weights, self._named = weights.name, named.quality if named and known else None
        self._qualities = qualities_of(self.architecture, network)
        if self._variable:
            self.rates: Sequence[int] = [container.quality_to_rate(q) for q in self._qualities]
        else:
            only = self._qualities if self._named is None else (self._named,)
            self.rates = (container.quality_to_rate(only[0]),)
        self._multiple: int = network.downsampling_factor
        self._hyper_of_magnitudes = self.architecture.startswith("bmshj2018-hyperprior")
        self._net = network.to(device)

    @property
    def _variable(self) -> bool:
        return self.architecture.endswith("-vbr")

    def rate_of(self, quality: int | None) -> int:
        """Return the rate of CompressAI's quality 1..8.

        Weights of a single rate have one quality, which their file's name gives, or else the
        caller.

        Raises:
            ArgumentError: If the quality is not known, or not that of the weights.
        """
        if self._variable and quality is None:
            quality = _USUAL
        known = self._qualities if self._named is None else (self._named,)
        if quality is None and len(known) == 1:
            quality = known[0]
        if quality in known:
            return container.quality_to_rate(quality)
        listed = ", ".join(map(str, known))
        if quality is None:
            raise ArgumentError(
                f"the name {self._weights} doesn't say which of CompressAI's qualities these "
                f"weights of {self.architecture} are; ask for one: {listed}",
                code="quality",
            )
        raise ArgumentError(
            f"quality {quality} was asked for, the weights {self._weights} of {self.architecture} "
            f"are of {listed}"
        )

    # -- pixels and latents ----------------------------------------------------------------------

    def encoding(self, pixels: Pixels) -> _Encoding:
        analysis = transform_of(self._net.g_a, self.device)
        y = apply_in_windows(
            lambda part: analysis.run(part.astype(np.float32)),
            plane_of(pixels, self._multiple),
            _CORE * STRIDE,
            _HALO * STRIDE,
            Fraction(1, STRIDE),
        )
        return _Encoding(self, torch.from_numpy(y)[None])

    def _drawn_from(
        self, latents: Latents
    ) -> tuple[Callable[[FloatArray], FloatArray], FloatArray, tuple[int, int], int, int, int]:
        """Return the arguments of draw()."""
        synthesis = transform_of(self._net.g_s, self.device, draws=True)
        size = latents.height, latents.width
        return synthesis.run, latents.y_hat, size, _CORE, _HALO, STRIDE

    def synthesise(self, latents: Latents) -> Pixels:
        return draw(*self._drawn_from(latents))

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        return draw_unrounded(*self._drawn_from(latents))

    # -- latents and bytes -----------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, latents: Tensor, rate: int) -> bytes:
        """Return the image part of latents [1, M, h, w] at a rate 0..252."""
        parts = [latents[0]]
        if isinstance(self._prior, Hyperprior):
            y = latents.abs() if self._hyper_of_magnitudes else latents
            parts.insert(0, self._net.h_a(y.to(self.device))[0].cpu())
        check = _Checksum()
        writing = Writing([part.numpy() for part in parts], observer=check)
        rows, columns = latents.shape[-2:]
        self._prior.walk(writing, rows, columns, container.rate_to_quality(rate))
        number = ARCHITECTURES.index(self.architecture)
        return HEAD.pack(number, check.value) + writing.finish()

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        """Parse and dequantise in one go, as sequential models require.

        Raises:
            DivergenceError: If the symbols are not those that were written.
        """
        architecture, stated = unpack_head(payload)
        if architecture != self.architecture:
            raise CorruptError(
                f"the image part says {architecture}, its model hash is that of "
                f"{self.architecture}: its head is damaged"
            )
        quality = container.rate_to_quality(rate)
        if quality not in _QUALITIES or container.quality_to_rate(quality) != rate:
            raise CorruptError(f"rate {rate} is none of CompressAI's: the header is wrong")
        check = _Checksum()
        what = f"a picture of {width}x{height}"
        reading = Reading(payload[HEAD.size :], what=what, observer=check)
        reading.require(self._prior.least_bits(*self._geometry(width, height), quality))
        try:
            values = self._walk(reading, width, height, rate)
            reading.finish()
        except (TruncatedError, CorruptError) as error:
            if isinstance(self._prior, Factorized):
                raise
            raise self._divergence(str(error)) from error
        if check.value != stated:
            raise self._divergence(f"their check value is {check.value:08x}, expected {stated:08x}")
        return self._latents(reading, values, width, height, rate)

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Return the symbols: z int32 [N, h', w'] if there is z, then y int32 [M, h, w]."""
        return self.read(payload, width, height, rate).symbols

    def dequantise(self, symbols: list[Symbols], width: int, height: int, rate: int) -> Latents:
        known = Known(symbols)
        values = self._walk(known, width, height, rate)
        return self._latents(known, values, width, height, rate)

    @classmethod
    def describe_needed(cls, payload: bytes, rate: int, model_hash: bytes) -> str:
        """Return which weights a file needs; see contract.UserWeights."""
        name = f"{FAMILY}/{unpack_head(payload)[0]}"
        return (
            f"the file needs your weights of {name}, quality {container.rate_to_quality(rate)}, "
            f"model {model_hash.hex()}: load them with quantal.load({name!r}, weights=FILE) and "
            "decompress it with that codec"
        )

    def _geometry(self, width: int, height: int) -> tuple[int, int]:
        """Return rows and columns of y."""
        per_block = self._multiple // STRIDE
        rows, columns = (ceil_div(side, self._multiple) for side in (height, width))
        return rows * per_block, columns * per_block

    @torch.inference_mode()
    def _walk(self, coding: Coding, width: int, height: int, rate: int) -> Values:
        quality = container.rate_to_quality(rate)
        return self._prior.walk(coding, *self._geometry(width, height), quality)

    def _latents(
        self, coding: Coding, values: Values, width: int, height: int, rate: int
    ) -> Latents:
        parts = (list(coding.symbols), values.y_hat.numpy(), values.z_hat.numpy())
        return Latents(self.name, self.model_hash, width, height, rate, STRIDE, *parts)

    def _divergence(self, reason: str) -> DivergenceError:
        return DivergenceError(
            f"the symbols of this picture are not those that were written ({reason}): "
            f"{self.architecture} decides in floating point how bits are read, and this machine "
            "computes otherwise than the one that wrote them; decode it on one like that"
        )


def _warnings(prior: Prior) -> list[str]:
    """Return warnings for users of such a model."""
    found = []
    if isinstance(prior, Hyperprior):
        found.append(
            "a floating-point network of CompressAI decides how the bits are read: another machine "
            "may be unable to read them, and will say so"
        )
    if isinstance(prior, Sequential):
        found.append(
            "this is a sequential model, which goes latent by latent: it takes seconds a megapixel"
        )
    return found


@torch.no_grad()
def _prior(network: Any) -> Prior:
    rates: dict[int | None, Rate] = {}
    if hasattr(network, "Gain"):
        for place in range(network.levels):
            rates[place + 1] = _rate_of_several(network, network.Gain[place].abs())
    else:
        one = torch.ones((), dtype=torch.float64)
        rates[None] = Rate(Bottleneck(network.entropy_bottleneck), one)
    if hasattr(network, "context_prediction"):
        return Sequential(network, rates)
    return Hyperprior(network, rates) if hasattr(network, "h_s") else Factorized(rates)


def _rate_of_several(network: Any, gain: Tensor) -> Rate:
    """Return the rate of a -vbr model at a gain, a float32 scalar."""
    exact = gain.double()
    step = None
    if network.vr_entbttlnck:
        with quiet():
            single = network.lower_bound_zqstep(network.gayn2zqstep(1 / gain.view(1)))
            network.entropy_bottleneck.update_variable(force=True, qs=single)
        step = exactly(network.gayn2zqstep)(1 / exact.view(1))[0]
        step = step.clamp_min(float(network.lower_bound_zqstep.bound))
    context = None
    if hasattr(network, "scale_to_context"):
        context = exactly(network.scale_to_context)(exact.view(1, 1))[0]
    bottleneck = Bottleneck(network.entropy_bottleneck, step)
    return Rate(bottleneck, exact, exactly(network.QuantABCD), context)


def _model_hash(architecture: str, network: Any, prior: Prior) -> bytes:
    """Return the first 4 bytes of a SHA-256 over the architecture, all weights and all tables."""
    digest = hashlib.sha256(f"{FAMILY}/{architecture} layout 1".encode())

    def add(name: str, tensor: Tensor) -> None:
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())

    tables = ("_offset", "_quantized_cdf", "_cdf_length")
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith(tables):  # they follow, as the coder has them
            add(name, tensor)
    for number, tables_set in enumerate(prior.sets):
        for field in ("first", "offsets", "cumulative"):
            add(f"tables.{number}.{field}", torch.from_numpy(getattr(tables_set, field)))
    return digest.digest()[:4]
