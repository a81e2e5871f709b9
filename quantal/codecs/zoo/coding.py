"""Three ways through the symbols of a picture: write them, read them, or go over known ones.

A prior asks for batch after batch and need not know which way it is. Each way keeps the check value
as it goes: a CRC-32 over the table indices and the symbols of every batch.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quantal.entropy.coder import Decoder, Encoder, IndexArray, IntArray
from quantal.entropy.tables import TableSet
from quantal.errors import ModelError

__all__ = ["Batch", "Coding", "Known", "Reading", "Writing"]

#: Symbols are kept within this: far beyond any table, and whole in an int32.
_LARGEST = float(1 << 30)


@dataclass(frozen=True)
class Batch:
    """Symbols that can be coded at once.

    part: which tensor [C, h, w] they are of, in the order in which parts are coded; where: what
    indexes it to give them. index: uint8, the table of each. mean, gain: float64, a symbol stands
    for `symbol / gain + mean`.
    """

    part: int
    where: tuple[Any, ...]
    index: Tensor
    tables: TableSet
    mean: Tensor
    gain: Tensor


class Coding(ABC):
    """A way through a picture's symbols."""

    def __init__(self) -> None:
        self.check = 0

    def code(self, batch: Batch) -> Tensor:
        """The symbols of the next batch, int32, in the shape of its index."""
        index = batch.index.contiguous().numpy().reshape(-1)
        symbols = self._symbols(batch, index)
        record = symbols.astype("<i4", copy=False).tobytes()
        self.check = zlib.crc32(record, zlib.crc32(index.tobytes(), self.check))
        return torch.from_numpy(symbols).view(batch.index.shape)

    @abstractmethod
    def _symbols(self, batch: Batch, index: IndexArray) -> IntArray:
        """The symbols int32 [n] of a batch whose flat table indices are given."""


class Writing(Coding):
    """Latents [C, h, w] of each part are rounded to symbols, which go to an encoder."""

    def __init__(self, latents: Sequence[Tensor]) -> None:
        super().__init__()
        self._latents = latents
        self._encoder = Encoder()

    def _symbols(self, batch: Batch, index: IndexArray) -> IntArray:
        exact = (self._latents[batch.part][batch.where] - batch.mean) * batch.gain
        if not exact.isfinite().all():
            raise ModelError("these weights make values that are not finite; they are damaged")
        rounded = exact.round().clamp(-_LARGEST, _LARGEST).to(torch.int32)
        symbols: IntArray = rounded.contiguous().numpy().reshape(-1)
        self._encoder.put(symbols, index, batch.tables)
        return symbols

    def finish(self) -> bytes:
        return self._encoder.finish()


class Reading(Coding):
    """Symbols come from a stream."""

    def __init__(self, stream: bytes) -> None:
        super().__init__()
        self._decoder = Decoder(stream)

    def _symbols(self, batch: Batch, index: IndexArray) -> IntArray:
        return self._decoder.take(index, batch.tables)

    def finish(self) -> None:
        """Raises CorruptError unless exactly everything was taken."""
        self._decoder.finish()


class Known(Coding):
    """Symbols [C, h, w] of each part are there already."""

    def __init__(self, symbols: Sequence[Tensor]) -> None:
        super().__init__()
        self._known = symbols

    def _symbols(self, batch: Batch, index: IndexArray) -> IntArray:
        symbols: IntArray = self._known[batch.part][batch.where].contiguous().numpy().reshape(-1)
        return symbols
