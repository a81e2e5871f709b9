"""Codec `vq`: indices of codebooks instead of numbers, for 0.01 to 0.1 bits per pixel.

A file says for every cell of 32x32 pixels how finely it is described, and which entries of which
codebooks do; synthesis draws what such entries stood for in training. docs/codecs/vq.md specifies
the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._vq_conceal import conceal, read_conceal_weights
from quantal.codecs._vq_draw import STRIDES, Painter
from quantal.codecs._vq_maps import Maps
from quantal.codecs._vq_net import CELL
from quantal.codecs._vq_stream import is_banded, pack, pack_banded, unpack, unpack_damaged
from quantal.codecs._vq_weights import read_vq_weights
from quantal.codecs.base import Codec, Latents, Pixels, UnroundedPixels

__all__ = ["Vq"]

_SHIPPED_CONCEALMENT = Path(__file__).parents[1] / "weights" / "vq-conceal.safetensors"
#: Damaged places that a warning names one by one.
_NAMED = 6


class Vq(Codec):
    """The codec with its weights loaded; device: where the networks run."""

    name = "vq"
    resilient = True

    def __init__(self, weights: Path, device: torch.device) -> None:
        loaded = read_vq_weights(weights)
        super().__init__(device, loaded.hash)
        net = loaded.net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.painter = Painter(net, device)
        self._weights = weights
        self.priors = loaded.priors
        self.ladder = loaded.ladder

    def analyse(self, pixels: Pixels) -> Tensor:
        """pixels: uint8 [H, W, 3]; returns features at 1/8 [1, C, h, w], of whole cells."""
        return self.painter.analyse(pixels)

    def encode(self, latents: Tensor, rate: int) -> bytes:
        return pack(self.priors, self.painter.describe(latents, self.ladder.at(rate)))

    def encode_resilient(self, latents: Tensor, rate: int, width: int, height: int) -> bytes:
        """Every row of cells stands alone and has a checksum."""
        maps = self.painter.describe(latents, self.ladder.at(rate))
        return pack_banded(self.priors, maps, width, height)

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Tensor]:
        """Returns [books int32 [3], depth int32 [h, w], indices of each rung int32]."""
        return _symbols(unpack(self.priors, payload, width, height))

    @classmethod
    def mends(cls, payload: bytes) -> bool:
        return is_banded(payload)

    def read_damaged(
        self, payload: bytes, width: int, height: int, rate: int
    ) -> tuple[Latents, str]:
        """Rows of cells whose checksum is wrong are made up by a network of its own."""
        maps, lost = unpack_damaged(self.priors, payload, width, height)
        told = (
            "nothing of the image part is lost, all its rows have the right checksums: a checksum "
            "of the whole is damaged, or what the header says of colour"
        )
        if lost:
            net = read_conceal_weights(concealment_file(self._weights), self.model_hash)
            maps = conceal(net, self.painter.net, maps, lost)
            told = _told(lost, len(maps.depth), height)
        return self.dequantise(_symbols(maps), width, height, rate), told

    def dequantise(self, symbols: list[Tensor], width: int, height: int, rate: int) -> Latents:
        """y_hat: features at 1/16 with all that two rungs say; z_hat: what the first one says."""
        y_hat, z_hat = self.painter.features(_maps(symbols))
        # What is returned may be trained on, so it is no inference tensor.
        with torch.inference_mode(False):
            y_hat, z_hat = y_hat.clone(), z_hat.clone()
        return Latents(self.name, width, height, rate, STRIDES[1], symbols, y_hat[0], z_hat[0])

    def synthesise(self, latents: Latents) -> Pixels:
        """Returns uint8 [H, W, 3]."""
        return self._draw(latents, lambda drawn: drawn.round_().to(torch.uint8)).numpy()

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Returns float32 [H, W, 3], 0..255."""
        return self._draw(latents, lambda drawn: drawn).numpy()

    def _draw(self, latents: Latents, finish: Callable[[Tensor], Tensor]) -> Tensor:
        """Draw, window by window, what `finish` makes of samples in 0..255: [H, W, 3]."""
        books, finest = latents.symbols[0], latents.symbols[-1]
        plane = self.painter.paint(latents.y_hat[None], int(books[2]), finest, finish)
        return plane[0, :, : latents.height, : latents.width].permute(1, 2, 0).contiguous()


def concealment_file(weights: Path) -> Path:
    """Where the network that makes up lost cells lies: beside the codec's own weights, or where it
    ships."""
    beside = weights.with_name(f"{weights.stem}-conceal{weights.suffix}")
    return beside if beside.is_file() else _SHIPPED_CONCEALMENT


def _told(lost: list[int], rows: int, height: int) -> str:
    """Which part of a picture is made up."""
    runs: list[list[int]] = []
    for row in lost:
        if runs and runs[-1][1] == row:
            runs[-1][1] = row + 1
        else:
            runs.append([row, row + 1])
    lines = ", ".join(f"{a * CELL} to {min(b * CELL, height) - 1}" for a, b in runs[:_NAMED])
    if len(runs) > _NAMED:
        lines += f" and {len(runs) - _NAMED} more places"
    return (
        f"{len(lost)} of {rows} rows of cells were damaged: lines {lines} of the picture are made "
        "up, they were never in the original"
    )


def _maps(symbols: list[Tensor]) -> Maps:
    books, depth, *indices = (plane.numpy() for plane in symbols)
    return Maps(tuple(int(book) for book in books), depth, tuple(indices))


def _symbols(maps: Maps) -> list[Tensor]:
    planes = (np.asarray(maps.books, np.int32), maps.depth, *maps.indices)
    return [torch.from_numpy(np.ascontiguousarray(plane)) for plane in planes]
