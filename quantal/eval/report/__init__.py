"""The report of a rate-distortion measurement: report.html, report.md, rd.svg and rd.png.

    ready()                                # before a long measurement: checks packages
    write_report(result, deltas, folder)   # after it

digest.py summarises a result, views.py codes pictures and player.py clips to equal bytes, frames.py
shows clips frame by frame; page.py, markdown.py and figure.py write the formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantal.eval._optional import require
from quantal.eval.plans import place
from quantal.outputs import create_folder, write_whole

if TYPE_CHECKING:
    from quantal.eval.bdrate import BD
    from quantal.eval.rd import RDResult

__all__ = ["ready", "write_report"]


def ready() -> None:
    """Raise ArgumentError if packages for reports are missing."""
    require("matplotlib", "a report")
    require("plotly", "a report")


def write_report(
    result: RDResult, deltas: Mapping[str, Mapping[str, BD | str]], out: str | Path
) -> tuple[Path, ...]:
    """Write a report. Up to three pictures, or two clips, are coded again, to equal bytes.

    Args:
        result: The result of a measurement.
        deltas: Its comparisons with the anchor, from `quantal.eval.summary.comparisons`.
        out: Folder for the files.

    Returns:
        The paths of report.html, report.md, rd.svg and rd.png.

    Raises:
        ArgumentError: A package for reports is missing.
        OutputError: A file can't be written.
    """
    from quantal.eval.report.digest import digest
    from quantal.eval.report.figure import draw
    from quantal.eval.report.frames import frame_lines
    from quantal.eval.report.markdown import markdown
    from quantal.eval.report.page import Clips, page
    from quantal.eval.report.player import played
    from quantal.eval.report.views import views

    ready()
    out = place("out", out)
    create_folder(out)
    summed = digest(result, deltas)
    html, text = out / "report.html", out / "report.md"
    video = result.media == "video"
    clips = Clips(frame_lines(result, summed), played(result, summed)) if video else None
    write_whole(html, page(summed, () if video else views(result, summed), clips))
    write_whole(text, markdown(summed))
    return html, text, *draw(summed, out / "rd")
