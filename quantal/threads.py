"""How many threads numpy's matrix products take in processes that this one starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["blas_threads"]

#: What the libraries behind numpy read when they are loaded.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Let processes that start inside use so many threads each for matrix products.

    Numpy has no call for it, and several processes with all cores each would only get in each
    other's way. What the user has set stays.
    """
    added = [name for name in _VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(max(count, 1))))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
