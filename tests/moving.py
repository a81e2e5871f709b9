"""A clip of a few frames, for tests that measure clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from quantal import clips

__all__ = ["FRAMES", "write_clip"]

FRAMES = 6


def write_clip(path: Path, photograph: Image.Image, left: int) -> None:
    """Write a clip of 128x96 pixels: a photograph that moves by (3, 1) pixels a frame."""
    given = clips.Properties(width=128, height=96, time_base=Fraction(1, 25))
    with clips.write(path, given, options={"crf": "4"}) as writer:
        for number in range(FRAMES):
            x, y = left + 3 * number, 40 + number
            writer.write(clips.Frame(number, np.asarray(photograph.crop((x, y, x + 128, y + 96)))))
