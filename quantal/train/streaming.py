"""Training pictures that are read as they are needed, for sets larger than memory.

Shards are divided among processes and their workers, without overlap; workers decode pictures and
cut crops, which a buffer shuffles. data.py holds all pictures in memory instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from quantal.arguments import whole
from quantal.errors import ArgumentError, MediaError, QuantalWarning
from quantal.team import Team
from quantal.train.data import as_input, decoded, turned
from quantal.train.files import files_under, pictures_in
from quantal.train.rows import check_dataset, is_dataset, rows_of

__all__ = ["PictureStream", "StreamSampler", "some_pictures"]

#: The part of a picture's area that is cut to crops when it is read: less would waste decoding,
#: more would repeat scenes.
_CUT = 0.5
#: Batches of crops that each worker has ready.
_AHEAD = 4


@dataclass(frozen=True)
class _Piece:
    """Part of a shard: one in `parts` of its pictures, from the one with this number on."""

    place: Path | str
    number: int
    parts: int

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name, for messages, and the bytes of each picture."""
        if isinstance(self.place, str):
            return rows_of(self.place, self.number, self.parts)
        return islice(pictures_in(self.place), self.number, None, self.parts)


class PictureStream(IterableDataset[Any]):
    """Crops of pictures without end, for a DataLoader without batches.

    Each epoch has the shards in another order, which is the same for all processes. They are cut to
    a multiple of the readers, and each reader has as many; shards that are too few are divided by
    the numbers of their pictures.

    Args:
        places: folders, tar shards and pictures, or data sets of Hugging Face.
        size: pixels along a side of the crops.
        seed: of the order and the crops.
        turns: ways to turn and mirror a crop, of eight.
        team: the processes of the run.
        workers: of each process; 0 for none.
    """

    def __init__(
        self, places: Sequence[str], size: int, seed: int, turns: int, team: Team, workers: int = 0
    ) -> None:
        self.size, self.seed, self.turns = size, seed, turns
        self._rank, self._workers = team.rank, max(workers, 1)
        self._readers = team.size * self._workers
        self.files = _shards(places)
        if not self.files:
            raise ArgumentError(f"no picture under {', '.join(places)}")
        parts = -(-self._readers // len(self.files))
        self._pieces = [
            _Piece(file, number, parts) for file in self.files for number in range(parts)
        ]

    def __iter__(self) -> Iterator[Tensor | str]:
        """Yield uint8 [n, 3, size, size], or why a picture or a shard is left out."""
        worker = get_worker_info()
        reader = self._rank * self._workers + (worker.id if worker else 0)
        draw = np.random.default_rng((self.seed, reader))
        for epoch in count():
            found = False
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self._pieces))
            kept = len(order) // self._readers * self._readers
            for number in order[:kept][reader :: self._readers]:
                for each in self._crops(self._pieces[number], draw):
                    found = found or isinstance(each, Tensor)
                    yield each
            if not found:
                return

    def _crops(self, piece: _Piece, draw: np.random.Generator) -> Iterator[Tensor | str]:
        size = self.size
        pictures = piece.pictures()
        while True:
            try:
                name, data = next(pictures)
                picture = decoded(name, data)
            except StopIteration:
                return
            except MediaError as error:
                yield str(error)  # after a shard that is damaged, next() ends
                continue
            height, width = picture.shape[1:]
            if min(height, width) < size:
                continue
            wanted = max(_CUT * height * width / size**2, 1.0)
            number = int(wanted + draw.random())
            tops = draw.integers(height - size + 1, size=number)
            lefts = draw.integers(width - size + 1, size=number)
            turns = draw.integers(self.turns, size=number)
            crops = [
                turned(picture[:, top : top + size, left : left + size], int(turn))
                for top, left, turn in zip(tops, lefts, turns, strict=True)
            ]
            yield torch.stack(crops)


class StreamSampler:
    """Random crops out of a buffer that a stream fills; see CropSampler.

    Args:
        places: what a PictureStream takes.
        device: where crops are.
        seed: of everything random.
        turns: ways to turn and mirror a crop, of eight.
        team: the processes of the run, each of which reads pictures of its own.
        buffer: crops that are shuffled among themselves.
        workers: processes that decode; 0 decodes in this one.

    Attributes:
        pictures: the files, of which a shard holds many pictures.
    """

    def __init__(
        self,
        places: Sequence[str],
        device: torch.device,
        seed: int,
        turns: int = 8,
        team: Team | None = None,
        buffer: int = 2048,
        workers: int = 1,
    ) -> None:
        self._places, self.device, self._turns = places, device, turns
        self._team, self._workers = team or Team(), whole("workers", workers, 0)
        self._capacity = whole("buffer", buffer, 1)
        self._seed = seed
        self._incoming: Iterator[Tensor] = iter(())
        self._buffer: list[Tensor] = []
        self._size = 0
        self.pictures = _shards(places)

    def reseed(self, seed: int) -> None:
        """Draw other crops from here on; a resumed run must not repeat its first ones."""
        if seed != self._seed:
            self._seed, self._size = seed, 0

    def batch(self, count: int, size: int, rows: range | None = None) -> Tensor:
        """Return random crops.

        Args:
            count: crops of a batch.
            size: pixels along a side.
            rows: those of the batch that this process has; all if None.

        Returns:
            [rows, 3, size, size], float32 in 0..1, channels last.
        """
        if size != self._size:
            self._begin(size)
        crops = []
        for _ in range(count) if rows is None else rows:
            place = int(self._draw.integers(len(self._buffer)))
            crops.append(self._buffer[place])
            self._buffer[place] = next(self._incoming)
        return as_input(torch.stack(crops)).to(self.device)

    def _begin(self, size: int) -> None:
        """Fill the buffer with crops of a size."""
        self._incoming, self._buffer, self._size = iter(()), [], size
        self._draw = np.random.default_rng((self._seed, self._team.rank))
        stream = PictureStream(
            self._places, size, self._seed, self._turns, self._team, self._workers
        )
        self._incoming = self._crops(stream)
        self._buffer = list(islice(self._incoming, self._capacity))

    def _crops(self, stream: PictureStream) -> Iterator[Tensor]:
        ahead = {"prefetch_factor": _AHEAD} if self._workers else {}
        loader: DataLoader[Any] = DataLoader(
            stream,
            batch_size=None,
            num_workers=self._workers,
            **ahead,  # type: ignore[arg-type]
        )
        for found in loader:
            if isinstance(found, str):
                warnings.warn(f"left out: {found}", QuantalWarning, stacklevel=2)
            else:
                yield from found
        raise ArgumentError(
            f"no picture of {stream.size} pixels or more a side in this process's part of "
            f"{', '.join(self._places)}; name more data, or fewer `workers`"
        )


def some_pictures(places: Sequence[str], most: int, smallest: int = 1) -> list[Tensor]:
    """Return some pictures of data that is too large to be held.

    Args:
        places: what a PictureStream takes.
        most: pictures at most, taken evenly from shards in a random order.
        smallest: pictures with a side below this are left out.

    Returns:
        Pictures uint8 [3, H, W].

    Raises:
        ArgumentError: If there is none.
    """
    files = _shards(places)
    each = -(-most // max(len(files), 1))
    found: list[Tensor] = []
    for number in np.random.default_rng(0).permutation(len(files)):
        for name, data in islice(_Piece(files[number], 0, 1).pictures(), each):
            with suppress(MediaError):
                picture = decoded(name, data)
                if min(picture.shape[1:]) >= smallest:
                    found.append(picture)
        if len(found) >= most:
            break
    if not found:
        raise ArgumentError(f"no picture of {smallest} pixels or more under {', '.join(places)}")
    return found[:most]


def _shards(places: Sequence[str]) -> list[Path | str]:
    """Return the files of places, and data sets of Hugging Face as their names."""
    found: list[Path | str] = []
    for place in places:
        if is_dataset(place):
            check_dataset(place)
            found.append(place)
        else:
            found += files_under(place)
    return found
