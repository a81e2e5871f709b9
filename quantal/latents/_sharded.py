"""Shards as the source of a data set."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import accumulate
from math import prod

import torch

from quantal.codecs.contract import Codec, Latents
from quantal.errors import CorruptError, QuantalError
from quantal.latents._read import Symbols
from quantal.latents._shard import Shard
from quantal.latents._sources import Failing, Read, Source
from quantal.latents._unpack import fitting_codec
from quantal.names import shown

__all__ = ["Shards"]

#: Symbols that are read together: more would not stay in a cache.
_BLOCK = 1 << 19


class Shards(Source):
    """The pictures of shards, one after the other.

    Args:
        shards: the shards.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = list(shards)
        self._ends = list(accumulate(map(len, self._shards)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _find(self, index: int) -> tuple[int, int]:
        """Return the number of a shard, and the picture's number in it."""
        number = bisect.bisect_right(self._ends, index)
        return number, index - (self._ends[number - 1] if number else 0)

    def name(self, index: int) -> str:
        number, inside = self._find(index)
        return self._shards[number].name(inside)

    def size(self, index: int) -> tuple[int, int]:
        number, inside = self._find(index)
        shard = self._shards[number]
        return int(shard.column("width")[inside]) + 1, int(shard.column("height")[inside]) + 1

    def read(
        self, indices: Sequence[int], symbols_only: bool, failed: Failing, codec: Codec | None
    ) -> Read:
        groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for place, index in enumerate(indices):
            number, inside = self._find(index)
            layout = int(self._shards[number].column("layout")[inside])
            groups.setdefault((number, layout), []).append((place, inside))
        results: Read = [None] * len(indices)
        for (number, layout), members in groups.items():
            shard = self._shards[number]
            size = sum(map(prod, shard.shapes(layout)))
            step = max(_BLOCK // max(size, 1), 1)
            for start in range(0, len(members), step):
                self._read_block(
                    shard, members[start : start + step], symbols_only, failed, codec, results
                )
        return results

    def _read_block(
        self,
        shard: Shard,
        members: Sequence[tuple[int, int]],
        symbols_only: bool,
        failed: Failing,
        codec: Codec | None,
        results: Read,
    ) -> None:
        """Read pictures of one layout, given by their places among the results and in the shard."""
        bad: dict[int, QuantalError] = {}
        block = shard.block([inside for _, inside in members], bad.setdefault)
        row = 0
        for place, inside in members:
            if inside in bad:
                failed(place, bad[inside])
                continue
            symbols = [torch.from_numpy(part[row]) for part in block]
            row += 1
            try:
                results[place] = _from_shard(shard, inside, symbols, symbols_only, codec)
            except QuantalError as error:
                failed(place, error)


def _from_shard(
    shard: Shard, index: int, symbols: list[torch.Tensor], symbols_only: bool, codec: Codec | None
) -> Latents | Symbols:
    width, height = (int(shard.column(side)[index]) + 1 for side in ("width", "height"))
    rate = int(shard.column("rate")[index])
    if symbols_only:
        return Symbols(shard.codec, shard.model_hash, width, height, rate, symbols)
    codec = fitting_codec(shard, "cpu", codec)
    try:
        whole = [part.to(torch.int32).contiguous() for part in symbols]
        return codec.dequantise(whole, width, height, rate)
    except QuantalError:
        raise
    except (ValueError, IndexError, RuntimeError) as error:
        raise CorruptError(
            f"{shown(shard.path)}: the symbols of {shown(shard.name(index))} are not those of a "
            f"picture of {width}x{height}: {error}"
        ) from error
