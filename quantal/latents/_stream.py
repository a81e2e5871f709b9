"""A data set as a stream: shuffled, and shared out among ranks and workers in equal parts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import IterableDataset, get_worker_info

from quantal.arguments import choice, flag, whole
from quantal.errors import ArgumentError
from quantal.latents._dataset import LatentDataset
from quantal.latents._failures import Failed
from quantal.latents._sample import Sample

__all__ = ["LatentStream"]

#: Pictures that are read together, and neighbours that stay together when shuffled.
_BLOCK = 32
#: Seeds and epochs up to this make a seed that torch takes.
_LARGEST = (1 << 32) - 1


class LatentStream(IterableDataset[Sample | Failed]):
    """The pictures of a data set one after the other, for DataLoaders of any number of ranks.

    Every rank gets the same number of pictures, and each of its workers a share of them. Pictures
    are read 32 at a time. To shuffle, blocks of 32 neighbours are shuffled, then the pictures of
    each `buffer` blocks among themselves, so that what is read together lies near together.

    Args:
        dataset: the pictures.
        shuffle: whether to shuffle; otherwise they come in order.
        buffer: blocks whose pictures are shuffled among themselves.
        seed: seed of the order, 0..2^32 - 1; the same on all ranks.
        rank: number of this process; default: as torch.distributed says, else 0.
        ranks: number of processes; default: likewise, else 1.
        uneven: what becomes of pictures that can't be shared out evenly: "drop" leaves up to
            `ranks - 1` of them out, "repeat" takes some twice.

    Attributes:
        epoch: number of the epoch, which changes the order; see set_epoch().

    Raises:
        ArgumentError: The data set is none, or a number is impossible.
    """

    def __init__(
        self,
        dataset: LatentDataset,
        *,
        shuffle: bool = True,
        buffer: int = 32,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
        uneven: str = "drop",
    ) -> None:
        if not hasattr(dataset, "__getitems__"):
            raise ArgumentError(
                f"{type(dataset).__name__} is not a data set that reads several pictures at once; "
                "give a LatentDataset"
            )
        self.dataset = dataset
        self._shuffle = flag("shuffle", shuffle)
        self._buffer = whole("buffer", buffer, 1)
        self._seed = whole("seed", seed, 0, _LARGEST)
        self.epoch = 0
        running = torch.distributed.is_available() and torch.distributed.is_initialized()
        if ranks is None:
            ranks = torch.distributed.get_world_size() if running else 1
        self.ranks = whole("ranks", ranks, 1)
        if rank is None:
            rank = torch.distributed.get_rank() if running else 0
        self.rank = whole("rank", rank, 0, self.ranks - 1)
        self._repeat = choice("uneven", uneven, ("drop", "repeat")) == "repeat"

    def __len__(self) -> int:
        """Return the pictures of one rank."""
        count, rest = divmod(len(self.dataset), self.ranks)
        return count + (1 if rest and self._repeat else 0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next epoch; call it before each, on every rank.

        Workers that persist between epochs keep the order that they have.
        """
        self.epoch = whole("epoch", epoch, 0, _LARGEST)

    def order(self) -> list[int]:
        """Return the numbers of the pictures of this rank in their order."""
        total = len(self.dataset)
        numbers = list(range(total))
        if self._shuffle:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
            blocks = [numbers[start : start + _BLOCK] for start in range(0, total, _BLOCK)]
            order = torch.randperm(len(blocks), generator=generator).tolist()
            numbers = []
            for start in range(0, len(order), self._buffer):
                together = [n for b in order[start : start + self._buffer] for n in blocks[b]]
                mixed = torch.randperm(len(together), generator=generator).tolist()
                numbers += [together[place] for place in mixed]
        each = len(self)
        while len(numbers) < each * self.ranks:
            numbers += numbers[: each * self.ranks - len(numbers)]
        return numbers[self.rank * each : (self.rank + 1) * each]

    def __iter__(self) -> Iterator[Sample | Failed]:
        worker = get_worker_info()
        numbers = self.order()
        if worker is not None:
            numbers = numbers[worker.id :: worker.num_workers]
        for start in range(0, len(numbers), _BLOCK):
            yield from self.dataset.__getitems__(numbers[start : start + _BLOCK])
