"""What describes a clip: size, times and colours; and its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from quantal.errors import ArgumentError
from quantal.limits import check_size

__all__ = ["Colour", "Frame", "Pixels", "Properties", "check_frames"]

Pixels: TypeAlias = npt.NDArray[np.uint8]

UNSPECIFIED = 2  # in every table of H.273


def check_frames(width: int, height: int, name: str) -> None:
    """Raise MediaError if the size of frames, in pixels, exceeds the limits."""
    check_size(width, height, what=f"{name} has frames of", remedy="scale the clip first")


@dataclass(frozen=True)
class Colour:
    """What samples mean, in code points of ITU-T H.273; 2 is "unspecified".

    Attributes:
        matrix: Matrix coefficients, for example 1 for BT.709, 5 and 6 for BT.601, 9 for BT.2020,
            0 for RGB.
        primaries: Colour primaries.
        transfer: Transfer characteristics.
        full_range: Whether samples use all their values; None if the clip does not say.
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    full_range: bool | None = None


@dataclass(frozen=True)
class Properties:
    """What is known of a clip before its frames are read.

    Attributes:
        width: Width of a frame in pixels, upright.
        height: Height of a frame in pixels, upright.
        time_base: Duration of a tick, in which times of frames are counted, in seconds.
        start: Time of the first frame in ticks; it may be below zero.
        rate: Frames per second on average, if known.
        duration: Duration in seconds, as the file announces it, if it does.
        frames: Number of frames, as the file announces it, if it does. It may be wrong.
        sample_aspect: Width of a pixel by its height, upright.
        rotation: Degrees by which stored pictures are turned clockwise to be upright.
        mirrored: Whether stored pictures are mirrored left to right before that.
        bits: Bits per stored sample.
        subsampling: Chroma of stored pictures: "4:2:0", "4:2:2", "4:4:4", "4:1:1", "4:1:0",
            "4:4:0", "grey" or "rgb".
        colour: What stored samples mean.

    Raises:
        MediaError: Frames are too large.
        ArgumentError: A time base, rate or aspect is not positive, or beyond 32 bits.
    """

    width: int
    height: int
    time_base: Fraction
    start: int = 0
    rate: Fraction | None = None
    duration: Fraction | None = None
    frames: int | None = None
    sample_aspect: Fraction = Fraction(1)
    rotation: int = 0
    mirrored: bool = False
    bits: int = 8
    subsampling: str = "rgb"
    colour: Colour = field(default_factory=Colour)

    def __post_init__(self) -> None:
        check_frames(self.width, self.height, "the clip")
        for name in ("time_base", "rate", "sample_aspect"):
            value = getattr(self, name)
            if value is None and name == "rate":
                continue
            if not isinstance(value, Fraction) or not (
                value > 0 and max(value.numerator, value.denominator) < 1 << 31
            ):
                raise ArgumentError(
                    f"{name} must be a positive Fraction of numbers below 2^31, not {value!r:.60}"
                )


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a clip and when it is shown.

    Attributes:
        time: When it is first shown, in ticks of the clip's time base.
        pixels: RGB, upright, uint8 [H, W, 3].
        duration: How long it is shown, in ticks, if known: until the next one, and for the last
            what the file says, or the average.
        damaged: Whether the decoder had to conceal damage.
    """

    time: int
    pixels: Pixels
    duration: int | None = None
    damaged: bool = False
