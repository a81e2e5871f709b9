"""Test pictures: photographs bundled with scikit-image, and small generated ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

DATA = Path(skimage.__file__).parent / "data"


def photo(name: str) -> Path:
    return DATA / name


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def scene() -> Image.Image:
    """A smooth, asymmetric RGB picture of 40x24 pixels that survives JPEG well."""
    x, y = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 24))
    samples = np.stack([x, y, 1 - x * y], axis=-1)
    return Image.fromarray((samples * 255).round().astype(np.uint8))
