"""The integer networks of the predicted model: everything that decides how its bits are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from quantal.entropy.coder import IntArray
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.base import Array
from quantal.entropy.frozen.exact_context import (
    ExactContext,
    largest_magnitude,
    read_constants,
    read_steps,
)
from quantal.entropy.orders import CELL

__all__ = ["STILL", "ExactPredicted"]

#: What stands still, as an input of the networks: 1 in units of 2^-8.
STILL = 1 << 8


class ExactPredicted(ExactContext):
    """The networks of an ExactContext, and one for the symbols of the frame before.

    Args:
        past: magnitudes of the symbols of the frame before, in cells, then what stands still at the
            places of a cell, to features.
        trunk: see ExactContext.
        steps: see ExactContext; they take the features of the trunk, then those of `past`.
        table: see ExactContext.
        elements: see ExactContext.
    """

    def __init__(
        self,
        past: ExactNet,
        trunk: ExactNet,
        steps: Sequence[ExactNet],
        table: IntArray,
        elements: IntArray,
    ) -> None:
        super().__init__(trunk, steps, table, elements)
        self.past = past
        if past.inputs != len(elements) + CELL * CELL:
            raise ValueError(f"the frame before has {past.inputs} inputs, not {len(elements)} + 4")
        expected = trunk.outputs + past.outputs
        for span, net in zip(self.spans, self.steps, strict=True):
            if net.inputs != expected + span.start:
                raise ValueError(f"a step takes {net.inputs} inputs, not {expected + span.start}")

    @property
    def nets(self) -> tuple[ExactNet, ...]:
        return (self.past, *super().nets)

    def arrays(self, prefix: str) -> dict[str, Array]:
        return {**super().arrays(prefix), **self.narrow(f"{prefix}.past", self.past)}

    @classmethod
    def from_arrays(
        cls, found: Mapping[str, Array], prefix: str, largest_input: int
    ) -> ExactPredicted:
        table, elements = read_constants(found, prefix)
        trunk = ExactNet.from_arrays(found, f"{prefix}.trunk", largest_input)
        largest = max(largest_magnitude(table), STILL)
        past = ExactNet.from_arrays(found, f"{prefix}.past", largest)
        largest = max(trunk.largest_output, past.largest_output, largest)
        return cls(past, trunk, read_steps(found, prefix, largest), table, elements)

    def past_features(self, symbols: IntArray, still: IntArray) -> IntArray:
        """Return features of the frame before, int32 [F, h, w].

        Args:
            symbols: of its latents, in cells int32 [4C, h, w].
            still: what stands still, 0 or 1, int32 [4, h, w].
        """
        return self.past(np.concatenate((self.magnitudes(symbols), still * STILL)), 0)
