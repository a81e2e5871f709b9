"""Shards as the source of a data set."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod

import numpy as np

from quantal.codecs.contract import Codec, Latents
from quantal.entropy.coder import IntArray
from quantal.errors import ModelError, QuantalError
from quantal.latents._read import Symbols
from quantal.latents._shard import Shard
from quantal.latents._sources import Failing, Model, Read, Source
from quantal.latents._symbols import damaged_symbols, fitting_codec
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

    def models(self) -> Iterator[Model]:
        for shard in self._shards:
            yield Model(shard.codec, shard.model_hash, str(shard.path))

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
        good = []
        for place, inside in members:
            if inside in bad:
                failed(place, bad[inside])
            else:
                good.append((place, inside))
        alike: dict[tuple[int, int, int], list[int]] = {}
        for row, (place, inside) in enumerate(good):
            size = _size_and_rate(shard, inside)
            if symbols_only:
                own = [part[row] for part in block]
                results[place] = Symbols(shard.codec, shard.model_hash, *size, own)
            else:
                alike.setdefault(size, []).append(row)
        for size, rows in alike.items():
            symbols = [part[rows].astype(np.int32) for part in block]
            found = _dequantised(shard, symbols, len(rows), size, codec)
            for row, latents in zip(rows, found, strict=True):
                place, _ = good[row]
                if isinstance(latents, Latents):
                    results[place] = latents
                else:
                    failed(place, latents)


def _size_and_rate(shard: Shard, index: int) -> tuple[int, int, int]:
    """Return width, height and rate of a picture."""
    width, height = (int(shard.column(side)[index]) + 1 for side in ("width", "height"))
    return width, height, int(shard.column("rate")[index])


def _dequantised(
    shard: Shard,
    symbols: list[IntArray],
    count: int,
    size: tuple[int, int, int],
    codec: Codec | None,
) -> list[Latents | QuantalError]:
    """Return the latents of pictures of one size and rate, or what is wrong with them.

    Args:
        shard: the shard of all of them.
        symbols: the symbols of all pictures, int32 [B, ...].
        count: B.
        size: width, height and rate.
        codec: dequantises them; default: the one that the shard names.
    """
    try:
        codec = fitting_codec(shard.codec, shard.model_hash, shown(shard.path), codec)
        with damaged_symbols(*size[:2]):
            found = codec.dequantise_many(symbols, *size)
            if len(found) != count:  # without any part there is nothing that says how many
                raise ValueError(f"{len(found)} of {count} pictures have symbols")
            return [*found]
    except QuantalError as error:
        if count == 1 or isinstance(error, ModelError):
            return [error] * count
    # Find out whose symbols are wrong.
    ones = ([part[row : row + 1] for part in symbols] for row in range(count))
    return [found for one in ones for found in _dequantised(shard, one, 1, size, codec)]
