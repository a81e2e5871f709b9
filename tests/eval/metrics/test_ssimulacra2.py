"""SSIMULACRA 2 agrees with libjxl.

The figures are published with the Rust implementation (imazen/ssimulacra2, reference_data.rs of
January 2026), which took them from libjxl's program for pictures that a formula makes.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from quantal.errors import EvaluationError
from quantal.eval.metrics import metric

Pixels = NDArray[np.uint8]


def grey(side: int, level: int) -> Pixels:
    return np.full((side, side, 3), level, np.uint8)


def noise(side: int, state: int) -> Pixels:
    """Knuth's linear congruential generator, bits 33 to 40 of each state."""
    samples = []
    for _ in range(side * side * 3):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        samples.append(state >> 33 & 255)
    return np.array(samples, np.uint8).reshape(side, side, 3)


def ramp(side: int) -> Pixels:
    levels = (np.arange(side) * 255 // (side - 1)).astype(np.uint8)
    return np.broadcast_to(levels[None, :, None], (side, side, 3)).copy()


@pytest.mark.parametrize(
    ("picture", "libjxl"), [(ramp(64), -64.56872148), (noise(64, 42), -47.33572558)]
)
def test_pictures_with_content_score_as_in_libjxl(picture: Pixels, libjxl: float) -> None:
    assert metric("ssimulacra2")(picture, grey(64, 128)) == pytest.approx(libjxl, abs=0.005)


@pytest.mark.parametrize(
    ("side", "shift", "libjxl"),
    [
        (32, 50, 85.01409588),
        (64, 20, 56.05855584),
        (64, 50, -8.75942256),
        (128, 20, 54.27883917),
        (128, 50, -9.82383315),
        (256, 20, 59.77892918),
        (256, 50, -0.39085784),
    ],
)
def test_shifted_greys_score_nearly_as_in_libjxl(side: int, shift: int, libjxl: float) -> None:
    # In a flat picture the structure is rounding noise of float32, hence the tolerance.
    ours = metric("ssimulacra2")(grey(side, 128), grey(side, 128 + shift))
    assert ours == pytest.approx(libjxl, abs=0.5)


def test_equal_pictures_score_100(original: Pixels) -> None:
    assert metric("ssimulacra2")(original, original) == 100


def test_a_worse_picture_scores_less(original: Pixels, decoded: Pixels) -> None:
    score = metric("ssimulacra2")
    assert score(original, original // 64 * 64) < score(original, decoded) < 90


def test_odd_sides_are_accepted() -> None:
    picture = noise(41, 7)[:, :33]
    assert metric("ssimulacra2")(picture, picture // 2) < 100


def test_a_picture_smaller_than_8_pixels_has_no_score() -> None:
    with pytest.raises(EvaluationError, match="from 8 pixels a side"):
        metric("ssimulacra2")(noise(9, 1)[:7], noise(9, 1)[:7])
