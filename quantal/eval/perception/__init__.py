"""Machine perception under compression, after MPQ: what frozen models see in decoded pictures.

    plan = Plan(("webp", "jpeg"), data, "classify", "mobilenet_v2", out)
    result = evaluate(plan)          # measures what is missing, writes tables and reports

Tasks and their data sets, models, and the statistics stand in files of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from quantal.eval.perception.document import document
from quantal.eval.perception.result import Result, result
from quantal.eval.perception.run import Plan, Study, measure
from quantal.eval.perception.write import write

__all__ = ["Plan", "Result", "Study", "document", "evaluate", "measure", "result", "write"]


def evaluate(plan: Plan, tell: Callable[[int, int], None] | None = None) -> Result:
    """Measure what the plan asks and has not been measured yet, and write everything down."""
    found = result(plan, measure(plan, tell))
    write(found)
    return found
