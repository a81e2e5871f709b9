"""Maps of codebook indices as bytes: contexts, adaptive tables, and the walk."""

from __future__ import annotations

from quantal.entropy.indices.maps import walk_map
from quantal.entropy.indices.prior import (
    ABSENT,
    BoolMap,
    ByteMap,
    CountedTables,
    IndexPrior,
    IntMap,
    Neighbourhood,
)

__all__ = [
    "ABSENT",
    "BoolMap",
    "ByteMap",
    "CountedTables",
    "IndexPrior",
    "IntMap",
    "Neighbourhood",
    "walk_map",
]
