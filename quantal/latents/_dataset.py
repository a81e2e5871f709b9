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

from quantal.arguments import choice, flag, typed
from quantal.arguments import path as path_of
from quantal.codecs.contract import Codec, Latents
from quantal.errors import ArgumentError, MediaError, ModelError, QuantalError, QuantalWarning
from quantal.files.matching import checked_codec
from quantal.latents._failures import Failed, named
from quantal.latents._grid import on_grid, steps, stride_of
from quantal.latents._pack import find_files
from quantal.latents._read import Symbols
from quantal.latents._sample import Sample
from quantal.latents._shard import Shard, find_shards, holds_shards
from quantal.latents._sharded import Shards
from quantal.latents._sources import Files, Model, Rows, Source, Tar
from quantal.latents._symbols import fitting_codec
from quantal.names import shown

__all__ = ["LatentDataset"]

VALUES = ("symbols", "grid", "latents")


class LatentDataset(Dataset[Sample | Failed]):
    """The latents of many pictures, by number.

    A DataLoader asks it for whole batches, which are read together. Files are opened in the process
    that reads them; it can be sent to workers by any method.

    Pictures of one codec have one model: latents of other weights mean something else. Shards of
    two models are refused at once, a file when it is read, also with `on_error="skip"`.

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
        variants: a separator. Files of a folder whose names differ only behind the last one are one
            picture at several rates: "a/1@20.qtl" and "a/1@60.qtl" for "@". One of them is drawn at
            random whenever the picture is asked for.
        codec: default: the ones that the pictures name, with the weights that ship.
        column: column of rows that holds .qtl files, as bytes or {"bytes": ...}.
        label: column of rows that holds classes; default: "label", if there is such a column.

    Attributes:
        labels: the class of every picture.
        classes: names of classes, which `labels` number; empty where labels were numbers already.

    Raises:
        ArgumentError: The source is none; or some pictures have numbers as classes, others not.
        MediaError: The source holds no pictures, or can't be read.
        BitstreamError: A shard is damaged.
        ModelError: Shards of one codec are of several models.
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
        label: str | None = None,
    ) -> None:
        self.values = choice("values", values, VALUES)
        self.scaled = flag("scaled", scaled)
        if self.scaled and values != "grid":
            raise ArgumentError(f"scaled is for values='grid', these are {values!r}")
        self.transform = transform
        self._skip = choice("on_error", on_error, ("raise", "skip")) == "skip"
        self._codec = None if codec is None else checked_codec(codec)
        self.source = _source_of(source, column, label)
        if not len(self.source):
            raise MediaError("the source holds no pictures; give one that does")
        #: The model of each codec, which workers get too.
        self._models: dict[str, Model] = {}
        for model in self.source.models():
            self._check_model(model)
        self._members = _members(self.source, variants)
        self.labels, self.classes = self._labels()

    def _labels(self) -> tuple[list[int | str], list[str]]:
        """Return the class of every picture, and the names of classes if there are any."""
        labels = [self.source.label(members[0]) for members in self._members]
        texts = [number for number, label in enumerate(labels) if isinstance(label, str)]
        if not texts:
            return labels, []
        if len(texts) != len(labels):
            number = next(n for n, label in enumerate(labels) if not isinstance(label, str))
            name, other = (self.source.name(self._members[n][0]) for n in (number, texts[0]))
            raise ArgumentError(
                f"{shown(name)} has the class {labels[number]}, {shown(other)} "
                f"{labels[texts[0]] or 'none'!r}: expected numbers for all or names for all"
            )
        classes = sorted(set(map(str, labels)))
        numbers = {name: number for number, name in enumerate(classes)}
        return [numbers[str(each)] for each in labels], classes

    def _check_model(self, model: Model) -> None:
        """Raise ModelError if a codec's pictures so far have another model."""
        known = self._models.setdefault(model.codec, model)
        if known.hash != model.hash:
            raise ModelError(
                f"{shown(known.where)} is of the model {known.hash.hex()} of codec "
                f"{model.codec!r}, {shown(model.where)} of {model.hash.hex()}: expected one model "
                "for all, since latents of other weights mean something else; make a data set of "
                "each"
            )

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
            # An impossible argument is not a damaged picture: it would cost all of them.
            if not self._skip or isinstance(error, ArgumentError):
                raise named(name, error) from error
            failures[place] = Failed(name, error)
            warnings.warn(f"{name} is left out: {error}", QuantalWarning, stacklevel=2)

        symbols_only = self.values != "latents"
        found = self.source.read(numbers, symbols_only, failed, self._codec)
        samples: list[Sample | Failed] = []
        for place, (index, result) in enumerate(zip(indices, found, strict=True)):
            sample = None
            if result is not None:
                name = self.source.name(numbers[place])
                self._check_model(Model(result.codec, result.model_hash, name))
                try:
                    sample = self._sample(name, self.labels[index], result)
                except QuantalError as error:
                    failed(place, error)
            if sample is None:
                samples.append(failures[place])
            else:
                samples.append(sample if self.transform is None else self.transform(sample))
        return samples

    def _draw(self, index: int) -> int:
        members = self._members[index]
        if len(members) == 1:
            return members[0]
        return members[int(torch.randint(len(members), ()))]

    def _sample(self, name: str, label: int | str, result: Latents | Symbols) -> Sample:
        values: tuple[torch.Tensor, ...]
        stride = 0
        if isinstance(result, Latents):
            values, stride = (torch.from_numpy(result.y_hat),), result.stride
        elif self.values == "symbols":
            values = tuple(map(torch.from_numpy, result.symbols))
        else:
            codec = fitting_codec(result.codec, result.model_hash, "the picture", self._codec)
            found = on_grid(codec, result.symbols, result.width, result.height)
            if self.scaled:
                found = found.astype(np.float32) * steps(codec, result.rate)
            values, stride = (torch.from_numpy(found),), stride_of(codec)
        return Sample(
            name=name,
            label=label,
            codec=result.codec,
            model_hash=result.model_hash,
            width=result.width,
            height=result.height,
            rate=result.rate,
            kind=self.values,
            stride=stride,
            values=values,
        )


def _source_of(source: Any, column: str, label: str | None) -> Source:
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = Path(path_of("data set", source))
        if path.is_dir():
            return Shards(_opened(path)) if holds_shards(path) else Files(find_files(path))
        # A compressed tar as well, of which Tar says what to do with it.
        return Tar(path) if ".tar" in path.suffixes else Shards(_opened(path))
    if _is_list(source, (str, os.PathLike)):
        return Shards(_opened(source))
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        return Rows(source, column, label)
    raise ArgumentError(
        f"{type(source).__name__} is not a source of latents: give a folder, shards, a tar or rows"
    )


def _is_list(source: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(source, (list, tuple)) and all(isinstance(each, kinds) for each in source)


def _opened(source: Any) -> list[Shard]:
    return [Shard(path) for path in find_shards(source)]


def _members(source: Source, variants: str | None) -> list[list[int]]:
    """Return the numbers of the files of every picture."""
    if variants is None:
        return [[number] for number in range(len(source))]
    if not typed("variants", variants, str):
        raise ArgumentError("variants must be a separator such as '@', not an empty text")
    groups: dict[str, list[int]] = {}
    for number in range(len(source)):
        folder, slash, name = source.name(number).rpartition("/")
        name = name.removesuffix(".qtl")
        # A separator in the names of folders separates nothing.
        base = name.rpartition(variants)[0] or name
        groups.setdefault(f"{folder}{slash}{base}", []).append(number)
    return list(groups.values())
