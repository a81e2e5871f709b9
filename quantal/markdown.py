"""Tables in GitHub's Markdown, for the specification, reports and benchmark pages.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["escape", "table"]


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: bool = True,
    compact: bool = False,
) -> str:
    """Format a table. Cells are written as they are; see `escape`.

    >>> print(table(("codec", "bpp"), [("webp", "0.25"), ("avif", "0.19")]))
    | codec | bpp |
    | --- | ---: |
    | webp | 0.25 |
    | avif | 0.19 |

    Args:
        head: Column titles.
        rows: Cells, as many in each row as there are columns.
        numbers: Align all columns but the first to the right.
        compact: Write the rule below the head without spaces.

    Returns:
        Lines of text, without a newline at the end.
    """
    rule = ["---", *(("---:" if numbers else "---") for _ in head[1:])]
    lines = [_line(head), f"|{'|'.join(rule)}|" if compact else _line(rule), *map(_line, rows)]
    return "\n".join(lines)


def escape(cell: str) -> str:
    """Make any text fit a cell: vertical bars are escaped, white space becomes single spaces."""
    return " ".join(cell.replace("|", "\\|").split())


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
