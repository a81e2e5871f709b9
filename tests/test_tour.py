"""The tour of README, command by command: what a fresh installation has to do first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data


def quantal(*arguments: str, cwd: Path, status: int = 0) -> str:
    """Run a command in a folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "quantal", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    print(done.stdout, done.stderr)
    return " ".join((done.stderr if status else done.stdout).split())


def test_the_tour(tmp_path: Path) -> None:
    coffee = np.asarray(data.coffee())
    Image.fromarray(coffee).save(tmp_path / "coffee.png")

    said = quantal("compress", "coffee.png", cwd=tmp_path)
    assert said.startswith("coffee.png -> coffee.qtl") and "bpp" in said
    size = (tmp_path / "coffee.qtl").stat().st_size

    said = quantal("info", "coffee.qtl", cwd=tmp_path)
    assert f"coffee.qtl: 600 x 400 pixels, quality 60 {size:,} bytes" in said
    assert "version 1 codec context-m" in said

    quantal("decompress", "coffee.qtl", "-o", "back.png", cwd=tmp_path)
    with Image.open(tmp_path / "back.png") as image:
        drawn = np.asarray(image).astype(np.float64)
    assert drawn.shape == coffee.shape
    assert 10 * np.log10(255**2 / np.mean((drawn - coffee) ** 2)) > 30

    quantal("compress", "coffee.png", "--max-bytes", "8000", "-o", "small.qtl", cwd=tmp_path)
    assert (tmp_path / "small.qtl").stat().st_size <= 8000

    said = quantal("verify", "coffee.qtl", "small.qtl", cwd=tmp_path)
    assert said == "coffee.qtl: ok small.qtl: ok"

    (tmp_path / "cut.qtl").write_bytes((tmp_path / "coffee.qtl").read_bytes()[:5000])
    for command in ("decompress", "verify"):
        said = quantal(command, "cut.qtl", cwd=tmp_path, status=1)
        assert f"cut.qtl: the file has 5000 bytes, its header announces {size}" in said
    assert not (tmp_path / "cut.png").exists()
