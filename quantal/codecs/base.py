"""What every codec is: pixels to latents, latents to bytes, and back, in that order.

A codec knows nothing of files, metadata or rate targets (files.py does), and nothing of training
(training.py does). Subclass Codec and register it to add one: CONTRIBUTING.md shows how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from quantal import container
from quantal.errors import ArgumentError, ModelError

__all__ = ["Codec", "Latents", "Pixels", "Tell", "UnroundedPixels", "plane_of"]

USUAL_QUALITY = 60

#: uint8 [H, W, 3], RGB.
Pixels = npt.NDArray[np.uint8]

#: float32 [H, W, 3], RGB, 0..255.
UnroundedPixels = npt.NDArray[np.float32]

#: Is told again and again, ever more, which part of a work is done: 0..1.
Tell = Callable[[float], None]


@dataclass(frozen=True)
class Latents:
    """What a file says before any network has drawn it.

    symbols: every coded symbol in coding order, a list of int32 tensors, equal on all machines.
    y_hat: latents [M, h, w], float32, ready for the synthesis. z_hat: dequantised side latents
    [N, h', w'], float32. width, height: of the picture, in pixels; stride: pixels per latent.
    """

    codec: str
    width: int
    height: int
    rate: int
    stride: int
    symbols: list[Tensor]
    y_hat: Tensor
    z_hat: Tensor


class Codec(ABC):
    """A codec with its weights loaded. Rates are 0..252: a rate index 0..63 and quarters of it."""

    name: ClassVar[str]
    media: ClassVar[str] = "picture"
    #: The rates that are tried when a size or a PSNR is aimed at, smallest files first; none: the
    #: codec has a single rate.
    rates: Sequence[int] = container.RATES
    #: How hard an encoder can try; 0 is plain coding.
    efforts: Sequence[int] = (0,)
    #: Whether it can write streams that stand damage, and make up what is lost of them.
    resilient: ClassVar[bool] = False
    #: What is told to whoever codes or decodes a picture with it, a sentence each.
    warnings: tuple[str, ...] = ()

    def __init__(self, device: torch.device, model_hash: bytes) -> None:
        self.device = device
        #: First 4 bytes of a SHA-256 over everything that decides how bits are read.
        self.model_hash = model_hash

    def rate_of(self, quality: int | None) -> int:
        """The rate of a quality, None for the usual one; ArgumentError if there is none."""
        return container.quality_to_rate(USUAL_QUALITY if quality is None else quality)

    @abstractmethod
    def analyse(self, pixels: Pixels) -> Tensor:
        """Transform pixels to latents [1, M, h, w], which serve for every rate."""

    @abstractmethod
    def encode(self, latents: Tensor, rate: int) -> bytes:
        """Quantise and code latents at a rate; returns the image part of a file."""

    def encode_resilient(self, latents: Tensor, rate: int, width: int, height: int) -> bytes:
        """As encode(), for a picture of such a size, so that damage leaves the rest readable."""
        raise ArgumentError(
            f"codec {self.name!r} has no streams that stand damage, `vq` has: leave --resilient "
            "(in Python resilient) out"
        )

    def search(self, latents: Tensor, pixels: Pixels, rate: int, effort: int, tell: Tell) -> bytes:
        """Encode as encode() does, but with symbols that a search found; effort: of `efforts`."""
        raise ArgumentError(f"codec {self.name!r} has no effort {effort}: leave it out")

    @abstractmethod
    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Read every symbol of an image part; no floating point decides anything here.

        Raises BitstreamError if the bytes can't be those of such a picture, before allocating for
        it what the bytes don't justify.
        """

    @abstractmethod
    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        """Turn parsed symbols into latents."""

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        """Parse an image part and dequantise its symbols."""
        return self.dequantise(self.parse(payload, width, height, rate), width, height, rate)

    def read_start(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """Latents from the first parts of a stream; the rest of it is as the codec expects it.

        missing: bytes that the payload lacks at its end. Raises TruncatedError if so many parts
        are not there, ArgumentError if this codec's streams have no parts.
        """
        raise ArgumentError(
            f"streams of codec {self.name!r} have no parts, those of context-* and tokens have: "
            "leave --max-parts (in Python max_parts) out"
        )

    @classmethod
    def mends(cls, payload: bytes) -> bool:
        """Whether read_damaged() takes damaged image parts that start like this one."""
        return False

    def read_damaged(
        self, payload: bytes, width: int, height: int, rate: int
    ) -> tuple[Latents, str]:
        """Latents from a damaged stream, what is lost made up; and what that was, in a sentence.

        Raises BitstreamError if too much is lost, ArgumentError if this codec can't.
        """
        raise ArgumentError(
            f"what is lost of a file of codec {self.name!r} can't be made up: leave --conceal (in "
            "Python conceal) out; files of `vq` written with --resilient can be mended"
        )

    @abstractmethod
    def synthesise(self, latents: Latents) -> Pixels:
        """Draw the picture."""

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Draw the picture before it is rounded to 8 bits, for those who measure that."""
        raise ModelError(f"codec {self.name!r} can't draw without rounding to 8 bits")

    def compress(
        self,
        image: Image.Image | Pixels | Tensor,
        *,
        quality: int | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
        max_bytes: int | None = None,
        effort: int = 0,
        resilient: bool = False,
    ) -> bytes:
        """Compress a picture to the bytes of a .qtl file; see quantal.compress."""
        from quantal.codecs.memory import compress

        target = {"quality": quality, "bpp": bpp, "psnr": psnr, "max_bytes": max_bytes}
        return compress(image, self, **target, effort=effort, resilient=resilient)  # type: ignore[arg-type]

    def decompress(
        self, data: bytes, *, max_parts: int | None = None, conceal: bool = False
    ) -> Image.Image:
        """The picture in the bytes of a .qtl file that this codec wrote; see quantal.decompress."""
        from quantal.codecs.memory import decompress

        return decompress(data, codec=self, max_parts=max_parts, conceal=conceal)

    def latents(self, data: bytes) -> Latents:
        """The compressed latents of a .qtl file that this codec wrote, without drawing it."""
        from quantal.codecs.files import read_latents

        return read_latents(data, codec=self)


def plane_of(pixels: Pixels, multiple: int) -> Tensor:
    """Pixels uint8 [H, W, 3] as [1, 3, H', W'], their edge repeated up to whole multiples."""
    height, width = pixels.shape[:2]
    edges = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    padded = np.pad(pixels, edges, mode="edge") if edges[0][1] or edges[1][1] else pixels
    return torch.from_numpy(np.require(padded, requirements=["C", "W"])).permute(2, 0, 1)[None]
