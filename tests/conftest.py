"""What all rooms' tests share: photographs that ship inside scikit-image; habits of the tools."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from skimage import data

# No deadline: no test of ours is about seconds. In CI the same examples every time.
settings.register_profile("quantal", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("quantal")


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """A colour photograph of 451 x 300 pixels: neither side fits any stride."""
    return Image.fromarray(np.asarray(data.chelsea()))


@pytest.fixture(scope="session")
def small_photograph(photograph: Image.Image) -> Image.Image:
    """A crop of it, 97 x 71, for tests that need a picture but not a large one."""
    return photograph.crop((120, 60, 217, 131))


@pytest.fixture
def photo(tmp_path: Path, small_photograph: Image.Image) -> Path:
    """The small photograph as photo.png in a folder of its own."""
    path = tmp_path / "photo.png"
    small_photograph.save(path)
    return path
