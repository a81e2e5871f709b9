"""Small coded pictures in folders, and shards of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quantal
from quantal.latents import pack


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory, small_photograph: Image.Image) -> Path:
    """Two classes of pictures of `hyperprior`: two sizes, two rates, metadata, grey, alpha."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "cats").mkdir()
    (folder / "dogs").mkdir()
    small = small_photograph.crop((0, 0, 64, 48))
    see_through = small.convert("RGBA")
    see_through.putalpha(Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (48, 1))))
    exif = Image.Exif()
    exif[0x010E] = "a description"
    see_through.info["exif"] = exif.tobytes()
    made = {
        "cats/a": (small_photograph, 40),
        "cats/b": (small_photograph.transpose(Image.Transpose.ROTATE_180), 40),
        "cats/c": (small_photograph, 80),
        "dogs/d": (small, 40),
        "dogs/e": (see_through, 60),
        "dogs/f": (small.convert("L"), 40),
    }
    for name, (image, quality) in made.items():
        data = quantal.compress(image, "hyperprior", quality=quality)
        (folder / f"{name}.qtl").write_bytes(data)
    (folder / "dogs" / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    """The folder of their shard."""
    folder = tmp_path_factory.mktemp("shards")
    pack(tree, folder)
    return folder
