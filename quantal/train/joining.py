"""How a process joins the team of a run: by the environment variables that torchrun sets.

Slurm and Ray Train set the same ones. A process without them trains alone.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from quantal.codecs.registry import device_name
from quantal.errors import ArgumentError, QuantalError
from quantal.team import Team

__all__ = ["joined", "launch_name", "launched", "own_device", "own_threads", "place", "restarted"]

#: How long a process waits for another that is late or gone without a word.
_PATIENCE = timedelta(minutes=30)
#: Seconds between two looks at who is there.
_POLL = 0.05


def launched() -> bool:
    """Return whether torchrun, or something like it, has started this process among others."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def place() -> tuple[int, int]:
    """Return the number of this process and how many there are; 0 and 1 for one by itself."""
    if not launched():
        return 0, 1
    return _number("RANK", 0), _number("WORLD_SIZE", 1)


def launch_name() -> str:
    """Return the name of torchrun's call, the same for all restarts; empty if it has none."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return "" if name == "none" else name


def restarted(team: Team) -> bool:
    """Return whether torchrun has started a process again, after one had stopped.

    It counts restarts on each machine by itself, and not all: see launch_name().
    """
    _, again = team.place(int(_number("TORCHELASTIC_RESTART_COUNT", 0) > 0))
    return again > 0


def own_threads() -> int:
    """Return this process's share of the cores of its machine, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(cores // _number("LOCAL_WORLD_SIZE", 1), 1)


def own_device(wanted: str) -> torch.device:
    """Return the device of this process: a GPU for each of a machine's processes.

    Args:
        wanted: "auto", "cpu" or "cuda".

    Raises:
        ArgumentError: If there is no such device, or there are more processes than GPUs.
    """
    device = torch.device(device_name(wanted))
    if device.type != "cuda" or not launched():
        return device
    own, gpus = _number("LOCAL_RANK", 0), torch.cuda.device_count()
    if own >= gpus:
        raise ArgumentError(
            f"there are more processes than GPUs on this machine, which has {gpus}; start "
            f"{gpus} (--nproc-per-node {gpus}), or set `device: cpu`"
        )
    torch.cuda.set_device(own)
    return torch.device("cuda", own)


@contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Meet the other processes of the run: by gloo on CPUs, by NCCL on GPUs.

    Args:
        device: of this process.

    Raises:
        ArgumentError: If the variables are wrong.
        QuantalError: If the others can't be reached.
    """
    rank, size = place()
    # gloo serves what stays on CPUs, such as clocks.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if dist.is_available() and dist.is_initialized():  # as in Ray Train
        group: Any = dist.new_group(backend=backend, timeout=_PATIENCE)
        yield Team(dist.get_rank(), dist.get_world_size(), group)
        return
    if size == 1:
        yield Team()
        return
    if not dist.is_available():
        raise ArgumentError("this torch can't train in several processes; start one")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing or not 0 <= rank < size:
        wrong = f"no {' and no '.join(missing)}" if missing else f"RANK={rank}, WORLD_SIZE={size}"
        raise ArgumentError(
            f"the environment names no team of processes: {wrong}; start them by torchrun, or "
            "unset RANK and WORLD_SIZE to train in one process"
        )
    try:
        found, _, _ = next(rendezvous("env://", timeout=_PATIENCE))
        store = _unused(found, rank, size)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise QuantalError(
            f"the other {size - 1} processes can't be reached at {where}: {error}; see that all "
            "have started, and that this address is reachable from every machine"
        ) from error
    try:
        yield Team(rank, size)
    finally:
        dist.destroy_process_group()


def _unused(store: Any, rank: int, size: int) -> Any:
    """Return the part of a store that belongs to this start of the processes alone.

    torchrun may keep one store through all restarts, in which the addresses of processes stay that
    are gone; and it counts restarts on each machine by itself. So processes call out names that
    nobody had before, and the first one decides who is there.
    """
    own = uuid.uuid4().hex[:12]
    until = time.monotonic() + _PATIENCE.total_seconds()
    store.set(f"name {rank}", own)
    while time.monotonic() < until:
        if rank == 0:
            store.set("round", " ".join(store.get(f"name {k}").decode() for k in range(size)))
        names = store.get("round").decode()
        if own in names:
            store.set(f"{names} {rank}", "here")
        if rank == 0 and store.check([f"{names} {k}" for k in range(size)]):
            store.set(f"{names} begins", "now")
        if own in names and store.check([f"{names} begins"]):
            return dist.PrefixStore(names.partition(" ")[0], store)  # type: ignore[attr-defined]
        time.sleep(_POLL)
    raise RuntimeError(f"not all of them answered within {_PATIENCE}")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise ArgumentError(
            f"the environment has {name}={text!r}, expected a whole number; start processes by "
            "torchrun, or unset it"
        ) from error
