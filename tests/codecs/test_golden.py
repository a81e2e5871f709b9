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

from symbols import clip_digest, digest  # noqa: E402

PICTURES, CLIPS = (
    [name for name, expected in EXPECTED.items() if ("frames" in expected) == clips]
    for clips in (False, True)
)


@pytest.mark.parametrize("name", PICTURES)
def test_symbols_are_those_of_the_day_it_was_written(name: str) -> None:
    coded = (GOLDEN / f"{name}.qtl").read_bytes()
    latents = quantal.latents.read(coded)
    assert digest(latents) == EXPECTED[name]["symbols"]
    assert [latents.width, latents.height] == EXPECTED[name]["size"]


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_can_be_drawn(name: str) -> None:
    image = quantal.decompress((GOLDEN / f"{name}.qtl").read_bytes())
    assert list(image.size) == EXPECTED[name]["size"]
    kind = name.partition("/")[2]
    assert image.mode == {"grey": "L", "alpha": "RGBA", "deep": "I;16"}.get(kind, "RGB")


@pytest.mark.parametrize("name", CLIPS)
def test_symbols_of_clips_are_those_of_the_day_they_were_written(name: str) -> None:
    coded = (GOLDEN / f"{name}.qtl").read_bytes()
    assert clip_digest(coded) == EXPECTED[name]["symbols"]
    with quantal.open(coded) as clip:
        assert len(clip) == EXPECTED[name]["frames"]
        width, height = EXPECTED[name]["size"]
        assert all(frame.pixels.shape == (height, width, 3) for frame in clip)
