"""BRISQUE uses no original, and reads its support vectors from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from quantal.errors import ArgumentError
from quantal.eval.metrics import about, metric

pytest.importorskip("piq")
Pixels = NDArray[np.uint8]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Support vectors at random."""
    generator = torch.Generator().manual_seed(5)
    vectors = torch.rand(20, 36, generator=generator) * 2 - 1
    coefficients = torch.randn(20, generator=generator)
    torch.save((coefficients, vectors), tmp_path / "brisque_random.pt")
    return tmp_path


def test_it_uses_only_the_decoded_picture(folder: Path, original: Pixels, decoded: Pixels) -> None:
    value = metric("brisque", folder)
    assert not about("brisque").reference
    assert value(original, decoded) == value(decoded, decoded)
    assert value(original, decoded) != value(original, original)


def test_it_is_reproducible(folder: Path, decoded: Pixels) -> None:
    value = metric("brisque", folder)
    assert value(decoded, decoded) == value(decoded, decoded.astype(np.float32))


def test_other_files_are_errors(tmp_path: Path) -> None:
    torch.save({"sv": torch.zeros(3)}, tmp_path / "brisque.pt")
    with pytest.raises(ArgumentError, match=r"vectors \[N, 36\]"):
        metric("brisque", tmp_path)
