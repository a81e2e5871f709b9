"""Quantisers: features to indices and back, with straight-through training.

One interface for all: a position's feature vector becomes `groups` indices, of `sizes` entries
each. How indices become bytes is quantal.entropy.indices' business.
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
