"""Output of a result: tables, JSON document, reports and plots."""

from __future__ import annotations

import json
from pathlib import Path

from quantal.eval.perception.document import document, rows
from quantal.eval.perception.markdown import report
from quantal.eval.perception.page import page
from quantal.eval.perception.plots import plot
from quantal.eval.perception.result import Result
from quantal.eval.rows import write_tables
from quantal.outputs import write_whole

__all__ = ["write"]


def write(found: Result) -> list[Path]:
    """Write tables, JSON document, reports and plots to the plan's folder; return their paths."""
    out = found.plan.out
    written = list(write_tables(rows(found), out / "perception"))
    texts = {
        "perception.json": json.dumps(document(found), indent=2) + "\n",
        "report.md": report(found),
        "report.html": page(found),
    }
    for name, text in texts.items():
        write_whole(out / name, text)
        written.append(out / name)
    written += plot(found, out / "perception")
    return written
