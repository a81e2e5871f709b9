"""Errors of all allocators become one error that says what was needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quantal.errors import OutOfMemoryError, QuantalError
from quantal.memory import is_out_of_memory, memory_errors


def test_torch_on_the_processor() -> None:
    needed = r"coding it .* for 4,000,000,000 MB"
    with pytest.raises(OutOfMemoryError, match=needed), memory_errors("coding it"):
        torch.empty(10**15)


def test_numpy() -> None:
    needed = r"coding it .* \d+\. PiB"
    with pytest.raises(MemoryError, match=needed), memory_errors("coding it"):
        np.empty(10**17, np.float64)


def test_torch_on_a_gpu() -> None:
    message = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ..."
    with pytest.raises(QuantalError, match=r"request was for 20\.00 GiB"), memory_errors("it"):
        raise torch.OutOfMemoryError(message)


def test_other_errors_pass() -> None:
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"), memory_errors("it"):
        raise RuntimeError("shapes differ")
