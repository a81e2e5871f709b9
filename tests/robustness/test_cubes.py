"""Damaged data cubes give a dataset or a named error, in little memory."""

from __future__ import annotations

from itertools import islice

import pytest

pytest.importorskip("xarray")

from .fuzz import cubes
from .fuzz.limits import limited_memory


def test_damaged_cubes_are_answered() -> None:
    files = cubes.sample_cubes()
    assert {cubes.outcome(data) for data in files} == {"cube"}
    with limited_memory():
        found = {cubes.outcome(data) for _, data in islice(cubes.cases(7, files), 600)}
    assert {"cube", "CorruptError", "TruncatedError"} <= found
