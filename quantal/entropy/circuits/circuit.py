"""A circuit: sums and products over a tree of hidden variables, in whole numbers.

Each variable x has a hidden variable z with K states, and these form a tree: a hidden Chow-Liu tree
(Liu and Van den Broeck, "Tractable regularization of probabilistic circuits", NeurIPS 2021). As a
circuit of sums and products it is smooth and decomposable, so its conditionals are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.errors import ModelError

__all__ = ["WEIGHT_BITS", "Circuit"]

#: Bits of a weight: those of a row sum to 2^16.
WEIGHT_BITS = 16
_MOST = 256
_STORED = ("variables", "parents", "transitions", "leaves")

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Circuit:
    """A tree of N nodes; each has a variable of V values and a hidden one of K states.

    Nodes stand in the order in which they are coded: depth first, a node before its children and
    one child's descendants before the next child.

    Attributes:
        variables: The variable of each node, int32 [N].
        parents: The node above each, int32 [N]; -1 for the first.
        transitions: Weights of a node's state given its parent's, int32 [N, K, K]; rows are equal
            for the first node. At least 1; a row sums to 2^16.
        leaves: Weights of a variable's value given the state, int32 [N, K, V], in the same way.

    Raises:
        ModelError: The arrays are not those of a circuit.
    """

    variables: IntArray
    parents: IntArray
    transitions: IntArray
    leaves: IntArray

    def __post_init__(self) -> None:
        for name in _STORED:
            if getattr(self, name).dtype != np.int32:
                raise ModelError(f"a circuit's {name} must be int32")
        if self.leaves.ndim != 3:
            raise ModelError("a circuit's leaves must be weights [N, K, V]")
        nodes, states, values = self.leaves.shape
        if not (nodes >= 1 and 1 <= states <= _MOST and 2 <= values <= _MOST):
            raise ModelError(
                f"a circuit of {nodes} nodes, {states} states and {values} values found; expected "
                f"1 or more, 1..{_MOST} and 2..{_MOST}"
            )
        if self.transitions.shape != (nodes, states, states):
            raise ModelError(
                f"a circuit's transitions {list(self.transitions.shape)} found, expected "
                f"{[nodes, states, states]}"
            )
        for name, rows in (("transitions", self.transitions), ("leaves", self.leaves)):
            if rows.min() < 1 or (rows.sum(axis=2, dtype=np.int64) != 1 << WEIGHT_BITS).any():
                raise ModelError(
                    f"a circuit's {name} must be at least 1, and a row sum to 2^{WEIGHT_BITS}"
                )
        if (self.transitions[0] != self.transitions[0, 0]).any():
            raise ModelError("a circuit's first transitions must be equal: it has no parent")
        self._check_order()

    def _check_order(self) -> None:
        nodes = self.nodes
        if self.variables.shape != (nodes,) or self.parents.shape != (nodes,):
            raise ModelError(f"a circuit of {nodes} nodes needs a variable and a parent of each")
        if sorted(self.variables.tolist()) != list(range(nodes)):
            raise ModelError("a circuit's variables must be each of 0..N-1 once")
        path: list[int] = []
        for node, parent in enumerate(self.parents.tolist()):
            while path and path[-1] != parent:
                path.pop()
            if (parent == -1) != (node == 0) or (node and not path):
                raise ModelError("a circuit's nodes must be in depth-first order")
            path.append(node)

    @property
    def nodes(self) -> int:
        """Number of nodes, and of variables."""
        return int(self.leaves.shape[0])

    @property
    def states(self) -> int:
        """Number of states of a hidden variable."""
        return int(self.leaves.shape[1])

    @property
    def values(self) -> int:
        """Number of values of a variable, 0..V-1."""
        return int(self.leaves.shape[2])

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return everything by name, as stored."""
        return {f"{prefix}.{name}": getattr(self, name) for name in _STORED}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Circuit:
        """Build a circuit from the result of arrays().

        Raises:
            KeyError, ModelError: If the arrays are not those of a circuit.
        """
        return cls(*(arrays[f"{prefix}.{name}"] for name in _STORED))
