"""The report of a rate-distortion run, for people: report.html, report.md, rd.svg and rd.png.

    ready()                                # before hours of measuring: is everything installed?
    write_report(result, deltas, folder)   # after them

digest.py sums a result up, views.py codes pictures to equal bytes; page.py, markdown.py and
figure.py each show the digest in one form. Nothing is measured here but the views.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantal.eval._optional import require

if TYPE_CHECKING:
    from quantal.eval.bdrate import BD
    from quantal.eval.rd import RDResult

__all__ = ["ready", "write_report"]


def ready() -> None:
    """Raise ArgumentError, with what to install, if a report can't be made here."""
    require("matplotlib", "a report")
    require("plotly", "a report")


def write_report(
    result: RDResult, deltas: Mapping[str, Mapping[str, BD | str]], out: Path
) -> tuple[Path, ...]:
    """Write the four files of a report into a folder; returns their paths.

    deltas: metric -> curve -> deltas against the result's anchor, or why there are none, as
    `quantal.eval.summary.comparisons` makes them. Codes up to three pictures anew, at equal bytes.
    """
    from quantal.eval.report.digest import digest
    from quantal.eval.report.figure import draw
    from quantal.eval.report.markdown import markdown
    from quantal.eval.report.page import page
    from quantal.eval.report.views import views

    ready()
    out.mkdir(parents=True, exist_ok=True)
    summed = digest(result, deltas)
    html, text = out / "report.html", out / "report.md"
    html.write_text(page(summed, views(result, summed)), encoding="utf-8")
    text.write_text(markdown(summed), encoding="utf-8")
    return html, text, *draw(summed, out / "rd")
