"""The result of a study: all figures and findings, in one frozen dataclass.

Tables, plots and pages are made from it; docs of each are in modules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantal.eval.perception.figures import Curve, Figures, figures
from quantal.eval.perception.findings import (
    AtRate,
    Comparison,
    Correlation,
    Threshold,
    at_rates,
    comparisons,
    correlations,
    thresholds,
)
from quantal.eval.perception.run import Plan, Study
from quantal.eval.provenance import Provenance, provenance

__all__ = ["Result", "result"]


@dataclass(frozen=True)
class Result:
    """Everything that a table or a picture shows; findings are those of the first precision."""

    plan: Plan
    study: Study
    figures: Figures
    thresholds: Sequence[Threshold]
    at_rates: Sequence[AtRate]
    correlations: Sequence[Correlation]
    comparisons: Sequence[Comparison]
    provenance: Provenance

    @property
    def precision(self) -> str:
        """The precision that curves are told by."""
        return next(iter(self.study.models))

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Those of that precision."""
        return self.figures.of(self.precision)


def result(plan: Plan, study: Study) -> Result:
    """Make all figures of a finished measurement."""
    made = figures(study)
    curves = made.of(next(iter(study.models)))
    return Result(
        plan,
        study,
        made,
        thresholds(curves),
        at_rates(curves),
        correlations(study, curves),
        comparisons(study, curves),
        provenance(),
    )
