"""Quantisers: features to indices and back, with straight-through training.

All have one interface: a position's feature vector becomes `groups` indices, of `sizes` entries
each. quantal.entropy.indices codes indices as bytes.
"""

from __future__ import annotations

from quantal.entropy.quantisers.base import Quantised, Quantiser, Use
from quantal.entropy.quantisers.clustering import kmeans, nearest, shrink
from quantal.entropy.quantisers.scalar import FiniteScalarQuantiser, SignQuantiser
from quantal.entropy.quantisers.vector import CascadeQuantiser, VectorQuantiser

__all__ = [
    "CascadeQuantiser",
    "FiniteScalarQuantiser",
    "Quantised",
    "Quantiser",
    "SignQuantiser",
    "Use",
    "VectorQuantiser",
    "kmeans",
    "nearest",
    "shrink",
]
