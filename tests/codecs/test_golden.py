"""Files written once decode to the same symbols ever after; tests/golden/make.py made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import quantal

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
sys.path.insert(0, str(Path(__file__).parent))

from symbols import digest  # noqa: E402


@pytest.mark.parametrize("name", EXPECTED)
def test_symbols_are_those_of_the_day_it_was_written(name: str) -> None:
    coded = (GOLDEN / f"{name}.qtl").read_bytes()
    latents = quantal.latents(coded)
    assert digest(latents) == EXPECTED[name]["symbols"]
    assert [latents.width, latents.height] == EXPECTED[name]["size"]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_picture_can_be_drawn(name: str) -> None:
    image = quantal.decompress((GOLDEN / f"{name}.qtl").read_bytes())
    assert list(image.size) == EXPECTED[name]["size"]
    kind = name.partition("/")[2]
    assert image.mode == {"grey": "L", "alpha": "RGBA"}.get(kind, "RGB")
