"""The integer networks of the context model: everything that decides how its bits are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from quantal.entropy.coder import IntArray
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.base import Array
from quantal.errors import ModelError

__all__ = ["ExactContext", "largest_magnitude", "read_constants", "read_steps"]


def _narrowed(name: str, value: Array) -> Array:
    """Return integers in the type that files hold them in; ModelError if they don't fit."""
    kind = np.int16 if name.endswith(".weight") else np.int32
    narrow = value.astype(kind)
    if not np.array_equal(narrow, value):
        raise ModelError(
            f"{name} does not fit {np.dtype(kind).name}: the network trained out of its range"
        )
    return narrow


def read_constants(found: Mapping[str, Array], prefix: str) -> tuple[IntArray, IntArray]:
    """Return the table of magnitudes and the coding order."""
    table, elements = found[f"{prefix}.magnitudes"], found[f"{prefix}.elements"]
    for each in (table, elements):
        if each.dtype != np.int32 or each.ndim != 1 or not len(each):
            raise ValueError("magnitudes or elements are not int32 in one dimension")
    return table, elements


def largest_magnitude(table: IntArray) -> int:
    """Return the largest magnitude in a table."""
    return max(int(table.max()), -int(table.min()))


def read_steps(found: Mapping[str, Array], prefix: str, largest_input: int) -> list[ExactNet]:
    """Return the networks of all steps."""
    steps: list[ExactNet] = []
    while f"{prefix}.step.{len(steps)}.0.weight" in found:
        steps.append(ExactNet.from_arrays(found, f"{prefix}.step.{len(steps)}", largest_input))
    return steps


class ExactContext:
    """The coding order and the integer networks of scales.

    They are everything that decides how bits are read.

    Args:
        trunk: z in units of 2^-8 to features at the cells.
        steps: for each step, features and magnitudes of earlier symbols to scale indices.
        table: int32 [256], the input that a magnitude becomes; larger ones count as the last.
        elements: int32 [4C], channel * 4 + place of each element of a cell, in coding order.
    """

    def __init__(
        self, trunk: ExactNet, steps: Sequence[ExactNet], table: IntArray, elements: IntArray
    ) -> None:
        self.trunk, self.steps = trunk, tuple(steps)
        self.table, self.elements = table, elements
        #: Whether a step takes the magnitudes of earlier symbols.
        self.adaptive = any(net.inputs > trunk.outputs for net in steps)
        ends = np.cumsum([net.outputs for net in self.steps]).tolist()
        if not np.array_equal(np.sort(elements), np.arange(ends[-1])):
            raise ValueError("a coding order names an element twice or not at all")
        #: Where each step's elements lie among a cell's.
        self.spans = tuple(
            slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)
        )

    @property
    def nets(self) -> tuple[ExactNet, ...]:
        """All integer networks."""
        return (self.trunk, *self.steps)

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return all integers by name; weights fit 16 bits, which halves the file."""
        found: dict[str, Array] = {
            f"{prefix}.magnitudes": self.table,
            f"{prefix}.elements": self.elements,
        }
        steps = [(f"{prefix}.step.{place}", net) for place, net in enumerate(self.steps)]
        for name, net in [(f"{prefix}.trunk", self.trunk), *steps]:
            found |= self.narrow(name, net)
        return found

    @staticmethod
    def narrow(prefix: str, net: ExactNet) -> dict[str, Array]:
        """Return the integers of a network in the types that files hold them in.

        Raises:
            ModelError: If they don't fit.
        """
        return {name: _narrowed(name, value) for name, value in net.arrays(prefix).items()}

    @classmethod
    def from_arrays(
        cls, found: Mapping[str, Array], prefix: str, largest_input: int
    ) -> ExactContext:
        """Build the networks from the result of arrays().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such networks.
        """
        table, elements = read_constants(found, prefix)
        trunk = ExactNet.from_arrays(found, f"{prefix}.trunk", largest_input)
        steps = read_steps(found, prefix, max(trunk.largest_output, largest_magnitude(table)))
        return cls(trunk, steps, table, elements)

    def features(self, z: IntArray, rate_index: int) -> IntArray:
        """Map z int32 [..., N, h, w] in units of 2^-8 to features int32 at the cells."""
        return self.trunk(z, rate_index)

    def index(self, step: int, features: IntArray, known: IntArray, rate_index: int) -> IntArray:
        """Return the scale indices of a step, int32 [..., n, h, w].

        Args:
            step: which.
            features: int32 [..., F, h, w].
            known: the symbols of earlier steps, int32 [..., k, h, w].
            rate_index: 0..63.
        """
        if not self.adaptive:
            return self.steps[step](features, rate_index)
        seen = np.concatenate((features, self.magnitudes(known)), axis=-3)
        return self.steps[step](seen, rate_index)

    def magnitudes(self, symbols: IntArray) -> IntArray:
        """Return symbols as the networks take them."""
        # Clamped before the magnitude is taken: that of the lowest int32 overflows.
        top = len(self.table) - 1
        sizes = np.clip(symbols, -top, top)
        np.abs(sizes, out=sizes)
        return self.table.take(sizes)
