"""report.md: the tables of a measurement for papers and pull requests."""

from __future__ import annotations

from quantal.eval.perception.document import Result
from quantal.eval.perception.tables import Table, tables

__all__ = ["report"]


def report(found: Result) -> str:
    """The report's text; the plot beside it is perception.svg."""
    study, made = found.study, found.provenance
    parts = [
        f"# {study.task.title} under compression",
        f"{len(study.dataset.samples)} pictures; model {study.models[found.precision].label}. "
        f"Measured by Quantal {made.quantal}"
        + (f" (commit {made.commit})" if made.commit else "")
        + f" on {made.date}, {made.machine}.",
        f"![{study.task.scores[0].title} over bits per pixel](perception.svg)",
        *(_table(table) for table in tables(found)),
    ]
    codecs = [f"- {codec}: {version}" for codec, version in study.versions.items() if version]
    parts.append("## Codecs\n\n" + "\n".join(codecs))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [f"## {table.title}", "", table.note, "", _row(table.head)]
    lines.append("|" + "---|" * len(table.head))
    lines += [_row(row) for row in table.rows]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
