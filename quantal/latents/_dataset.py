"""Data sets of latents for torch's DataLoader, of folders, shards, tars and tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from quantal.arguments import choice, flag
from quantal.codecs.contract import Codec, Latents
from quantal.codecs.registry import load_version
from quantal.errors import ArgumentError, ModelError, QuantalError, QuantalWarning
from quantal.latents._failures import Failed, named
from quantal.latents._format import SUFFIX
from quantal.latents._grid import on_grid, steps, stride_of
from quantal.latents._pack import find_files
from quantal.latents._read import Symbols
from quantal.latents._sample import Sample
from quantal.latents._shard import Shard, find_shards
from quantal.latents._sharded import Shards
from quantal.latents._sources import Files, Rows, Source, Tar

__all__ = ["LatentDataset"]

VALUES = ("symbols", "grid", "latents")


class LatentDataset(Dataset[Sample | Failed]):
    """The latents of many pictures, by number.

    A DataLoader asks it for whole batches, which are read together. Files are opened in the process
    that reads them; it can be sent to workers by any method.

    Args:
        source: a folder of .qtl files (its whole tree); a folder of shards, a shard, or several; a
            tar of webdataset; or rows, such as a data set of Hugging Face's `datasets`.
        values: "symbols": every coded symbol in coding order, integers, from shards without any
            model. "grid": symbols of y as one tensor [M, h, w]. "latents": y_hat [M, h, w],
            float32, for which floating-point networks run.
        scaled: whether symbols of the grid are multiplied by what a step is worth at their rate,
            which makes them float32: then values of all rates have one unit, as latents always do.
        transform: applied to each Sample, such as Crop or Flip.
        on_error: "raise" the first error, which names its picture, or "skip": a Failed is in its
            place, which collate() leaves out and names, and a QuantalWarning says so.
        variants: names that differ only behind the last of these characters are one picture at
            several rates: "a/1@20.qtl" and "a/1@60.qtl" for "@". One of them is drawn at random
            whenever the picture is asked for.
        codec: default: the ones that the pictures name, with the weights that ship.
        column: of rows: the .qtl files, as bytes or {"bytes": ...}.
        label: of rows: the classes.

    Attributes:
        labels: of every picture.
        classes: names of classes, which `labels` number; empty where labels were numbers already.

    Raises:
        MediaError: The source holds no pictures, or can't be read.
        BitstreamError: A shard is damaged.
    """

    def __init__(
        self,
        source: Any,
        *,
        values: str = "symbols",
        scaled: bool = False,
        transform: Callable[[Sample], Sample] | None = None,
        on_error: str = "raise",
        variants: str | None = None,
        codec: Codec | None = None,
        column: str = "qtl",
        label: str = "label",
    ) -> None:
        self.values = choice("values", values, VALUES)
        self.scaled = flag("scaled", scaled)
        if self.scaled and values != "grid":
            raise ArgumentError(f"scaled is for values='grid', these are {values!r}")
        self.transform = transform
        self._skip = choice("on_error", on_error, ("raise", "skip")) == "skip"
        self._codec = codec
        self.source = _source_of(source, column, label)
        self._members = _members(self.source, variants)
        labels = [self.source.label(members[0]) for members in self._members]
        self.classes: list[str] = []
        if all(isinstance(each, str) for each in labels):
            self.classes = sorted(set(map(str, labels)))
            numbers = {name: number for number, name in enumerate(self.classes)}
            labels = [numbers[str(each)] for each in labels]
        self.labels: list[int | str] = labels

    def __len__(self) -> int:
        return len(self._members)

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of a picture in pixels, for samplers that group by size."""
        return self.source.size(self._members[index][0])

    def __getitem__(self, index: int) -> Sample | Failed:
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample | Failed]:
        """Return several pictures, which are read together; a DataLoader calls it."""
        numbers = [self._draw(index) for index in indices]
        failures: dict[int, Failed] = {}

        def failed(place: int, error: QuantalError) -> None:
            name = self.source.name(numbers[place])
            if not self._skip:
                raise named(name, error) from error
            failures[place] = Failed(name, error)
            warnings.warn(f"{name} is left out: {error}", QuantalWarning, stacklevel=2)

        symbols_only = self.values != "latents"
        found = self.source.read(numbers, symbols_only, failed, self._codec)
        samples: list[Sample | Failed] = []
        for place, (index, result) in enumerate(zip(indices, found, strict=True)):
            if place in failures or result is None:
                samples.append(failures[place])
                continue
            sample = self._sample(index, numbers[place], result)
            samples.append(sample if self.transform is None else self.transform(sample))
        return samples

    def _draw(self, index: int) -> int:
        members = self._members[index]
        if len(members) == 1:
            return members[0]
        return members[int(torch.randint(len(members), ()))]

    def _sample(self, index: int, number: int, result: Latents | Symbols) -> Sample:
        values: tuple[torch.Tensor, ...]
        stride = 0
        if isinstance(result, Latents):
            model_hash, values, stride = b"", (result.y_hat,), result.stride
        elif self.values == "symbols":
            model_hash, values = result.model_hash, tuple(result.symbols)
        else:
            codec = self._codec_of(result)
            parts = [part.numpy() for part in result.symbols]
            found = on_grid(codec, parts, result.width, result.height)
            if self.scaled:
                found = found.astype(np.float32) * steps(codec, result.rate)
            model_hash, values = result.model_hash, (torch.from_numpy(found),)
            stride = stride_of(codec)
        return Sample(
            self.source.name(number),
            self.labels[index],
            result.codec,
            model_hash,
            result.width,
            result.height,
            result.rate,
            self.values,
            stride,
            values,
        )

    def _codec_of(self, symbols: Symbols) -> Codec:
        codec = self._codec or load_version(symbols.codec, symbols.model_hash, "cpu")
        if codec.model_hash != symbols.model_hash:
            raise ModelError(
                f"the model {codec.model_hash.hex()} of codec {codec.name!r} is here, the symbols "
                f"are of {symbols.model_hash.hex()}: give the codec that wrote them",
                code="weights",
            )
        return codec


def _source_of(source: Any, column: str, label: str) -> Source:
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            has_shards = any(each.suffix == SUFFIX for each in path.iterdir())
            return Shards(_opened(path)) if has_shards else Files(find_files(path))
        return Tar(path) if path.suffix == ".tar" else Shards(_opened(path))
    if isinstance(source, (list, tuple)) and all(isinstance(s, (str, os.PathLike)) for s in source):
        return Shards(_opened(source))
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        return Rows(source, column, label)
    raise ArgumentError(
        f"{type(source).__name__} is no source of latents: give a folder, shards, a tar or rows"
    )


def _opened(source: Any) -> list[Shard]:
    return [Shard(path) for path in find_shards(source)]


def _members(source: Source, variants: str | None) -> list[list[int]]:
    """Return the numbers of the files of every picture."""
    if variants is None:
        return [[number] for number in range(len(source))]
    groups: dict[str, list[int]] = {}
    for number in range(len(source)):
        name = source.name(number)
        base = name.removesuffix(".qtl")
        groups.setdefault(base.rpartition(variants)[0] or base, []).append(number)
    return list(groups.values())
