"""A decoder written from docs/reference/codecs/video.md alone reads the vectors we write.

It is plain Python. Of the coder it takes what test_specification.py wrote from
docs/reference/codecs/hyperprior.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_specification import START, Stack, batch

from quantal.entropy import TableSet
from quantal.entropy.vectors import VectorPrior
from quantal.entropy.vectors.starts import STARTS
from quantal.entropy.walk import Writing

COUNTS_AS = (0, 1, 2, 2, 2)
BUCKETS = ((0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, 64))


def normalised(weights: list[int]) -> list[int]:
    total = sum(weights)
    made = [w * (2**24 - len(weights)) // total + 1 for w in weights]
    made[weights.index(max(weights))] += 2**24 - sum(made)
    return made


class Tables:
    """The paragraph "Tables of vectors", and how index maps learn."""

    def __init__(self, first: int, starts: list[list[int]]) -> None:
        self.first, self.counts, self.used = first, starts, starts
        self.often = [0] * len(starts[0])
        self.seen = self.new = 0

    def for_frame(self) -> TableSet:
        if self.new and self.new >= max(48, self.seen // 32):
            self.seen, self.new = self.seen + self.new, 0
            for row in self.counts:
                while sum(row) > 2**38:
                    row[:] = [count // 2 for count in row]
            entries = len(self.often) - 1
            shared = min(self.seen * 2**14, 2**14 * entries, 2**24)
            common = [count * shared // self.seen for count in self.often]
            self.used = [
                normalised([a + b for a, b in zip(row, common, strict=True)]) for row in self.counts
            ]
        return TableSet.from_weights(
            [self.first] * len(self.used), [np.array(row, np.int32) for row in self.used]
        )

    def learn(self, states: list[int], slots: list[int]) -> None:
        self.counts = [list(row) for row in self.counts]
        for state, slot in zip(states, slots, strict=True):
            self.counts[state][slot] += 2**17
            self.often[slot] += 1
        self.new += len(slots)


def mode_starts() -> list[list[int]]:
    found = []
    for row, pasts in enumerate(STARTS.moving):
        r, c, q = STARTS.split[row % 6]
        for m in pasts:
            own = [m * share for share in (1000 - r - c - q, r, c, q)]
            found.append(normalised([1000 * (1000 - m), *own, 0]))
    return found


def difference_starts() -> list[list[int]]:
    found = []
    for row in STARTS.sizes:
        weights = [0] * 130
        for share, (low, high) in zip(row, BUCKETS, strict=True):
            sharing = {sign * size for size in range(low, high + 1) for sign in (-1, 1)}
            for difference in sharing:
                weights[64 + difference] = share * 2**20 // len(sharing)
        weights[129] = (1000 - sum(row)) * 2**20
        found.append(normalised(weights))
    return found


class Reader:
    """The vectors of the predicted frames of one group."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self.rows, self.columns = -(-height // 2), -(-width // 2)
        self.modes, self.differences = Tables(0, mode_starts()), Tables(0, difference_starts())
        self.past: tuple[dict, dict] | None = None

    def frame(self, data: bytes) -> np.ndarray:
        stack = Stack(data)
        modes = self.read_modes(stack)
        coded = self.read_differences(stack, modes)
        assert stack.state == START and not stack.words
        return self.vectors(modes, coded)

    def around(self, values: dict, place: tuple[int, int]) -> list[int]:
        row, column = place
        near = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        return [values[other] for other in near if other in values]

    def read_modes(self, stack: Stack) -> dict:
        tables = self.modes.for_frame()
        modes: dict[tuple[int, int], int] = {}
        passes = (
            (((0, 0),), ()),
            (((1, 1),), ((-1, -1), (-1, 1), (1, -1), (1, 1))),
            (((0, 1), (1, 0)), ((-1, 0), (0, -1), (0, 1), (1, 0))),
        )
        for number, (corners, neighbours) in enumerate(passes):
            places = [
                (row, column)
                for top, left in corners
                for row in range(top, self.rows, 2)
                for column in range(left, self.columns, 2)
            ]
            states = []
            for row, column in places:
                near = [(row + i, column + j) for i, j in neighbours]
                total = sum(COUNTS_AS[modes[other]] for other in near if other in modes)
                past = 0
                if self.past:
                    counted = {place: COUNTS_AS[m] for place, m in self.past[0].items()}
                    before = sum(self.around(counted, (row, column)))
                    past = 1 + sum(bound < before for bound in (0, 2, 5, 9))
                states.append((6 * number + min(5, total)) * 6 + past)
            if places:
                found = batch(stack, states, tables)
                modes.update(zip(places, found, strict=True))
                self.modes.learn(states, found)
        return modes

    def read_differences(self, stack: Stack, modes: dict) -> dict:
        tables = self.differences.for_frame()
        which = ((1, 2, 3, 4), (3, 4), (2, 4), (4,))
        places = [
            (block, place)
            for block in range(4)
            for place in sorted(modes)
            if modes[place] in which[block]
        ]
        coded: dict[tuple[int, int, tuple[int, int]], int] = {}
        for axis in range(2 if places else 0):
            states = []
            for block, place in places:
                kind = (0 if modes[place] == 1 else 1) if block == 0 else 2
                if block and modes[place] == 4:
                    kind = 4 if block == 3 else 3
                own = 0
                if axis == 1:
                    size = abs(coded[0, block, place])
                    own = sum(bound < size for bound in (0, 1, 3, 8, 24))
                elif block == 0 and self.past:
                    size = max(self.around(self.past[1], place))
                    own = 1 + sum(bound < size for bound in (0, 2, 8))
                states.append((5 * axis + kind) * 6 + own)
            entries = batch(stack, states, tables)
            self.differences.learn(states, [e if 0 <= e <= 128 else 129 for e in entries])
            for (block, place), entry in zip(places, entries, strict=True):
                coded[axis, block, place] = entry - 64
        return coded

    def vectors(self, modes: dict, coded: dict) -> np.ndarray:
        field = np.zeros((2, 2 * self.rows, 2 * self.columns), np.int64)
        sizes = dict.fromkeys(modes, 0)
        for row, column in sorted(modes):
            for axis in range(2):
                plane = field[axis]
                a, b, last = (coded.get((axis, k, (row, column)), 0) for k in (1, 2, 3))
                first = coded.get((axis, 0, (row, column)), 0)
                expected = sorted((a, b, a + b))[1] if modes[row, column] == 4 else a + b
                steps = [first, first + a, first + b, first + expected + last]
                predicted = self.predicted(plane, row, column)
                for block, step in enumerate(steps):
                    plane[2 * row + block // 2, 2 * column + block % 2] = predicted + step
                sizes[row, column] = max(sizes[row, column], *map(abs, steps))
        self.past = modes, sizes
        return field[:, : self.size[0], : self.size[1]]

    def predicted(self, plane: np.ndarray, row: int, column: int) -> int:
        left = plane[2 * row, 2 * column - 1] if column else 0
        if not row:
            return int(left)
        beside = column + 1 if column + 1 < self.columns else max(column - 1, 0)
        above = plane[2 * row - 1]
        return int(sorted((left, above[2 * column], above[2 * beside]))[1])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 2), (12, 17), (31, 24)])
def test_a_decoder_made_from_the_page_reads_the_same_vectors(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size))
    prior, reader, state = VectorPrior(), Reader(*size), None
    for number in range(5):
        field = np.zeros((2, *size), np.int16) + rng.integers(-9, 9, (2, 1, 1)).astype(np.int16)
        tall = np.repeat(rng.integers(-40, 40, (2, -(-size[0] // 2), size[1])), 2, axis=1)
        wide = np.repeat(rng.integers(-9, 9, (2, size[0], -(-size[1] // 2))), 2, axis=2)
        for change in (tall[:, : size[0]], wide[:, :, : size[1]]):
            here = np.kron(rng.random((-(-size[0] // 2), -(-size[1] // 2))) < 0.2, np.ones((2, 2)))
            field += (change * here[: size[0], : size[1]]).astype(np.int16)
        field[:, rng.random(size) < 0.02 * number] = -3000
        writing = Writing(prior.latents(field))
        state = prior.walk(writing, size, state)
        assert np.array_equal(reader.frame(writing.finish()), field)
