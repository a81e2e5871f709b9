"""The integer networks of the predicted model: everything that decides how its bits are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quantal.entropy.coder import IntArray
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.base import Array
from quantal.entropy.frozen.exact_context import (
    ExactContext,
    largest_magnitude,
    read_constants,
    read_steps,
)

__all__ = ["ExactPredicted"]


class ExactPredicted(ExactContext):
    """The networks of an ExactContext, and one for the symbols of the frame before.

    Args:
        past: magnitudes of the symbols of the frame before, in cells, to features.
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
        if past.inputs != len(elements):
            raise ValueError(f"the frame before has {past.inputs} elements, not {len(elements)}")
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
        largest = largest_magnitude(table)
        past = ExactNet.from_arrays(found, f"{prefix}.past", largest)
        largest = max(trunk.largest_output, past.largest_output, largest)
        return cls(past, trunk, read_steps(found, prefix, largest), table, elements)

    def past_features(self, symbols: IntArray) -> IntArray:
        """Map the symbols of the frame before, in cells int32 [4C, h, w], to features."""
        return self.past(self.magnitudes(symbols), 0)
