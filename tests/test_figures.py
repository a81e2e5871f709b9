"""Quoted figures are those that docs/results measured, with the weights that ship.

`make benchmark` writes both; benchmarks/_quotes.py describes the marks on pages. Here every quoted
table is made again from the stored measurements. Bootstrap intervals are computed for all
resamples at once, which is fast and does not share code with quantal.eval.bdrate.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantal.codecs import registry
from quantal.errors import EvaluationError
from quantal.eval.bdrate import BD, bd, compare
from quantal.eval.curves import Curve, Sheet, sheets
from quantal.eval.rows import Row

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import _quotes  # noqa: E402

sys.path.pop(0)

BENCHMARKS = ROOT / "docs" / "results"
SETS = ("kodak", "cid22")
MARKED = re.compile(r"<!-- figures: (\w+) (\w+) (\S+) -->\n(.*?)<!-- end of figures -->", re.DOTALL)
PAGES = sorted(page for pattern in _quotes.PAGES for page in ROOT.glob(pattern))
QUOTES = [
    pytest.param(*found.groups(), id=f"{page.stem}-{found[1]}-{found[2]}")
    for page in PAGES
    for found in MARKED.finditer(page.read_text(encoding="utf-8"))
]


@lru_cache
def summary(pictures: str) -> dict[str, Any]:
    """The means that were written beside a page of benchmarks."""
    found: dict[str, Any] = json.loads((BENCHMARKS / f"{pictures}.json").read_text("utf-8"))
    return found


@lru_cache
def measured(pictures: str) -> dict[str, Sheet]:
    """The measurements of every codec, in the version that the summary names."""
    rows: dict[tuple[Any, ...], Row] = {}
    with gzip.open(BENCHMARKS / f"{pictures}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = Row(**json.loads(line))
            rows[row.codec, row.version, row.picture, row.digest, row.quality] = row
    codecs = summary(pictures)["codecs"]
    current = [
        row.flat()
        for row in rows.values()
        if row.version == codecs.get(row.codec, {}).get("version")
        and any(point["quality"] == row.quality for point in codecs[row.codec]["points"])
    ]
    return sheets(current, ["psnr"])


@dataclass(frozen=True)
class Stored:
    """A set of pictures as benchmarks/_quotes.py takes it: curves, and comparisons of them."""

    pictures: str

    @property
    def curves(self) -> dict[str, Curve]:
        """Every codec and published curve, from the summary."""
        return {
            name: Curve(
                name,
                tuple(point["quality"] for point in codec["points"]),
                tuple(point["bpp"] for point in codec["points"]),
                {"psnr": tuple(_psnr(point) for point in codec["points"])},
                codec["images"],
            )
            for name, codec in summary(self.pictures)["codecs"].items()
        }

    def compare(self, test: str, anchor: str, metric: str, resamples: int) -> BD | str:
        """As RDResult.compare, by PSNR alone."""
        assert metric == "psnr"
        return _compared(self.pictures, test, anchor, resamples)


def _psnr(point: dict[str, Any]) -> float:
    return math.inf if point["psnr"] is None else float(point["psnr"])


@cache
def _compared(pictures: str, test: str, anchor: str, resamples: int) -> BD | str:
    own, curves = measured(pictures), Stored(pictures).curves
    sides = [own.get(name, curves[name]) for name in (test, anchor)]
    try:
        found = compare(*sides, "psnr", pareto=True, resamples=0)
    except EvaluationError as error:
        return str(error)
    if not all(isinstance(side, Sheet) for side in sides):
        return found
    return BD(**(vars(found) | {"interval": _interval(*sides, resamples)}))  # type: ignore[arg-type]


# -- an independent bootstrap ----------------------------------------------------------------


def _interval(test: Sheet, anchor: Sheet, resamples: int) -> tuple[float, float]:
    """The 95 % interval of BD-rate over draws of the pictures, which both sheets share."""
    assert test.pictures == anchor.pictures and test.digests == anchor.digests
    count = len(test.pictures)
    random = np.random.default_rng(0)
    draws = np.array([random.integers(count, size=count) for _ in range(resamples)])
    curves = [_means(side, draws) for side in (anchor, test)]
    rising = np.all([(np.diff(values, axis=1) > 0).all(1) for c in curves for values in c], axis=0)
    (anchor_bpp, anchor_psnr), (test_bpp, test_psnr) = (
        (bpp[rising], psnr[rising]) for bpp, psnr in curves
    )
    low = np.maximum(anchor_psnr[:, 0], test_psnr[:, 0])
    high = np.minimum(anchor_psnr[:, -1], test_psnr[:, -1])
    shorter = np.minimum(np.ptp(anchor_psnr, axis=1), np.ptp(test_psnr, axis=1))
    assert ((high - low) / shorter >= 0.5).all()
    areas = [
        _area(psnr, np.log(bpp), low, high)
        for bpp, psnr in ((test_bpp, test_psnr), (anchor_bpp, anchor_psnr))
    ]
    percents = list(100 * np.expm1((areas[0] - areas[1]) / (high - low)))
    for place in np.flatnonzero(~rising):  # points are left out: one resample at a time
        sides = [values[place] for curve in curves for values in curve]
        percents.append(bd(*sides, pareto=True).percent)
    ends = np.percentile(percents, (2.5, 97.5))
    return float(ends[0]), float(ends[1])


def _means(sheet: Sheet, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of bpp and PSNR [draws, qualities] in order of rate, for draws [draws, pictures]."""
    order = np.argsort(sheet.bpp.mean(0))
    return sheet.bpp[draws].mean(1)[:, order], sheet.values["psnr"][draws].mean(1)[:, order]


def _area(x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The integrals [draws] of pchip curves through rising points x, y [draws, n], low to high.

    Derivatives after Fritsch and Butland (1984), at the ends after Moler, "Numerical Computing with
    MATLAB" (2004).
    """
    h = np.diff(x)
    slope = np.diff(y) / h
    near, far = 2 * h[:, 1:] + h[:, :-1], h[:, 1:] + 2 * h[:, :-1]
    inner = (near + far) / (near / slope[:, :-1] + far / slope[:, 1:])

    def end(h0: np.ndarray, h1: np.ndarray, s0: np.ndarray, s1: np.ndarray) -> np.ndarray:
        return np.maximum(((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1), 0)[:, None]

    first = end(h[:, 0], h[:, 1], slope[:, 0], slope[:, 1])
    last = end(h[:, -1], h[:, -2], slope[:, -1], slope[:, -2])
    d = np.concatenate([first, inner, last], axis=1)

    def below(t: np.ndarray) -> np.ndarray:
        """The integral of each piece from its start to t, 0..1."""
        values = y[:, :-1] * (t - t**3 + t**4 / 2) + y[:, 1:] * (t**3 - t**4 / 2)
        slopes = d[:, :-1] * (t**2 / 2 - 2 * t**3 / 3 + t**4 / 4) + d[:, 1:] * (t**4 / 4 - t**3 / 3)
        return h * (values + h * slopes)

    start, stop = (np.clip((limit[:, None] - x[:, :-1]) / h, 0, 1) for limit in (low, high))
    return (below(stop) - below(start)).sum(1)


# -- quoted tables ---------------------------------------------------------------------------


def cells(table: str) -> list[list[str]]:
    """The cells of every line of a table, head and rule included."""
    lines = table.strip().splitlines()
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


@cache
def expected(kind: str, pictures: str, codecs: str) -> str:
    return _quotes.KINDS[kind](Stored(pictures), codecs.split(","))  # type: ignore[arg-type]


def check(kind: str, pictures: str, codecs: str, table: str) -> None:
    """Every cell, the head and the number of rows."""
    assert cells(table) == cells(expected(kind, pictures, codecs))


def test_there_are_quotes() -> None:
    assert {quote.values[0] for quote in QUOTES} == {"versus", "rates", "qualities"}


def test_no_mark_is_overlooked() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(text.count("<!-- figures:") for text in texts) == len(QUOTES)


@pytest.mark.parametrize(("kind", "pictures", "codecs", "table"), QUOTES)
def test_a_page_quotes_what_was_measured(kind: str, pictures: str, codecs: str, table: str) -> None:
    check(kind, pictures, codecs, table)


@pytest.mark.parametrize(("kind", "pictures", "codecs", "table"), QUOTES)
def test_any_changed_digit_is_found(kind: str, pictures: str, codecs: str, table: str) -> None:
    """One digit in each cell in turn, and a cell that was empty."""
    lines = table.splitlines()
    changed = 0
    for number, line in enumerate(lines):
        for cell in re.finditer(r"(?<=\| )[^|]*?(?= \|)", line):
            text = re.sub(r"\d", lambda digit: str((int(digit[0]) + 5) % 10), cell[0], count=1)
            text = text if text != cell[0] else f"{cell[0]}1"
            other = line[: cell.start()] + text + line[cell.end() :]
            with pytest.raises(AssertionError):
                check(
                    kind,
                    pictures,
                    codecs,
                    "\n".join([*lines[:number], other, *lines[number + 1 :]]),
                )
            changed += 1
    assert changed == sum(map(len, cells(table)))


@pytest.mark.parametrize(("kind", "pictures", "codecs", "table"), QUOTES)
def test_a_missing_row_is_found(kind: str, pictures: str, codecs: str, table: str) -> None:
    lines = table.strip().splitlines()
    for number in range(len(lines)):
        with pytest.raises(AssertionError):
            check(kind, pictures, codecs, "\n".join(lines[:number] + lines[number + 1 :]))


def test_a_changed_page_is_found() -> None:
    """The case that was once overlooked: README's figure for AVIF."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = re.sub(r"(\| AVIF[^|]*\| )-\d+\.\d %", r"\1-75.6 %", page)
    assert changed != page
    found = [quote.groups() for quote in MARKED.finditer(changed)]
    with pytest.raises(AssertionError, match="-75"):
        for quote in found:
            check(*quote)


# -- stored measurements ---------------------------------------------------------------------


@pytest.mark.parametrize("pictures", SETS)
def test_means_are_those_of_the_measurements(pictures: str) -> None:
    own, curves = measured(pictures), Stored(pictures).curves
    assert set(own) == {name for name in curves if not name.startswith("published/")}
    for name, sheet in own.items():
        curve = sheet.curve()
        assert curve.quality == curves[name].quality
        assert curve.bpp == pytest.approx(curves[name].bpp, rel=1e-12)
        assert curve.values["psnr"] == pytest.approx(curves[name].values["psnr"], rel=1e-12)


@pytest.mark.parametrize("pictures", SETS)
def test_intervals_are_those_of_the_summary(pictures: str) -> None:
    """The independent bootstrap agrees with quantal.eval.bdrate, where the summary has both."""
    anchor = summary(pictures)["anchor"]
    for name, codec in summary(pictures)["codecs"].items():
        if codec.get("bd_rate_psnr_interval"):
            found = Stored(pictures).compare(name, anchor, "psnr", 1000)
            assert isinstance(found, BD)
            assert found.percent == pytest.approx(codec["bd_rate_psnr"], abs=1e-6)
            assert found.interval == pytest.approx(codec["bd_rate_psnr_interval"], abs=1e-6)


@pytest.mark.parametrize("pictures", SETS)
@pytest.mark.parametrize("name", ["context-m", "context-m@eyes", "context-s", "hyperprior"])
def test_what_was_measured_ships(name: str, pictures: str) -> None:
    version = summary(pictures)["codecs"][name]["version"]
    assert version.endswith(registry.load(name, "cpu").model_hash.hex())
