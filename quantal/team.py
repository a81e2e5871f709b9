"""The processes of a training run, seen from one of them: each takes its part of every batch.

Networks and objectives ask `team()`, so that noise, codebooks and statistics are those of the whole
batch. Outside of a training step there is one process, whose part is everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from quantal.errors import ArgumentError, QuantalError

__all__ = ["Team", "at_work", "team"]

#: Seconds between two signs of life of a process that the others wait for.
_BEAT = 10.0
#: What such signs say.
_DONE, _BUSY, _FAILED = 0.0, 1.0, 2.0


class Team:
    """The processes of a run; a single one has nothing to exchange.

    All methods but `rows`, `own` and `divide` have to be called by all processes in the same order.

    Args:
        rank: number of this process; 0 logs, evaluates and saves.
        size: how many processes there are.
        group: torch's group of them; None for its usual one.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, group: dist.ProcessGroup | None = None
    ) -> None:
        self.rank, self.size, self._group = rank, size, group

    @property
    def leads(self) -> bool:
        return self.rank == 0

    # -- parts of a batch --------------------------------------------------------------------

    def rows(self, batch: int) -> range:
        """Return this process's rows of a batch; ArgumentError if it can't be divided equally."""
        own, rest = divmod(batch, self.size)
        if rest:
            raise ArgumentError(
                f"a batch of {batch} can't be shared by {self.size} processes; make every phase's "
                "`batch` a multiple of the number of processes"
            )
        return range(self.rank * own, (self.rank + 1) * own)

    def own(self, whole: Tensor) -> Tensor:
        """Return this process's rows of what belongs to the whole batch [B, ...]."""
        rows = self.rows(len(whole))
        return whole[rows.start : rows.stop]

    def place(self, count: int) -> tuple[int, int]:
        """Return how many rows processes before this one have, and how many all have.

        Args:
            count: rows that this process has.
        """
        if self.size == 1:
            return 0, count
        counts = torch.zeros(self.size, dtype=torch.int64)
        counts[self.rank] = count
        self.add([counts])
        return int(counts[: self.rank].sum()), int(counts.sum())

    def uniform_like(self, x: Tensor) -> Tensor:
        """Return uniform random numbers in 0..1 of the shape of x: its rows of a whole batch's."""
        if self.size == 1:
            return torch.rand_like(x)
        inside = torch.empty_like(x[0])
        shape = self.size * len(x), *inside.shape
        # In the order in memory that the whole batch would have, which decides what is where.
        strides = inside.numel(), *inside.stride()
        return self.own(inside.new_empty_strided(shape, strides).uniform_())

    def divide(self, work: Sequence[float]) -> list[int]:
        """Return the rank that does each piece of work, so that all have about as much to do."""
        loads, owners = [0.0] * self.size, [0] * len(work)
        for piece in sorted(range(len(work)), key=lambda piece: -work[piece]):
            owners[piece] = loads.index(min(loads))
            loads[owners[piece]] += work[piece]
        return owners

    # -- what all of them know ---------------------------------------------------------------

    def add(self, tensors: list[Tensor]) -> None:
        """Replace tensors of one type by their sums over the team."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        with _together():
            dist.all_reduce(flat, group=self._group)
        sums = torch.split(flat, [tensor.numel() for tensor in tensors])
        views = [total.view_as(tensor) for total, tensor in zip(sums, tensors, strict=True)]
        with torch.no_grad():
            torch._foreach_copy_(tensors, views)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a value over the team, without a gradient."""
        if self.size == 1:
            return value.detach()
        found = value.detach().clone()
        self.add([found])
        return found / self.size

    def mean_of(self, values: Tensor) -> Tensor:
        """Return a scalar whose mean over the team is the mean of the values [n] of all processes.

        n may differ between processes; the gradient is that of this process's values.
        """
        _, total = self.place(values.numel())
        return values.sum() * (self.size / max(total, 1))

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of parameters by their means over the team.

        Where one process has a gradient, all get one.
        """
        if self.size == 1:
            return
        moving = [parameter for parameter in parameters if parameter.requires_grad]
        own = [parameter.grad for parameter in moving]
        found = [
            torch.zeros_like(parameter) if gradient is None else gradient
            for parameter, gradient in zip(moving, own, strict=True)
        ]
        owners = torch.tensor([float(each is not None) for each in own])
        owners = owners.to(found[0].device)
        self.add([owners, *found])
        torch._foreach_div_(found, self.size)
        for parameter, gradient, count in zip(moving, found, owners.tolist(), strict=True):
            parameter.grad = gradient if count else None

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.size > 1:
            with _together(), torch.no_grad():
                for tensor in tensors:
                    sent = tensor.detach().contiguous()
                    dist.broadcast(sent, 0, group=self._group)
                    tensor.copy_(sent)

    def agreed(self, value: float) -> float:
        """Return the first process's value: clocks differ, decisions must not."""
        shared = torch.tensor(value, dtype=torch.float64)
        self.agree([shared])
        return float(shared)

    def sent(self, data: bytes) -> bytes:
        """Return the first process's bytes; what the others give is not used."""
        if self.size == 1:
            return data
        length = int(self.agreed(len(data)))
        content = torch.empty(length, dtype=torch.uint8)
        if self.leads and length:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        self.agree([content])
        return content.numpy().tobytes()

    def lead(self, work: Callable[[], None]) -> None:
        """Let the first process work alone; the others wait as long as it shows signs of life.

        Raises:
            QuantalError: In the others, if the work fails or the first process is gone.
        """
        if self.size == 1:
            work()
        elif self.leads:
            self._work_alone(work)
        else:
            while (said := self.agreed(_DONE)) == _BUSY:
                pass
            if said == _FAILED:
                raise QuantalError("the first process of this training run has stopped")

    def _work_alone(self, work: Callable[[], None]) -> None:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_BEAT):
                self.agreed(_BUSY)

        life = threading.Thread(target=beat, daemon=True)
        life.start()
        said = _FAILED
        try:
            work()
            said = _DONE
        finally:
            over.set()
            life.join()
            self.agreed(said)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        why = str(error).splitlines()[0].partition(". This is typically")[0]
        raise QuantalError(
            f"another process of this training run has stopped or does not answer ({why}). If it "
            "left no message, it was killed, most likely because memory ran out: use fewer "
            "processes or a smaller `batch`. Go on from the last checkpoint with --resume"
        ) from error


_ALONE = Team()
_present = _ALONE


def team() -> Team:
    """Return the team whose training step is computed; outside of one, a team of one."""
    return _present


@contextmanager
def at_work(present: Team) -> Iterator[None]:
    """Make a team the one that team() returns."""
    global _present
    before, _present = _present, present
    try:
        yield
    finally:
        _present = before
