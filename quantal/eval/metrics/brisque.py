"""BRISQUE by piq, a metric without reference.

The support vectors are piq's, from a folder or by piq's download.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quantal.errors import ArgumentError, EvaluationError
from quantal.eval._optional import require
from quantal.eval.metrics import weights as files
from quantal.eval.metrics.base import Measure

__all__ = ["brisque"]

_URL = "https://github.com/photosynthesis-team/piq/releases/download/v0.4.0/brisque_svm_weights.pt"
_FEATURES = 36  # 18 at each of two scales


def brisque(weights: Path | None = None) -> Measure:
    """Return the measure of BRISQUE (Mittal et al. 2012) of decoded pictures; lower is better."""
    purpose = "metric 'brisque'"
    module = require("piq.brisque", purpose)
    machine = files.load("brisque", weights, _URL, purpose)
    if not _fits(machine):
        raise ArgumentError(
            f"{purpose}: expected the support vectors of piq, a pair of coefficients [N] and "
            f"vectors [N, {_FEATURES}]; fetch {_URL}"
        )

    @torch.inference_mode()
    def measure(original: NDArray[Any], decoded: NDArray[Any]) -> float:
        pixels = torch.tensor(np.ascontiguousarray(decoded.transpose(2, 0, 1))).float()[None]
        try:
            with _given(module, machine):
                return float(module.brisque(pixels, data_range=255))
        except AssertionError as error:  # piq raises it for flat pictures
            raise EvaluationError(f"BRISQUE of this picture: {error}") from error

    return measure


def _fits(machine: Any) -> bool:
    if not (isinstance(machine, (tuple, list)) and len(machine) == 2):
        return False
    coefficients, vectors = machine
    return tuple(vectors.shape) == (coefficients.numel(), _FEATURES)


@contextmanager
def _given(module: Any, machine: Any) -> Iterator[None]:
    """Make piq use these support vectors; it has no argument for them."""
    download = module.load_url
    # piq transposes them in place, so they are copied.
    module.load_url = lambda *_, **__: tuple(t.clone() for t in machine)
    try:
        yield
    finally:
        module.load_url = download
