"""Machine perception under compression, after MPQ: accuracy of frozen models on decoded pictures.

plan = Plan(("webp", "jpeg"), data, "classify", "mobilenet_v2", out)
result = evaluate(plan)          # measures what is missing, writes tables and reports
"""

from __future__ import annotations

from collections.abc import Callable

from quantal.eval.perception.document import document
from quantal.eval.perception.result import Result, result
from quantal.eval.perception.run import Plan, Study, measure
from quantal.eval.perception.write import write

__all__ = ["Plan", "Result", "Study", "document", "evaluate", "measure", "result", "write"]


def evaluate(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Result:
    """Measure everything that is not yet in the journal, and write tables, plots and reports.

    Args:
        plan: What to measure.
        progress: Progress callback; receives the number of finished and of all work items.

    Raises:
        ArgumentError: The plan has invalid arguments; raised before anything is measured.
        EvaluationError: The data set is invalid, or the model fails on all of it.
        ModelError: The model can't be loaded.
        OutputError: The output folder can't be created.
    """
    found = result(plan, measure(plan, progress))
    write(found)
    return found
