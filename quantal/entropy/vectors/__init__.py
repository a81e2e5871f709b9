"""An exact code for fields of motion vectors, which needs no torch."""

from __future__ import annotations

from quantal.entropy.vectors.blocks import LIMIT, Scan, field_of, macroblocks, median
from quantal.entropy.vectors.field import FieldState, VectorPrior
from quantal.entropy.vectors.fit import fit_vectors

__all__ = [
    "LIMIT",
    "FieldState",
    "Scan",
    "VectorPrior",
    "field_of",
    "fit_vectors",
    "macroblocks",
    "median",
]
