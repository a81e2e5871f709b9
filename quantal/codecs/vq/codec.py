"""Codec `vq`: indices of codebooks instead of rounded latents, for 0.01 to 0.1 bits per pixel.

A file says for every cell of 32x32 pixels how finely it is described, and by which entries of which
codebooks; the synthesis draws the texture that such entries had in training. The stream is
specified in docs/reference/codecs/vq.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantal.codecs.backends import Backend, torch_net
from quantal.codecs.contract import (
    Codec,
    Concealed,
    Floats,
    Latents,
    Pixels,
    Symbols,
    UnroundedPixels,
)
from quantal.codecs.family import SHIPPED
from quantal.codecs.vq import NET
from quantal.codecs.vq.conceal import conceal, conceal_networks
from quantal.codecs.vq.file import LAYOUT, read_vq_file
from quantal.codecs.vq.maps import CELL, Maps
from quantal.codecs.vq.painter import STRIDES, Painter
from quantal.codecs.vq.stream import is_banded, pack, pack_banded, unpack, unpack_damaged
from quantal.codecs.weights import read_weights
from quantal.codecs.weights_packages import find_installed

if TYPE_CHECKING:
    from quantal.codecs.vq.net import VqNet

__all__ = ["Vq"]


_SHIPPED_CONCEALMENT = SHIPPED / "vq-conceal.safetensors"
#: Damaged places that a warning names one by one.
_NAMED = 6


class _Encoding:
    """One picture being coded; its features serve every rate."""

    def __init__(self, codec: Vq, pixels: Pixels, resilient: bool) -> None:
        self._codec, self._resilient = codec, resilient
        self._height, self._width = pixels.shape[:2]
        self._features = codec.painter.analyse(pixels)

    def at(self, rate: int) -> bytes:
        codec = self._codec
        maps = codec.painter.describe(self._features, codec.ladder.at(rate))
        if self._resilient:
            return pack_banded(codec.priors, maps, self._width, self._height)
        return pack(codec.priors, maps)


class Vq(Codec):
    """The codec with its weights loaded; see Codec.

    Args:
        name: is written to files.
        weights: the file.
        backend: runs the networks.
    """

    def __init__(self, name: str, weights: Path, backend: Backend) -> None:
        file = read_weights(weights, [LAYOUT])
        networks = backend.networks(file, NET)
        known = read_vq_file(file)
        super().__init__(name, backend.device, known.hash)
        self.painter = Painter(networks, known.books, bool(file.sizes().get("refine_width")))
        self._weights, self._backend = weights, backend
        self.priors, self.ladder = known.priors, known.ladder

    def networks(self) -> VqNet:
        """Return a copy of the networks in torch; changing it does not change the codec.

        Raises:
            InstallError: If torch is not installed.
        """
        return torch_net(self.painter.networks, NET)  # type: ignore[no-any-return]

    def encoding(self, pixels: Pixels) -> _Encoding:
        return _Encoding(self, pixels, resilient=False)

    def resilient_encoding(self, pixels: Pixels) -> _Encoding:
        """Begin to code a picture whose rows of cells are independent, each with a checksum."""
        return _Encoding(self, pixels, resilient=True)

    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Return the symbols: [books int32 [3], depth int32 [h, w], indices of each rung int32]."""
        return _symbols(unpack(self.priors, payload, width, height))

    def recode(self, symbols: list[Symbols], width: int, height: int, rate: int) -> bytes:
        """Return the image part that symbols were parsed from, unless it was a resilient one."""
        return pack(self.priors, _maps(symbols))

    @classmethod
    def can_conceal(cls, payload: bytes) -> bool:
        return is_banded(payload)

    def read_damaged(self, payload: bytes, width: int, height: int, rate: int) -> Concealed:
        """Return latents; a network makes up rows of cells whose checksum is wrong."""
        maps, lost = unpack_damaged(self.priors, payload, width, height)
        warning = (
            "nothing of the image part is lost, all its rows have the right checksums: a checksum "
            "of the whole is damaged, or what the header says of colour"
        )
        if lost:
            path = concealment_file(self._weights)
            networks = conceal_networks(path, self.model_hash, self._backend)
            maps = conceal(networks, self.painter.books, maps, lost)
            warning = _lost_lines(lost, len(maps.depth), height)
        return Concealed(self.dequantise(_symbols(maps), width, height, rate), warning)

    def dequantise(self, symbols: list[Symbols], width: int, height: int, rate: int) -> Latents:
        """Return latents; see Codec.dequantise().

        `y_hat` is the features at 1/16 that two rungs give, `z_hat` those at 1/32 that the first
        gives.
        """
        y_hat, z_hat = self.painter.features(_maps(symbols))
        return Latents(
            codec=self.name,
            model_hash=self.model_hash,
            width=width,
            height=height,
            rate=rate,
            stride=STRIDES[1],
            symbols=symbols,
            y_hat=y_hat,
            z_hat=z_hat,
        )

    def synthesise(self, latents: Latents) -> Pixels:
        return self.painter.paint(*_painted(latents))

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        return self.painter.paint_unrounded(*_painted(latents))


def _painted(latents: Latents) -> tuple[Floats, int, Symbols, tuple[int, int]]:
    """Return the arguments of Painter.paint()."""
    books, finest = latents.symbols[0], latents.symbols[-1]
    return latents.y_hat, int(books[2]), finest, (latents.height, latents.width)


def concealment_file(weights: Path) -> Path:
    """Return the path of the network that makes up lost cells.

    It is beside the codec's weights, else where the shipped one is.
    """
    beside = weights.with_name(f"{weights.stem}-conceal{weights.suffix}")
    for path in (beside, _SHIPPED_CONCEALMENT):
        if path.is_file():
            return path
    return find_installed(_SHIPPED_CONCEALMENT.name) or _SHIPPED_CONCEALMENT


def _lost_lines(lost: list[int], rows: int, height: int) -> str:
    """Return a warning that says which part of a picture is made up."""
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


def _maps(symbols: list[Symbols]) -> Maps:
    books, depth, *indices = symbols
    return Maps(tuple(int(book) for book in books), depth, tuple(indices))


def _symbols(maps: Maps) -> list[Symbols]:
    planes = (np.asarray(maps.books, np.int32), maps.depth, *maps.indices)
    return [np.ascontiguousarray(plane) for plane in planes]
