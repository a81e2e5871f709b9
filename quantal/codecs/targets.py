"""What a user aims at, and the search for the rate that hits it with the real encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from quantal import container
from quantal.errors import ArgumentError, TargetError

__all__ = ["Target", "Trial", "choose_rate"]

DEFAULT_QUALITY = 60
_LAST_RATE = 252
#: A target of bits per pixel or PSNR counts as met within this fraction.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Target:
    """What to aim at: at most one of quality 1..100, bits per pixel, PSNR-RGB in dB, bytes."""

    quality: int | None = None
    bpp: float | None = None
    psnr: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        asked = {k: v for k, v in vars(self).items() if v is not None}
        if len(asked) > 1:
            raise ArgumentError(f"only one target can be aimed at, not {' and '.join(asked)}")
        for name, value in asked.items():
            if not (math.isfinite(value) and value > 0):
                raise ArgumentError(f"{name} must be positive, not {value}")


class Trial(Protocol):
    """A picture that can be coded at any rate 0..252 to see what comes of it."""

    def size(self, rate: int) -> int:
        """Bytes of the whole file."""

    def bpp(self, rate: int) -> float:
        """Bits per pixel of the whole file."""

    def psnr(self, rate: int) -> float:
        """PSNR-RGB in dB of what a decoder will show."""


def _first(reached: Callable[[int], bool]) -> int | None:
    """The lowest rate for which a predicate holds that is false below it; None if there is none."""
    low, high = 0, _LAST_RATE + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low if low <= _LAST_RATE else None


def _nearest(value: Callable[[int], float], wanted: float, unit: str) -> tuple[int, str | None]:
    """The rate whose value is nearest to the wanted one, and a warning if that isn't near."""
    above = _first(lambda rate: value(rate) >= wanted)
    rate = _LAST_RATE if above is None else above
    if rate > 0 and abs(value(rate - 1) - wanted) < abs(value(rate) - wanted):
        rate -= 1
    found = value(rate)
    if abs(found - wanted) <= _TOLERANCE * wanted:
        return rate, None
    return rate, f"{wanted:g} {unit} can't be reached for this picture; {found:.3g} is the nearest"


def _largest_within(trial: Trial, limit: int) -> int:
    over = _first(lambda rate: trial.size(rate) > limit)
    rate = _LAST_RATE if over is None else over - 1
    # Bytes rise with the rate only nearly always, so the result is checked, not believed.
    while rate >= 0 and trial.size(rate) > limit:
        rate -= 1
    if rate < 0:
        raise TargetError(
            f"this picture needs at least {trial.size(0)} bytes, {limit} were allowed; "
            "allow more, or make the picture smaller"
        )
    return rate


def choose_rate(trial: Trial, target: Target) -> tuple[int, str | None]:
    """The rate 0..252 that a target asks for, and a warning if it could only be approached.

    Raises TargetError if max_bytes can't be kept to.
    """
    if target.bpp is not None:
        return _nearest(trial.bpp, target.bpp, "bits per pixel")
    if target.psnr is not None:
        # Every look at a PSNR draws the picture; the search looks at some rates again.
        return _nearest(cache(trial.psnr), target.psnr, "dB")
    if target.max_bytes is not None:
        return _largest_within(trial, target.max_bytes), None
    quality = DEFAULT_QUALITY if target.quality is None else target.quality
    return container.quality_to_rate(quality), None
