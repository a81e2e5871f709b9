"""A codebook: features as tokens, by the nearest of a few vectors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from quantal.arguments import path as checked_path
from quantal.arguments import typed, whole
from quantal.codecs.weights import digest, read_weights, sound_weights, write_weights
from quantal.container import FeatureHeader, TensorInfo
from quantal.entropy.indices.fit import Sample, fit_prior
from quantal.entropy.indices.maps import walk_map
from quantal.entropy.indices.prior import CountedTables, IndexPrior
from quantal.entropy.quantisers.clustering import kmeans, nearest
from quantal.entropy.tables import TOTAL, TableSet
from quantal.entropy.walk import Coding, Reading, Writing
from quantal.errors import ArgumentError, CorruptError, ModelError, TruncatedError
from quantal.latents.features._stream import axis_of, require, sizes
from quantal.latents.features._tables import LEAST_BITS
from quantal.latents.features._values import (
    Array,
    Tensors,
    sampled,
    single_precision,
)

__all__ = ["Codebook"]

#: Vectors that a codebook is fitted to, at most.
_FITTED = 1 << 17
#: Magnitudes whose squares k-means can add up in float32.
_FARTHEST = 1e15
#: Classes of entries, and states of positions, that indices are predicted by.
_CLASSES, _STATES = 12, 64
_LARGEST = 1 << 12
#: The weight of an index that costs LEAST_BITS.
_MOST = int(TOTAL * 2.0**-LEAST_BITS)


@dataclass(frozen=True, eq=False)
class Codebook:
    """Vectors of one layer's features, and how probable each is beside its neighbours.

    Make one by fit() or read(). Each position of a feature map, or each token, becomes the index of
    the nearest vector (after Zhang et al., "VQToken", 2025); maps of indices are coded by the same
    coder as those of `vq`.

    Attributes:
        vectors: float32 [K, C].
        prior: how maps of indices are coded; no index costs less than LEAST_BITS.

    Raises:
        ModelError: If they don't form a codebook.
    """

    layout: ClassVar[str] = "feature codebook layout 1"
    codec: ClassVar[str] = "feature-tokens"
    rates: ClassVar[tuple[int, int]] = (0, 0)

    vectors: npt.NDArray[np.float32]
    prior: IndexPrior

    def __post_init__(self) -> None:
        vectors, prior = self.vectors, self.prior
        if vectors.dtype != np.float32 or vectors.ndim != 2 or not vectors.size:
            raise ModelError(f"vectors {vectors.dtype} {vectors.shape} found, expected float32")
        if len(vectors) != prior.entries:
            raise ModelError(f"{len(vectors)} vectors found for {prior.entries} indices")
        if not np.isfinite(vectors).all():
            raise ModelError("vectors that are NaN or infinite found")
        if prior.tables.least_bits.min() < LEAST_BITS:
            # A few bytes could stand for any number of indices.
            raise ModelError(
                f"an index of {prior.tables.least_bits.min():.2g} bits found, expected "
                f"{LEAST_BITS:.4f} or more"
            )

    @cached_property
    def hash(self) -> bytes:
        """The first 4 bytes of a SHA-256 over all of the codebook, its vectors included."""
        return digest(self.layout, {**self._floats(), **self._integers()})

    def _floats(self) -> dict[str, Array]:
        return {"net.vectors": self.vectors}

    def _integers(self) -> dict[str, Array]:
        return self.prior.arrays("exact.indices")

    @classmethod
    def fit(
        cls,
        samples: Tensors | Iterable[Tensors],
        entries: int = 256,
        *,
        channels: int | None = None,
        seed: int = 0,
    ) -> Codebook:
        """Return the codebook of the features of pictures or of a clip, by k-means.

        Args:
            samples: features as encode() takes them, floats that float32 holds, all with the same
                number of channels; a tensor by itself is one sample.
            entries: K, 2..4096.
            channels: the axis of the channels; see encode().
            seed: the seed of k-means.

        Raises:
            ArgumentError: If there are no samples, or they don't fit together.
        """
        entries, seed = whole("entries", entries, 2, _LARGEST), whole("seed", seed, 0, 2**63 - 1)
        found = sampled(samples, channels)
        planes = [torch.from_numpy(np.ascontiguousarray(values.T)) for _, values, _ in found]
        shapes = [_map_shape(info, axis) for info, _, axis in found]
        vectors = torch.cat(planes)
        if not len(vectors):
            raise ArgumentError("the samples are empty; give features of some positions")
        if float(vectors.abs().max()) > _FARTHEST:
            raise ArgumentError(
                f"samples have magnitudes up to {float(vectors.abs().max()):.6g}, expected at most "
                f"{_FARTHEST:.0e}; scale them"
            )
        centres = kmeans(vectors[:: -(-len(vectors) // _FITTED)], entries, seed=seed)
        count = min(_CLASSES, entries)
        classes = nearest(centres, kmeans(centres, count, seed=seed)).numpy().astype(np.uint8)
        maps = [
            Sample(nearest(plane, centres).numpy().astype(np.int32).reshape(shape))
            for plane, shape in zip(planes, shapes, strict=True)
            if len(plane)
        ]
        prior = fit_prior(maps, classes, count, 1, _STATES)
        return cls(centres.numpy(), _with_a_price(prior))

    def write(self, path: str | os.PathLike[str], card: str = "") -> None:
        """Write a file that read() reads.

        Args:
            path: path to the file.
            card: what it was fitted to, in words.
        """
        texts = {"card": json.dumps({"text": typed("card", card, str)})}
        file = Path(checked_path("codebook", path))
        write_weights(file, self.layout, self._floats(), self._integers(), texts)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Codebook:
        """Read a file that write() wrote.

        Raises:
            ModelError: If it is missing, damaged or of another kind.
        """
        file = read_weights(Path(checked_path("codebook", path)), [cls.layout])
        with sound_weights(file):
            prior = IndexPrior.from_arrays(file.arrays, "exact.indices")
            found = cls(file.arrays["net.vectors"], prior)
        file.check(found._integers())
        return found

    def indices(self, values: Array) -> npt.NDArray[np.int32]:
        """Return the nearest vectors of features [C, n], int32 [n].

        Raises:
            ArgumentError: If they have another number of channels, or values that are too large.
        """
        if len(values) != self.vectors.shape[1]:
            raise ArgumentError(
                f"features of {len(values)} channels found, the codebook is for "
                f"{self.vectors.shape[1]}"
            )
        rows = torch.from_numpy(np.ascontiguousarray(single_precision(values.T)))
        return nearest(rows, torch.from_numpy(self.vectors)).numpy().astype(np.int32)

    def write_part(
        self,
        values: Sequence[Array],
        axes: Sequence[int | None],
        header: FeatureHeader,
        rate: int,
    ) -> bytes:
        """Return the part of a file; see Known."""
        shapes = [_map_shape(*pair) for pair in zip(header.tensors, axes, strict=True)]
        maps = [self.indices(own).reshape(shape) for own, shape in zip(values, shapes, strict=True)]
        writing = Writing(maps)
        self._walk(writing, shapes)
        return bytes(0 if axis is None else axis + 1 for axis in axes) + writing.finish()

    def read_part(self, part: bytes, header: FeatureHeader) -> tuple[list[Array], list[int | None]]:
        """Return features and the axes of their channels; see Known."""
        if len(part) < header.count:
            raise TruncatedError(f"{header.count} tensors found, the part has {len(part)} bytes")
        axes = [axis_of(*pair) for pair in zip(part, header.tensors, strict=False)]
        stream = part[header.count :]
        channels = self.vectors.shape[1]
        for info, axis in zip(header.tensors, axes, strict=True):
            found, _ = sizes(info, axis)
            if info.values and found != channels:
                raise CorruptError(f"{found} channels found, the codebook is for {channels}")
        require(stream, header.values // channels, LEAST_BITS)
        reading = Reading(stream, what="these tokens")
        shapes = [_map_shape(*pair) for pair in zip(header.tensors, axes, strict=True)]
        self._walk(reading, shapes)
        reading.finish()
        return [self.vectors[own.reshape(-1)].T for own in reading.symbols], axes

    def _walk(self, coding: Coding, shapes: Sequence[tuple[int, int]]) -> None:
        # Tables that stay as they are, so that the fewest bits of an index are known.
        counted = CountedTables(self.prior, 0, 0)
        for shape in shapes:
            walk_map(self.prior, np.ones(shape, bool), None, coding, counted)


def _with_a_price(prior: IndexPrior) -> IndexPrior:
    """Return a prior of which no index costs less than LEAST_BITS.

    What a table gives its likeliest entry beyond that is shared among the others.
    """
    rows = []
    for table in range(len(prior.tables)):
        weights = prior.tables.weights(table)
        entries, likeliest = weights[:-1], int(weights[:-1].argmax())
        excess = max(int(entries[likeliest]) - _MOST, 0)
        share, rest = divmod(excess, len(entries) - 1)
        others = np.arange(len(entries)) != likeliest
        entries[others] += share + (np.arange(len(entries) - 1) < rest)
        entries[likeliest] -= excess
        rows.append(weights.astype(np.int32))
    return IndexPrior(prior.around, TableSet.from_weights([0] * len(rows), rows))


def _map_shape(info: TensorInfo, axis: int | None) -> tuple[int, int]:
    """Return rows and columns of a tensor's map of indices: all its axes but that of channels."""
    if not info.values:
        return 0, 0
    kept = [size for place, size in enumerate(info.shape) if place != axis]
    return math.prod(kept[:-1]), kept[-1] if kept else 1
