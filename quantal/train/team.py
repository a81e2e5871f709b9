"""Several processes on one run: each takes its share of every batch, all take the same step.

On a CPU two processes of one thread do more than one process of two, which waits for its threads
after each of many small layers. What they agree on goes through torch.distributed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from quantal.errors import ArgumentError, OutOfMemoryError, QuantalError

__all__ = ["Team", "team_of"]

#: How long the others wait while the first evaluates or saves.
_PATIENCE = timedelta(hours=2)


class Team:
    """The processes of a run, seen from one of them; a single one has nothing to exchange.

    Args:
        rank: number of this process; 0 logs, evaluates and saves.
        size: how many processes there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def threads(self) -> int:
        """Return the threads of each process: an equal share of the cores, at least one."""
        return max((os.cpu_count() or 1) // self.size, 1)

    def share(self, batch: int) -> int:
        """Return this process's part of a batch; ArgumentError if it can't be divided equally."""
        own, rest = divmod(batch, self.size)
        if rest:
            raise ArgumentError(
                f"a batch of {batch} can't be shared by {self.size} processes; "
                "make every phase's `batch` a multiple of `processes`"
            )
        return own

    def divide(self, work: Sequence[float]) -> list[int]:
        """Return the rank that does each piece of work, so that all have about as much to do."""
        loads, owners = [0.0] * self.size, [0] * len(work)
        for piece in sorted(range(len(work)), key=lambda piece: -work[piece]):
            owners[piece] = loads.index(min(loads))
            loads[owners[piece]] += work[piece]
        return owners

    def add(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their sums over the team."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _together():
            dist.all_reduce(flat)
        sums = torch.split(flat, [tensor.numel() for tensor in tensors])
        views = [total.view_as(tensor) for total, tensor in zip(sums, tensors, strict=True)]
        torch._foreach_copy_(tensors, views)

    def average(self, gradients: Iterable[Tensor | None]) -> None:
        """Replace gradients by their means over the team."""
        if self.size > 1:
            own = [gradient for gradient in gradients if gradient is not None]
            torch._foreach_div_(own, self.size)
            self.add(own)

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.size == 1:
            return
        with _together():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def agreed(self, value: float) -> float:
        """Return the first process's value: clocks differ, decisions must not."""
        shared = torch.tensor(value, dtype=torch.float64)
        self.agree([shared])
        return float(shared)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise QuantalError(
            f"another process of this training run has stopped ({error}); its message is above. "
            "If it has none, it was killed, most likely because memory ran out: set fewer "
            "`processes` or a smaller `batch`. Go on from the last checkpoint with --resume"
        ) from error


@contextmanager
def team_of(size: int, work: Callable[..., None], *args: Any) -> Iterator[Team]:
    """Start a team led by this process; the other processes run work(team, *args) meanwhile.

    Args:
        size: how many processes, with this one.
        work: a function of a module, called in each of the others.
        args: passed on to it.
    """
    if size == 1:
        yield Team()
        return
    if not dist.is_available():
        raise ArgumentError("this torch can't train in several processes; set `processes: 1`")
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        others = mp.spawn(  # type: ignore[attr-defined, no-untyped-call]
            _join, (size, meeting, work, args), nprocs=size - 1, join=False, daemon=True
        )
        try:
            _meet(meeting, 0, size)
            yield Team(0, size)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
            for process in others.processes:
                process.join(5)
                process.terminate()


def _join(
    place: int, size: int, meeting: str, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    _meet(meeting, place + 1, size)
    try:
        work(Team(place + 1, size), *args)
    except OutOfMemoryError as error:
        print(f"process {place + 2} of {size}: {error}", file=sys.stderr)
    except QuantalError:
        pass  # the first process reports errors of a recipe or its data
    except Exception:
        traceback.print_exc()
    finally:
        dist.destroy_process_group()


def _meet(meeting: str, rank: int, size: int) -> None:
    dist.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=size, timeout=_PATIENCE
    )
