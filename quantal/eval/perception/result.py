"""The result of a study: all figures and findings, from which tables and reports are made."""

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
    """All figures and findings of a study.

    Attributes:
        plan: The plan.
        study: The measurements.
        figures: Scores of all codecs, qualities and precisions.
        thresholds: Rates at which the score drops, for the first precision.
        at_rates: Losses at common rates, for the first precision.
        correlations: Correlations of the score with metrics, for the first precision.
        comparisons: BD-rates with the score as quality, for the first precision.
        provenance: Versions, machine and date.
    """

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
        """The first precision of the plan, which `curves` and findings refer to."""
        return next(iter(self.study.models))

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The curves of the first precision."""
        return self.figures.of(self.precision)


def result(plan: Plan, study: Study) -> Result:
    """Compute all figures and findings of a study.

    Args:
        plan: The plan of the study.
        study: Its measurements.

    Raises:
        EvaluationError: The model failed on all originals, or none of its predictions is scored.
    """
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
