"""Probabilistic circuits: trees of hidden variables that code blocks of symbols exactly."""

from __future__ import annotations

from quantal.entropy.circuits.circuit import Circuit
from quantal.entropy.circuits.coding import (
    decode_blocks,
    encode_blocks,
    estimate_blocks,
)
from quantal.entropy.circuits.fit import fit_circuit
from quantal.entropy.circuits.tree import chow_liu_tree

__all__ = [
    "Circuit",
    "chow_liu_tree",
    "decode_blocks",
    "encode_blocks",
    "estimate_blocks",
    "fit_circuit",
]
