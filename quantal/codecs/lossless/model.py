"""Everything of a lossless model that decides how bits are read, as its weights file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.neighbourhood import PHASES, Phase, inputs
from quantal.codecs.lossless.predictor import SCALES, SPREAD_ENTRIES, StepNetwork
from quantal.codecs.lossless.refit import CHANGE_TABLES
from quantal.codecs.lossless.residuals import FRACTIONS
from quantal.entropy.tables import TableSet
from quantal.errors import ModelError

__all__ = ["CHANNELS", "GROUPS", "LosslessModel"]

#: Networks for the finest level, the next one, and all others.
GROUPS = 3
#: Kinds of channels: the first, and those that are coded after it.
CHANNELS = 3

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LosslessModel:
    """The networks of all steps, and the tables of residuals.

    Attributes:
        steps: by group, channel and phase.
        tables: by channel; a table for every scale and fraction.
        changes: CHANGE_TABLES tables, see refit.py.
        logarithms: int16, see StepNetwork.
    """

    steps: dict[tuple[int, int, Phase], StepNetwork]
    tables: tuple[TableSet, ...]
    changes: TableSet
    logarithms: Array

    def __post_init__(self) -> None:
        if any(len(tables) != SCALES * FRACTIONS for tables in self.tables):
            raise ModelError(f"residuals need {SCALES * FRACTIONS} tables for each channel")
        if len(self.changes) != CHANGE_TABLES:
            raise ModelError(f"changes need {CHANGE_TABLES} tables")

    @cached_property
    def least_bits(self) -> float:
        """The fewest bits that a sample can cost, on whatever table."""
        return min(float(tables.least_bits.min()) for tables in self.tables)

    def integers(self) -> dict[str, Array]:
        """Return everything by name."""
        found: dict[str, Array] = {"logarithms": self.logarithms}
        for (group, channel, phase), step in self.steps.items():
            found |= step.arrays(f"step.{group}.{channel}.{phase}")
        for which, tables in (*enumerate(self.tables), ("changes", self.changes)):
            for name in ("first", "offsets", "cumulative"):
                found[f"tables.{which}.{name}"] = getattr(tables, name)
        return found

    @classmethod
    def from_arrays(cls, found: Mapping[str, Array]) -> LosslessModel:
        """Build a model from the result of integers().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of a model.
        """
        logarithms = found["logarithms"]
        if logarithms.dtype != np.int16 or logarithms.shape != (SPREAD_ENTRIES,):
            raise ModelError(f"a model needs {SPREAD_ENTRIES} logarithms")
        steps = {
            (group, channel, phase): StepNetwork.from_arrays(
                found,
                f"step.{group}.{channel}.{phase}",
                logarithms,
                np.array([each.range for each in inputs(channel, phase)]),
            )
            for group in range(GROUPS)
            for channel in range(CHANNELS)
            for phase in PHASES
        }
        tables = tuple(
            TableSet.from_arrays(found, f"tables.{channel}") for channel in range(CHANNELS)
        )
        changes = TableSet.from_arrays(found, "tables.changes")
        return cls(steps, tables, changes, logarithms)
