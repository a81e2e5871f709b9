"""Figures that pages quote are those that docs/benchmarks measured, of the weights that ship.

`make benchmark` writes both; benchmarks/_quotes.py says what the marks on pages mean.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from quantal.codecs import registry

ROOT = Path(__file__).parents[1]
SETS = {n: json.loads((ROOT / f"docs/benchmarks/{n}.json").read_text()) for n in ("kodak", "cid22")}
MARKED = re.compile(r"<!-- figures: (\w+) (\w+) (\S+) -->\n(.*?)<!-- end of figures -->", re.DOTALL)
PAGES = [
    *ROOT.glob("README.md"),
    *ROOT.glob("docs/codecs/*.md"),
    *ROOT.glob("quantal/weights/*.md"),
]
QUOTES = [
    pytest.param(*found.groups(), id=f"{page.stem}-{found[1]}-{found[2]}")
    for page in sorted(PAGES)
    for found in MARKED.finditer(page.read_text(encoding="utf-8"))
]


def rows(table: str) -> dict[str, list[str]]:
    """The first cell of each line to the others; the head and the rule are left out."""
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {first: others for first, *others in cells}


def test_there_are_quotes() -> None:
    assert {quote.values[0] for quote in QUOTES} == {"versus", "rates", "qualities"}


@pytest.mark.parametrize(("kind", "pictures", "codecs", "table"), QUOTES)
def test_a_page_quotes_what_was_measured(kind: str, pictures: str, codecs: str, table: str) -> None:
    measured: dict[str, Any] = SETS[pictures]["codecs"]
    found = rows(table)
    for place, name in enumerate(codecs.split(",")):
        if kind == "versus":
            webp = found["WebP (method 6)"][place]
            assert webp.startswith(f"{measured[name]['bd_rate_psnr']:+.1f} %")
        elif kind == "qualities":
            for point in measured[name]["points"]:
                quoted = found[f"{point['quality']:g}"][2 * place : 2 * place + 2]
                assert quoted == [f"{point['bpp']:.4f}", f"{point['psnr']:.2f}"]
        else:
            points = sorted((p["psnr"], p["bpp"]) for p in measured[name]["points"])
            for decibels, cells in found.items():
                below = max(bpp for psnr, bpp in points if psnr <= float(decibels))
                above = min((bpp for psnr, bpp in points if psnr >= float(decibels)), default=9)
                assert below - 0.001 <= float(cells[place]) <= above + 0.001


@pytest.mark.parametrize("pictures", SETS)
@pytest.mark.parametrize("name", ["context-m", "context-s", "hyperprior"])
def test_what_was_measured_ships(name: str, pictures: str) -> None:
    version = SETS[pictures]["codecs"][name]["version"]
    assert version.endswith(registry.load(name, "cpu").model_hash.hex())
