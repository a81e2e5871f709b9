"""A decoder written from docs/reference/codecs/hyperprior.md alone reads what we write.

It is plain Python and shares no line with quantal.entropy.coder, so that the page and the coder
hold each other.
"""

from __future__ import annotations

import struct
from bisect import bisect_right

import numpy as np
import pytest

from quantal.entropy import Encoder, TableSet, freeze

START = 0x0151544C


class Stack:
    """The paragraph "Coder"."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % 4)
        self.words = list(struct.unpack(f"<{len(padded) // 4}I", padded))
        self.state = self.words.pop() if self.words else START
        if self.words:
            self.state = (self.state << 32) + self.words.pop()

    def take(self, cumulative: list[int]) -> int:
        quantile = self.state & 0xFFFFFF
        slot = bisect_right(cumulative, quantile) - 1
        weight = cumulative[slot + 1] - cumulative[slot]
        self.state = weight * (self.state >> 24) + quantile - cumulative[slot]
        if self.state < 1 << 32 and self.words:
            self.state = (self.state << 32) + self.words.pop()
        return slot

    def uniform(self, count: int) -> int:
        share = (1 << 24) // count
        return self.take([*range(0, share * count, share), 1 << 24])


def batch(stack: Stack, index: list[int], tables: TableSet) -> list[int]:
    """The paragraph "A batch of symbols"."""
    symbols = [0] * len(index)
    escapes = []
    for table, first in enumerate(tables.first.tolist()):
        counts = tables.cumulative[tables.offsets[table] : tables.offsets[table + 1]].tolist()
        slots = len(counts) - 1
        for place in (i for i, used in enumerate(index) if used == table):
            slot = stack.take(counts) if slots > 1 else 0
            symbols[place] = first + slot
            if slots > 1 and slot == slots - 1:
                escapes.append((place, first, first + slots - 2))
    classes = [stack.uniform(34) for _ in escapes]
    values = [1 << bits - 1 if bits else 0 for bits in classes]
    for bits in sorted(set(classes)):
        for low in range(0, bits - 1, 16):
            width = min(16, bits - 1 - low)
            for escape in (e for e, own in enumerate(classes) if own == bits):
                values[escape] += stack.uniform(1 << width) << low
    for value, (place, first, last) in zip(values, escapes, strict=True):
        distance = value // 2 + 1
        symbols[place] = first - distance if value % 2 else last + distance
    return symbols


@pytest.mark.parametrize("seed", range(20))
def test_a_decoder_made_from_the_page_reads_the_same_symbols(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = [freeze(rng.random(count) ** 4) for count in (1, 3, 9, 30)]
    certain = np.array([1 << 24], np.int32)
    tables = TableSet.from_weights([0, -1, -4, -15, 5], [*weights, certain])
    encoder = Encoder()
    written = []
    for count in rng.integers(0, 60, 3):
        index = rng.integers(0, len(tables), count).astype(np.uint8)
        near, far = rng.integers(-20, 20, count), rng.integers(-(2**31), 2**31, count)
        symbols = np.where(rng.random(count) < 0.2, far, near).astype(np.int32)
        symbols[index == 4] = 5
        encoder.put(symbols, index, tables)
        written.append((symbols, index))
    stack = Stack(encoder.finish())
    for symbols, index in written:
        assert batch(stack, index.tolist(), tables) == symbols.tolist()
    assert (stack.state, stack.words) == (START, [])
