"""On Kodak's photographs, where they are at hand: estimates are right, quality buys fidelity."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from PIL import Image

import quantal
from quantal.container import quality_to_rate

KODAK = Path(__file__).parents[3] / "shared" / "data" / "kodak"
FILES = sorted(KODAK.glob("*.png"))
#: Photographs of every run; `make test-all` codes the others as well.
USUAL = FILES[::12]
#: Bytes of a file beside the image part, and of a stream beside its symbols.
HEADER = 32

pytestmark = pytest.mark.skipif(not FILES, reason="Kodak's photographs are not beside the checkout")


def photographs(files: list[Path]) -> list[ParameterSet]:
    """Return files as parameters; those that aren't usual are marked as thorough."""
    thorough = pytest.mark.thorough
    return [pytest.param(f, marks=() if f in USUAL else thorough, id=f.stem) for f in files]


@pytest.fixture(scope="module")
def codec() -> quantal.codecs.Codec:
    return quantal.load("hyperprior", "cpu")


@pytest.mark.parametrize("file", photographs(FILES))
def test_bytes_are_estimated_within_a_percent_and_rise_with_quality(codec, file: Path) -> None:
    latents = codec.analyse(np.asarray(Image.open(file)))
    sizes = []
    for quality in (1, 20, 40, 60, 80, 100):
        rate = quality_to_rate(quality)
        real = len(codec.encode(latents, rate))
        estimated = codec.estimate_bits(latents, rate) / 8
        assert abs(real - estimated) <= 0.01 * real + HEADER
        sizes.append(real)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("file", photographs(FILES[::8]))
def test_fidelity_rises_with_quality(codec, file: Path) -> None:
    pixels = np.asarray(Image.open(file))[128:384, 128:384]
    fidelity = []
    for quality in (1, 13, 26, 39, 52, 65, 78, 91, 100):
        drawn = np.asarray(codec.decompress(codec.compress(pixels, quality=quality)))
        error = np.square(drawn.astype(np.float64) - pixels).mean()
        fidelity.append(10 * math.log10(255**2 / error))
    assert fidelity == sorted(set(fidelity))
