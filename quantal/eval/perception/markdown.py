"""The report in Markdown: all tables."""

from __future__ import annotations

from quantal.eval.perception.result import Result
from quantal.eval.perception.tables import Table, tables
from quantal.markdown import escape, table

__all__ = ["report"]


def report(found: Result) -> str:
    """Return the report; it refers to the plot perception.svg."""
    study, made = found.study, found.provenance
    parts = [
        f"# {study.task.title} under compression",
        f"{len(study.dataset.samples)} pictures; model {study.models[found.precision].label}. "
        f"Measured by Quantal {made.quantal}"
        + (f" (commit {made.commit})" if made.commit else "")
        + f" on {made.date}, {made.machine}.",
        f"![{study.task.scores[0].title} over bits per pixel](perception.svg)",
        *(_section(one) for one in tables(found)),
    ]
    codecs = [f"- {codec}: {version}" for codec, version in study.versions.items() if version]
    parts.append("## Codecs\n\n" + "\n".join(codecs))
    return "\n\n".join(parts) + "\n"


def _section(one: Table) -> str:
    head = [escape(cell) for cell in one.head]
    rows = [[escape(cell) for cell in row] for row in one.rows]
    text = table(head, rows, numbers=False, compact=True)
    return f"## {one.title}\n\n{one.note}\n\n{text}"
