"""The pictures that are gathered to train on: scaled down where they were coded, each once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

SCRIPT = Path(__file__).parents[2] / "recipes" / "gather_pictures.py"

pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="recipes are not installed with the package"
)


def gather(out: Path, *arguments: object) -> tuple[dict[str, tuple[int, int]], str]:
    """The sizes of the pictures gathered, by name, and what the script says."""
    command = [sys.executable, str(SCRIPT), str(out), *map(str, arguments)]
    said = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True).stdout
    sizes = {}
    for path in sorted(out.iterdir()):
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
    return sizes, said


def test_pictures_shrink_by_what_their_coder_took_and_come_once(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    astronaut, coffee = Image.fromarray(data.astronaut()), Image.fromarray(data.coffee())
    astronaut.save(photos / "1.png")
    # The same once more: mirrored, on its side, and coded.
    astronaut.transpose(Image.Transpose.TRANSVERSE).save(photos / "2.jpg", quality=92)
    coffee.save(photos / "3.jpg", quality=98)
    Image.fromarray(data.chelsea()).save(photos / "4.jpg", quality=60)  # 451 x 300: too small
    (photos / "5.png").write_bytes(b"not a picture")
    sizes, said = gather(tmp_path / "out", photos, "--smallest", "200")
    assert sizes == {"photos-00000.png": (512, 512), "photos-00002.png": (400, 267)}
    assert "2 pictures" in said
    assert "1 near-duplicates, 2 too small or unreadable" in said


def test_what_a_codec_is_measured_with_is_left_out(tmp_path):
    photos, apart = tmp_path / "photos", tmp_path / "apart"
    for folder in (photos, apart):
        folder.mkdir()
    Image.fromarray(data.astronaut()).save(photos / "1.png")
    Image.fromarray(data.coffee()).save(photos / "2.png")
    Image.fromarray(data.coffee()).resize((300, 200)).save(apart / "known.webp", quality=80)
    sizes, _ = gather(tmp_path / "out", photos, "--apart", apart, "--pixels", "120000")
    assert sizes == {"photos-00000.png": (346, 346)}
