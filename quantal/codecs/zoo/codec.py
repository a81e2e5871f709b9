"""The Codec of CompressAI's picture models: its networks, our coder and files.

Transforms run in single precision on any device; what decides bits is the prior's business. A check
value over all symbols tells whether a file came out here as it went in elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal import container
from quantal.codecs.base import Codec, Latents, Pixels, UnroundedPixels
from quantal.codecs.zoo import ARCHITECTURES, FAMILY, HEAD, unpack_head
from quantal.codecs.zoo.coding import Known, Reading, Writing
from quantal.codecs.zoo.prior import Factorized, Hyperprior, Prior, Rate, Walk, exactly
from quantal.codecs.zoo.sequential import Sequential
from quantal.codecs.zoo.tables import Bottleneck
from quantal.codecs.zoo.weights import FileName, qualities_of, quiet, read
from quantal.errors import (
    ArgumentError,
    CorruptError,
    DivergenceError,
    TruncatedError,
)
from quantal.transforms import apply_in_windows

__all__ = ["ZooCodec"]

STRIDE = 16
#: A window's core and halo, in latents. The furthest reach is cheng2020-attn's, 11 to draw.
_CORE, _HALO = 96, 12
#: The quality of a model for several rates, if none is asked for.
_USUAL = 5
_QUALITIES = range(1, 9)


class ZooCodec(Codec):
    """A network of CompressAI's zoo; device: where its transforms run.

    architecture: the one that is expected, "" for whatever the weights are of.
    """

    name = FAMILY

    def __init__(self, weights: Path, device: torch.device, architecture: str = "") -> None:
        trained = read(weights, architecture)
        self.architecture, network = trained.architecture, trained.network
        self._prior = _prior(network)
        super().__init__(device, _model_hash(self.architecture, network, self._prior))
        self.warnings = tuple(_warnings(self._prior))
        named = FileName.of(weights)
        # Any name may end in a number: only one of this architecture tells a quality.
        told = named is not None and named.architecture == self.architecture
        self._weights, self._named = weights.name, named.quality if named and told else None
        self._qualities = qualities_of(self.architecture, network)
        if self._variable:
            self.rates: Sequence[int] = [container.quality_to_rate(q) for q in self._qualities]
        else:
            self.rates = ()
        self._multiple: int = network.downsampling_factor
        self._hyper_of_magnitudes = self.architecture.startswith("bmshj2018-hyperprior")
        self._net = network.to(device)

    @property
    def _variable(self) -> bool:
        return self.architecture.endswith("-vbr")

    def rate_of(self, quality: int | None) -> int:
        """CompressAI's qualities 1..8; with weights of one rate, which of them these are."""
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
                f"the name {self._weights} doesn't tell which of CompressAI's qualities these "
                f"weights of {self.architecture} are; say it with -q (quality=): {listed}"
            )
        raise ArgumentError(
            f"quality {quality} was asked for, the weights {self._weights} of {self.architecture} "
            f"are of {listed}"
        )

    # -- pixels and latents ------------------------------------------------------------------

    def analyse(self, pixels: Pixels) -> Tensor:
        """pixels: uint8 [H, W, 3]; returns y [1, M, h, w] on the CPU, h and w of whole blocks."""
        height, width = pixels.shape[:2]
        edges = ((0, -height % self._multiple), (0, -width % self._multiple), (0, 0))
        plane = torch.from_numpy(np.pad(pixels, edges, mode="edge")).permute(2, 0, 1)[None]

        def network(part: Tensor) -> Tensor:
            return self._net.g_a(part.to(self.device).float().div_(255)).cpu()

        return apply_in_windows(network, plane, _CORE * STRIDE, _HALO * STRIDE, Fraction(1, STRIDE))

    def synthesise(self, latents: Latents) -> Pixels:
        """Returns uint8 [H, W, 3]."""
        return self._draw(latents).round_().to(torch.uint8).numpy()

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Returns float32 [H, W, 3], 0..255."""
        return self._draw(latents).numpy()

    def _draw(self, latents: Latents) -> Tensor:
        def network(part: Tensor) -> Tensor:
            return self._net.g_s(part.to(self.device)).clamp_(0, 1).mul_(255).cpu()

        plane = apply_in_windows(network, latents.y_hat[None], _CORE, _HALO, STRIDE)
        cropped = plane[0, :, : latents.height, : latents.width].permute(1, 2, 0)
        return cropped.contiguous()

    # -- latents and bytes -------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, latents: Tensor, rate: int) -> bytes:
        parts = [latents[0]]
        if isinstance(self._prior, Hyperprior):
            y = latents.abs() if self._hyper_of_magnitudes else latents
            parts.insert(0, self._net.h_a(y.to(self.device))[0].cpu())
        writing = Writing(parts)
        rows, columns = latents.shape[-2:]
        self._prior.walk(writing, rows, columns, container.rate_to_quality(rate))
        number = ARCHITECTURES.index(self.architecture)
        return HEAD.pack(number, writing.check) + writing.finish()

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        """Parse and dequantise at once: sequential models can't do one without the other.

        Raises DivergenceError if the symbols are not those that were written.
        """
        architecture, check = unpack_head(payload)
        if architecture != self.architecture:
            raise CorruptError(
                f"the image part says {architecture}, its model hash is that of "
                f"{self.architecture}: its head is damaged"
            )
        quality = container.rate_to_quality(rate)
        if quality not in _QUALITIES or container.quality_to_rate(quality) != rate:
            raise CorruptError(f"rate {rate} is none of CompressAI's: the header is wrong")
        rows, columns = self._geometry(width, height)
        least = self._prior.least_bits(rows, columns, quality) / 8
        if len(payload) + 8 < least:
            raise CorruptError(
                f"a picture of {width}x{height} needs at least {int(least)} bytes of image part, "
                f"this one has {len(payload)}: its header is wrong"
            )
        reading = Reading(payload[HEAD.size :])
        try:
            walk = self._walk(reading, width, height, rate)
            reading.finish()
        except (TruncatedError, CorruptError) as error:
            if isinstance(self._prior, Factorized):
                raise
            raise self._divergence(str(error)) from error
        if reading.check != check:
            raise self._divergence(
                f"their check value is {reading.check:08x}, expected {check:08x}"
            )
        return self._latents(walk, width, height, rate)

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Returns [z int32 [N, h', w'], y int32 [M, h, w]], or y alone where there is no z."""
        return self.read(payload, width, height, rate).symbols

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        return self._latents(self._walk(Known(symbols), width, height, rate), width, height, rate)

    def _geometry(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of y."""
        per_block = self._multiple // STRIDE
        return -(-height // self._multiple) * per_block, -(-width // self._multiple) * per_block

    @torch.inference_mode()
    def _walk(self, coding: Known | Reading, width: int, height: int, rate: int) -> Walk:
        quality = container.rate_to_quality(rate)
        return self._prior.walk(coding, *self._geometry(width, height), quality)

    def _latents(self, walk: Walk, width: int, height: int, rate: int) -> Latents:
        return Latents(self.name, width, height, rate, STRIDE, walk.symbols, walk.y_hat, walk.z_hat)

    def _divergence(self, reason: str) -> DivergenceError:
        return DivergenceError(
            f"the symbols of this picture are not those that were written ({reason}): "
            f"{self.architecture} decides in floating point how bits are read, and this machine "
            "computes otherwise than the one that wrote them; decode it on one like that"
        )


def _warnings(prior: Prior) -> list[str]:
    """What whoever codes with such a model should know."""
    said = []
    if isinstance(prior, Hyperprior):
        said.append(
            "a floating-point network of CompressAI decides how the bits are read: another machine "
            "may be unable to read them, and will say so"
        )
    if isinstance(prior, Sequential):
        said.append(
            "this is a sequential model, which goes latent by latent: it takes seconds a megapixel"
        )
    return said


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
    """The rate of a -vbr model at a gain, float32 of no dimension."""
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
    """First 4 bytes of a SHA-256 over the architecture, all weights and all tables."""
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
