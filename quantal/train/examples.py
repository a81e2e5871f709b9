"""Labelled examples to train recognisers on: latents of coded pictures, or pixels.

The class of an example is the name of the folder that it lies in. All are decoded once and kept in
memory.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import torch
from torch import Tensor

from quantal import media
from quantal.arguments import whole
from quantal.errors import ArgumentError, MediaError
from quantal.latents import Failed, Flip, LatentDataset
from quantal.latents.recognisers import PIXELS
from quantal.names import shown
from quantal.train.files import pictures_under

__all__ = ["Example", "ExampleSampler", "Examples", "read_examples"]

#: Coded pictures that are read at a time.
_AT_ONCE = 64
#: What latents lie in.
_CODED = {".qtl", ".qshard"}


@dataclass(frozen=True, eq=False)
class Example:
    """What a recogniser is shown, and what it should answer.

    Attributes:
        source: name of the codec, or "pixels".
        label: name of the class.
        values: latents, float16 [C, h, w], or pixels, uint8 [3, H, W].
        stride: pixels for a position along each axis.
    """

    source: str
    label: str
    values: Tensor
    stride: int


@dataclass(frozen=True, eq=False)
class Examples:
    """A batch of examples.

    Attributes:
        source: of all.
        labels: names of the classes.
        values: latents [B, C, h, w] or pixels [B, 3, H, W] in 0..1, float32.
    """

    source: str
    labels: tuple[str, ...]
    values: Tensor

    def cpu(self) -> Examples:
        """Return the batch on the CPU."""
        return Examples(self.source, self.labels, self.values.cpu())


def read_examples(paths: Sequence[str | Path], smallest: int = 1) -> list[Example]:
    """Read examples.

    Args:
        paths: folders of .qtl files, shards or tars of them, or folders or tars of pictures.
        smallest: what has a side below this, in pixels, is left out.

    Raises:
        ArgumentError: If a path does not exist, or they hold nothing or several kinds.
        MediaError: If a picture can't be read.
        BitstreamError: If a coded file is damaged.
    """
    every = [example for path in paths for example in _examples_in(Path(path))]
    found = [each for each in every if min(each.values.shape[1:]) * each.stride >= smallest]
    kinds = sorted({example.source for example in found})
    if len(kinds) == 1:
        return found
    if kinds:
        what = f"are of several kinds: {', '.join(kinds)}"
    else:
        what = f"all have a side below {smallest} pixels" if every else "are missing"
    raise ArgumentError(
        f"examples under {', '.join(map(shown, paths))} {what}; train on pictures or on files of "
        "one codec"
    )


def _examples_in(path: Path) -> Iterator[Example]:
    if not path.exists():
        raise ArgumentError(f"there is nothing at {shown(path)} to train on")
    if not _is_coded(path):
        for name, data in pictures_under(path):
            try:
                pixels = torch.from_numpy(media.read(data).pixels).permute(2, 0, 1).contiguous()
            except MediaError as error:
                raise MediaError(f"training picture {name}: {error}") from error
            # The picture of a tar is named "TAR: MEMBER".
            place = PurePath(name.rpartition(".tar: ")[2])
            yield Example(PIXELS, place.parent.name, pixels, 1)
        return
    dataset = LatentDataset(path, values="latents")
    for start in range(0, len(dataset), _AT_ONCE):
        for sample in dataset.__getitems__(range(start, min(start + _AT_ONCE, len(dataset)))):
            if isinstance(sample, Failed):
                raise sample.error
            # A last column that stands for less than the others can't be mirrored.
            height, width = (max(s // sample.stride, 1) for s in (sample.height, sample.width))
            values = sample.values[0][:, :height, :width].half()
            label = dataset.classes[int(sample.label)] if dataset.classes else str(sample.label)
            yield Example(sample.codec, label, values, sample.stride)


def _is_coded(path: Path) -> bool:
    """Return whether a place holds coded pictures; ArgumentError if it holds plain ones too."""
    if path.is_dir():
        names = [name for _, _, files in os.walk(path) for name in files]
    elif path.suffix == ".tar":
        try:
            with tarfile.open(path) as tar:
                names = tar.getnames()
        except (tarfile.TarError, OSError) as error:
            raise MediaError(f"{shown(path)} can't be read as a tar: {error}") from error
    else:
        names = [path.name]
    suffixes = {PurePath(name).suffix.lower() for name in names}
    coded = bool(suffixes & _CODED)
    if coded and suffixes & set(media.PICTURE_SUFFIXES):
        raise ArgumentError(
            f"{shown(path)} holds pictures and coded pictures; name the folder of one kind"
        )
    return coded


class ExampleSampler:
    """Random crops of examples, epoch after epoch; half of them mirrored where that is possible.

    Latents are mirrored by the matrix that a flip of pixels is to them (latents.Flip).

    Args:
        examples: all.
        device: where batches are.
        seed: of the order and of the crops.

    Attributes:
        pictures: the examples.
    """

    def __init__(self, examples: Sequence[Example], device: torch.device, seed: int) -> None:
        self.pictures, self.device = list(examples), device
        self._mirrored = _mirror(self.pictures[0].source)
        self._order: list[int] = []
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Draw other crops from here on; a resumed run must not repeat its first ones."""
        self._generator = np.random.default_rng(seed)

    def batch(self, count: int, size: int, rows: range | None = None) -> Examples:
        """Return `count` examples of size x size pixels, or what that is in latents.

        Args:
            count: examples of a batch.
            size: pixels along a side.
            rows: those of the batch that are returned; see CropSampler.
        """
        count, size = whole("count", count, 1), whole("size", size, 1)
        while len(self._order) < count:
            self._order += self._generator.permutation(len(self.pictures)).tolist()
        chosen = [self.pictures[number] for number in self._order[:count]]
        del self._order[:count]
        drawn = [(example, *self._place(example, size)) for example in chosen]
        own = drawn if rows is None else drawn[rows.start : rows.stop]
        values = torch.stack([self._crop(*each, size) for each in own])
        labels = tuple(example.label for example, *_ in own)
        return Examples(chosen[0].source, labels, as_input(values).to(self.device))

    def _place(self, example: Example, size: int) -> tuple[int, int, bool]:
        """Return where a random crop begins, and whether it is mirrored."""
        wanted = size // example.stride
        height, width = example.values.shape[1:]
        if min(height, width) < wanted:
            raise ArgumentError(
                f"an example of {width * example.stride}x{height * example.stride} pixels is "
                f"smaller than crops of {size}; set a smaller `crop`, or leave it out"
            )
        top, left = (int(self._generator.integers(side - wanted + 1)) for side in (height, width))
        return top, left, bool(self._generator.integers(2))

    def _crop(self, example: Example, top: int, left: int, mirrored: bool, size: int) -> Tensor:
        wanted = size // example.stride
        crop = example.values[:, top : top + wanted, left : left + wanted]
        return self._mirrored(crop) if mirrored else crop


def _mirror(source: str) -> Callable[[Tensor], Tensor]:
    """Return what mirrors values; nothing for latents that do not follow a flip."""
    if source == PIXELS:
        return lambda values: values.flip(2)
    try:
        matrix = Flip(source).matrix
    except ArgumentError:
        return lambda values: values
    return lambda values: torch.einsum("nm,mhw->nhw", matrix, values.flip(2).float()).half()


def as_input(values: Tensor) -> Tensor:
    """Return values of examples as a network takes them: float32, pixels in 0..1."""
    found = values.float()
    found = found.div_(255) if values.dtype == torch.uint8 else found
    return found.contiguous(memory_format=torch.channels_last)
