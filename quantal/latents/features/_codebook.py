"""A codebook: features as tokens, by the nearest of a few vectors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from quantal.arguments import path as checked_path
from quantal.arguments import whole
from quantal.codecs.weights import digest, read_weights, sound_weights, write_weights
from quantal.container import FeatureHeader, TensorInfo
from quantal.entropy.indices.fit import Sample, fit_prior
from quantal.entropy.indices.maps import walk_map
from quantal.entropy.indices.prior import CountedTables, IndexPrior
from quantal.entropy.quantisers.clustering import kmeans, nearest
from quantal.entropy.walk import Coding, Reading, Writing
from quantal.errors import ArgumentError, CorruptError, TruncatedError
from quantal.latents.features._stream import axis_of, require, sizes
from quantal.latents.features._values import Array, Tensors, by_channel, channel_axis, given

__all__ = ["Codebook"]

#: Vectors that a codebook is fitted to, at most.
_FITTED = 1 << 17
#: Classes of entries, and states of positions, that indices are predicted by.
_CLASSES, _STATES = 12, 64
_LARGEST = 1 << 12


@dataclass(frozen=True, eq=False)
class Codebook:
    """Vectors of one layer's features, and how probable each is beside its neighbours.

    Make one by fit() or read(). Each position of a feature map, or each token, becomes the index of
    the nearest vector (after Zhang et al., "VQToken", 2025); maps of indices are coded by the same
    coder as those of `vq`.

    Attributes:
        vectors: float32 [K, C].
        prior: of maps of indices.
    """

    layout: ClassVar[str] = "feature codebook layout 1"
    codec: ClassVar[str] = "feature-tokens"
    rates: ClassVar[tuple[int, int]] = (0, 0)

    vectors: npt.NDArray[np.float32]
    prior: IndexPrior

    @property
    def hash(self) -> bytes:
        """The first 4 bytes of a SHA-256 over what decides how bits are read."""
        return digest(self.layout, self._integers())

    def _integers(self) -> dict[str, Array]:
        return self.prior.arrays("exact.indices")

    @classmethod
    def fit(
        cls,
        samples: Iterable[Tensors],
        entries: int = 256,
        *,
        channels: int | None = None,
        seed: int = 0,
    ) -> Codebook:
        """Return the codebook of the features of pictures or of a clip, by k-means.

        Args:
            samples: features as encode() takes them, all with the same channels; floats.
            entries: K, 2..4096.
            channels: the axis of the channels; see encode().
            seed: of the start.

        Raises:
            ArgumentError: If there are no samples, or they don't fit together.
        """
        entries = whole("entries", entries, 2, _LARGEST)
        planes, shapes = [], []
        for each in samples:
            for info, values in given(each)[1]:
                axis = channel_axis(info.shape, channels)
                planes.append(torch.from_numpy(by_channel(values, axis).T.astype(np.float32)))
                shapes.append(_map_shape(info, axis))
        if not planes or len({plane.shape[1] for plane in planes}) != 1:
            found = ", ".join(sorted({str(plane.shape[1]) for plane in planes})) or "no"
            raise ArgumentError(f"samples have {found} channels, expected one number for all")
        vectors = torch.cat(planes)
        if not len(vectors):
            raise ArgumentError("the samples are empty; give features of some positions")
        centres = kmeans(vectors[:: -(-len(vectors) // _FITTED)], entries, seed=seed)
        count = min(_CLASSES, entries)
        classes = nearest(centres, kmeans(centres, count, seed=seed)).numpy().astype(np.uint8)
        maps = [
            Sample(nearest(plane, centres).numpy().astype(np.int32).reshape(shape))
            for plane, shape in zip(planes, shapes, strict=True)
            if len(plane)
        ]
        prior = fit_prior(maps, classes, count, 1, _STATES)
        return cls(centres.numpy(), prior)

    def write(self, path: str | os.PathLike[str], card: str = "") -> None:
        """Write a file that read() reads.

        Args:
            path: path to the file.
            card: what it was fitted to, in words.
        """
        texts = {"card": json.dumps({"text": card})}
        floats = {"net.vectors": self.vectors}
        write_weights(
            Path(checked_path("codebook", path)), self.layout, floats, self._integers(), texts
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Codebook:
        """Read a file that write() wrote.

        Raises:
            ModelError: If it is missing, damaged or of another kind.
        """
        file = read_weights(Path(checked_path("codebook", path)), [cls.layout])
        with sound_weights(file):
            prior = IndexPrior.from_arrays(file.arrays, "exact.indices")
            vectors = file.arrays["net.vectors"]
            if vectors.ndim != 2 or len(vectors) != prior.entries:
                raise ValueError(f"vectors {vectors.shape} for {prior.entries} entries")
            if not np.isfinite(vectors).all():
                raise ValueError("vectors that are not finite")
            found = cls(vectors.astype(np.float32), prior)
        file.check(found._integers())
        return found

    def indices(self, values: Array) -> npt.NDArray[np.int32]:
        """Return the nearest vectors of features [C, n], int32 [n].

        Raises:
            ArgumentError: If they have other channels.
        """
        if len(values) != self.vectors.shape[1]:
            raise ArgumentError(
                f"features of {len(values)} channels found, the codebook is for "
                f"{self.vectors.shape[1]}"
            )
        rows = torch.from_numpy(np.ascontiguousarray(values.T, np.float32))
        return nearest(rows, torch.from_numpy(self.vectors)).numpy().astype(np.int32)

    def estimate(self, values: Sequence[Array], rate: int) -> float:
        """Return about how many bytes features take; see Known. There is one rate."""
        return 0.0

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
        require(stream, header.values // channels, float(self.prior.tables.least_bits.min()))
        reading = Reading(stream, what="these tokens")
        shapes = [_map_shape(*pair) for pair in zip(header.tensors, axes, strict=True)]
        self._walk(reading, shapes)
        reading.finish()
        return [self.vectors[own.reshape(-1)].T for own in reading.symbols], axes

    def _walk(self, coding: Coding, shapes: Sequence[tuple[int, int]]) -> None:
        # Tables that stay as they are: so the fewest bits of an index are known.
        counted = CountedTables(self.prior, 0, 0)
        for shape in shapes:
            walk_map(self.prior, np.ones(shape, bool), None, coding, counted)


def _map_shape(info: TensorInfo, axis: int | None) -> tuple[int, int]:
    """Return rows and columns of a tensor's map of indices: all its axes but that of channels."""
    if not info.values:
        return 0, 0
    kept = [size for place, size in enumerate(info.shape) if place != axis]
    return math.prod(kept[:-1]), kept[-1] if kept else 1
