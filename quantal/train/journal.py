"""What a run tells of itself: JSON lines, curves and samples in its folder, and a dashboard.

Only the first of several processes writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from quantal.outputs import output_errors
from quantal.train.dashboards import Dashboard, dashboard_of
from quantal.train.recipe import Recipe

__all__ = ["Journal", "Log", "Silence", "journal"]

#: Called with each entry of a run's log.
Log = Callable[[Mapping[str, Any]], None]

#: White pixels between two samples.
_GAP = 4


class Silence:
    """The journal of a process that has nothing to tell."""

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Add an entry."""

    def show(self, step: int, rows: Sequence[Sequence[Tensor]]) -> None:
        """Show samples, and curves of all entries.

        Args:
            step: steps that are over.
            rows: for each picture the original and reconstructions, uint8 [3, H, W] of one size.
        """


class Journal(Silence):
    """A run's log.jsonl, samples and curves.

    Args:
        folder: of the run.
        write: writes bytes to the end of log.jsonl.
        dashboard: where the run is shown, if anywhere.
        log: called with each entry.
    """

    def __init__(
        self,
        folder: Path,
        write: Callable[[bytes], object],
        dashboard: Dashboard | None,
        log: Log | None,
    ) -> None:
        self._folder, self._write = folder, write
        self._dashboard, self._log = dashboard, log

    def __call__(self, entry: Mapping[str, Any]) -> None:
        with output_errors(self._folder / "log.jsonl"):
            self._write((json.dumps(entry) + "\n").encode())
        if self._dashboard is not None:
            self._dashboard.numbers(int(entry["step"]), dict(_numbers(entry)))
        if self._log is not None:
            self._log(entry)

    def show(self, step: int, rows: Sequence[Sequence[Tensor]]) -> None:
        if rows:
            path = self._folder / "samples" / f"{step:08}.png"
            picture = _tiled(rows)
            with output_errors(path):
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)
            if self._dashboard is not None:
                self._dashboard.picture(step, "samples", picture)
        with suppress(ModuleNotFoundError):  # matplotlib
            _draw_curves(self._folder / "log.jsonl", self._folder / "curves.png")


@contextmanager
def journal(recipe: Recipe, log: Log | None) -> Iterator[Journal]:
    """Open the journal of a run in the folder `out` of its recipe.

    Args:
        recipe: of the run.
        log: called with each entry.

    Raises:
        InstallError: If the package of the dashboard that the recipe names is missing.
        OutputError: If the log can't be written.
    """
    folder = Path(recipe.out)
    path = folder / "log.jsonl"
    with output_errors(path):
        file = path.open("ab", buffering=0)
    with file, dashboard_of(recipe) as dashboard:
        yield Journal(folder, file.write, dashboard, log)


def _numbers(entry: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers in an entry, by names that tell training and evaluations apart."""
    if entry.get("event") == "evaluation":
        for point in entry["points"]:
            where = f" at {point['rate']}" if "rate" in point else ""
            for name, value in point.items():
                if name != "rate":
                    yield f"evaluation/{name}{where}", float(value)
    elif "event" not in entry:
        for name, value in entry.items():
            if name != "step":
                yield f"training/{name}", float(value)


def _tiled(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return one picture uint8 [3, H, W] of samples in rows."""
    height = max(each.shape[1] for row in rows for each in row) + _GAP
    width = max(each.shape[2] for row in rows for each in row) + _GAP
    columns = max(map(len, rows))
    whole = torch.full((3, len(rows) * height, columns * width), 255, dtype=torch.uint8)
    for down, row in enumerate(rows):
        for across, each in enumerate(row):
            top, left = down * height, across * width
            whole[:, top : top + each.shape[1], left : left + each.shape[2]] = each
    return whole[:, :-_GAP, :-_GAP]


def _draw_curves(log: Path, path: Path) -> None:
    """Draw the loss and the figures of evaluations over steps; needs matplotlib."""
    from matplotlib.figure import Figure

    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name, value in _numbers(entry):
            kind, _, what = name.partition("/")
            figure, _, rate = what.partition(" at ")
            if kind == "evaluation" or figure == "loss":
                points = curves.setdefault(f"{figure}, {kind}", {}).setdefault(rate, [])
                points.append((entry["step"], value))
    if not curves:
        return
    sheet = Figure(figsize=(5 * len(curves), 4), layout="constrained")
    for axes, (title, by_rate) in zip(
        sheet.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        for rate, points in by_rate.items():
            axes.plot(*zip(*points, strict=True), marker=".", label=rate)
        axes.set(title=title, xlabel="step")
        if any(by_rate):
            axes.legend(title="rate")
    with output_errors(path):
        sheet.savefig(path)
