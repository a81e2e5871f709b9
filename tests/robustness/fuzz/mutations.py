"""Ways to damage any file: bits, cuts, runs, splices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

__all__ = ["GENERAL", "Mutation", "Random", "cut", "extend", "flip_bits", "overwrite", "splice"]

#: Damages a file; the others are there to take parts from.
Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


def flip_bits(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    damaged = bytearray(data)
    for bit in rng.sample(range(8 * len(data)), min(rng.choice((1, 1, 1, 2, 8)), 8 * len(data))):
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def cut(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    return data[: rng.randrange(len(data))]


def extend(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 40))


def overwrite(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """A run of zeros, ones or anything over a run of the file."""
    start = rng.randrange(len(data))
    length = min(rng.choice((1, 2, 4, 64, 4096)), len(data) - start)
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:start] + run + data[start + length :]


def splice(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(others or [data])
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


GENERAL: tuple[Mutation, ...] = (flip_bits, cut, extend, overwrite, splice)
