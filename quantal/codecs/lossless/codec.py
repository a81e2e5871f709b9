"""Codec `lossless`: every sample is kept. docs/reference/codecs/lossless.md has the stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal import container
from quantal.codecs.contract import Codec, Latents, Pixels, Samples, Symbols, UnroundedPixels
from quantal.codecs.lossless import LAYOUT
from quantal.codecs.lossless.model import LosslessModel
from quantal.codecs.lossless.stream import Picture, colour_tiles, read_stream, write_stream
from quantal.codecs.weights import read_weights, sound_weights
from quantal.errors import ArgumentError

__all__ = ["Lossless"]


class Lossless(Codec):
    """The codec with its weights loaded; see CodecBase.

    Args:
        name: is written to files.
        weights: the file.
        device: is not used: integers run on the CPU.
    """

    #: There is one rate, the highest.
    rates = (container.RATES[-1],)

    def __init__(self, name: str, weights: Path, device: Any = "cpu") -> None:
        file = read_weights(weights, [LAYOUT])
        with sound_weights(file):
            self._model = LosslessModel.from_arrays(file.arrays)
        super().__init__(name, "cpu", file.check(self._model.integers()))

    def encoding(self, pixels: Pixels) -> LosslessEncoding:
        """Begin to code a picture, uint8 [H, W, 3]."""
        return self.exact_encoding(pixels)

    def exact_encoding(self, samples: Samples, depth: int | None = None) -> LosslessEncoding:
        """Begin to code samples, uint8 or uint16 [H, W, C].

        Args:
            samples: grey (C = 1), grey and alpha (2), RGB (3), or RGB and alpha (4).
            depth: bits that uint16 samples have, 9..16; default 16.

        Raises:
            ArgumentError: If the samples are of another type or shape.
        """
        bits = 8 if samples.dtype == np.uint8 else 16
        depth = bits if depth is None else depth
        if samples.dtype not in (np.uint8, np.uint16) or samples.ndim != 3:
            raise ArgumentError(
                f"samples are {samples.dtype} {list(samples.shape)}, expected uint8 or uint16 "
                "[H, W, C]"
            )
        if not 1 <= samples.shape[2] <= 4 or not samples.size:
            raise ArgumentError(f"samples {list(samples.shape)} have no 1 to 4 channels")
        if (depth != 8) if bits == 8 else not 9 <= depth <= 16:
            raise ArgumentError(f"{samples.dtype} samples can't have {depth} bits")
        return LosslessEncoding(self._model, Picture(samples, depth))

    @staticmethod
    def synthetic_tiles(payload: bytes, width: int, height: int) -> npt.NDArray[np.bool_] | None:
        """Return the tiles of the layer of colours; see contract.Tiled."""
        return colour_tiles(payload, width, height)

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Read all samples; see Codec.parse().

        Returns:
            The bits of samples, 8..16, [1]; and the samples [C, H, W].
        """
        return _symbols(read_stream(self._model, payload, 0, height, width, None))

    def read_prefix(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """Return a coarser picture from the first levels; see Progressive."""
        found = read_stream(self._model, payload, missing, height, width, parts)
        return self.dequantise(_symbols(found), width, height, rate)

    def dequantise(self, symbols: list[Symbols], width: int, height: int, rate: int) -> Latents:
        """Return samples as latents: `y_hat` is [C, H, W], `z_hat` is empty."""
        return Latents(
            codec=self.name,
            model_hash=self.model_hash,
            width=width,
            height=height,
            rate=rate,
            stride=1,
            symbols=symbols,
            y_hat=symbols[1].astype(np.float32),
            z_hat=np.zeros((0, 1, 1), np.float32),
        )

    def depth(self, latents: Latents) -> int:
        """Return how many bits the samples of a picture have, 8..16."""
        return int(latents.symbols[0][0])

    def samples(self, latents: Latents) -> Samples:
        """Return the samples of a picture, uint8, or uint16 if they have more bits [H, W, C]."""
        depth, planes = latents.symbols
        kind = np.uint16 if int(depth[0]) > 8 else np.uint8
        return np.ascontiguousarray(planes.astype(kind).transpose(1, 2, 0))

    def synthesise(self, latents: Latents) -> Pixels:
        """Return the colours of a picture, uint8 [H, W, 3]; deep samples are rounded to 8 bits."""
        return np.rint(self.synthesise_unrounded(latents)).astype(np.uint8)

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Return the colours of a picture, float32 [H, W, 3] in 0..255."""
        samples = self.samples(latents)
        colours = samples[:, :, :3] if samples.shape[2] >= 3 else samples[:, :, [0, 0, 0]]
        found = colours.astype(np.float32)
        if samples.dtype == np.uint16:
            found *= np.float32(255 / ((1 << self.depth(latents)) - 1))
            np.clip(found, 0, 255, out=found)
        return found


def _symbols(picture: Picture) -> list[Symbols]:
    depth: npt.NDArray[np.int32] = np.array([picture.depth], np.int32)
    return [depth, picture.samples.transpose(2, 0, 1).astype(np.int32)]


class LosslessEncoding:
    """One picture being coded; see Encoding."""

    def __init__(self, model: LosslessModel, picture: Picture) -> None:
        self._model, self._picture = model, picture
        self._coded: bytes | None = None

    def at(self, rate: int) -> bytes:
        """Return the image part; there is a single rate."""
        if self._coded is None:
            self._coded = write_stream(self._model, self._picture)
        return self._coded
