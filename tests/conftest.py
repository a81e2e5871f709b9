"""Pictures for every room's tests: photographs that ship inside scikit-image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data


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
