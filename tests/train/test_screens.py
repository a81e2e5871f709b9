"""The pictures like screenshots: drawn from a seed, with nothing but what Pillow brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

SCRIPT = Path(__file__).parents[2] / "recipes" / "draw_screens.py"


def draw(out: Path, *options: str) -> list[np.ndarray]:
    command = [sys.executable, str(SCRIPT), str(out), "--count", "12", "--side", "192", *options]
    subprocess.run(command, check=True, timeout=300)
    return [np.asarray(Image.open(path)) for path in sorted(out.iterdir())]


@pytest.mark.skipif(not SCRIPT.exists(), reason="recipes are not installed with the package")
def test_screens_are_drawn_from_their_numbers(tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()).save(photo)
    first = draw(tmp_path / "first")
    assert [screen.shape for screen in first] == [(192, 192, 3)] * 12
    for one, other in zip(first, draw(tmp_path / "again"), strict=True):
        assert np.array_equal(one, other)
    # Not photographs: most neighbours are alike, but hardly any screen is plain.
    steps = [np.abs(np.diff(screen.astype(int), axis=1)).max(-1) for screen in first]
    assert np.mean([step == 0 for step in steps]) > 0.5
    assert sum(step.max() > 100 for step in steps) >= 9
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(first, draw(tmp_path / "photos", "--photos", str(photo)), strict=True)
    )
