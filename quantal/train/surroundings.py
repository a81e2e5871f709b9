"""What training changes in the process, and restores: torch's threads and random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["restored"]


@contextmanager
def restored() -> Iterator[None]:
    """Restore torch's number of threads and its random state, on all devices, at the end."""
    threads = torch.get_num_threads()
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if used else ()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(threads)
