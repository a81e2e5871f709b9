"""Rate targets, and the search with the real encoder for the rate that meets one."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeVar

from quantal.arguments import flag, number, whole
from quantal.codecs.contract import CONTENTS, Codec, Mixed, Resilient, Searching
from quantal.errors import ArgumentError, TargetError

__all__ = [
    "Target",
    "Trial",
    "check_content",
    "check_effort",
    "check_resilient",
    "check_target",
    "choose_rate",
    "choose_searched",
    "describe_metadata",
    "metadata_warning",
]

#: With effort, at most this many rates are tried with the search; others are forecast from them.
_SEARCHES = 3
#: A target of bits per pixel or PSNR counts as met within this fraction.
_TOLERANCE = 0.02
_BPP, _PSNR = "bits per pixel", "dB"
#: Targets that are whole numbers.
_WHOLE = ("quality", "max_bytes")


@dataclass(frozen=True)
class Target:
    """What to aim at: at most one of these.

    Attributes:
        quality: 1..100.
        bpp: bits per pixel of the file without its metadata.
        psnr: PSNR-RGB in dB.
        max_bytes: bytes of the whole file, never exceeded.
    """

    quality: int | None = None
    bpp: float | None = None
    psnr: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        asked = {k: v for k, v in vars(self).items() if v is not None}
        if len(asked) > 1:
            raise ArgumentError(f"only one target can be aimed at, not {' and '.join(asked)}")
        for name, value in asked.items():
            checked = whole(name, value, 1) if name in _WHOLE else number(name, value)
            object.__setattr__(self, name, checked)


class Trial(Protocol):
    """A picture that can be coded at any rate 0..252, to measure the result."""

    @property
    def metadata(self) -> Mapping[str, int]:
        """Bytes of the file that code no picture, by their kind."""

    def size(self, rate: int) -> int:
        """Return the bytes of the whole file."""

    def bpp(self, rate: int) -> float:
        """Return the bits per pixel of the file without its metadata."""

    def psnr(self, rate: int) -> float:
        """Return the PSNR-RGB in dB of the decoded picture."""


def _first(rates: Sequence[int], reached: Callable[[int], bool]) -> int:
    """Return the place of the lowest rate at which a monotonic predicate holds; else the end."""
    return bisect_left(rates, True, key=reached)


def _missed(found: float, wanted: float, unit: str) -> str | None:
    """Return a warning if a result isn't near its target."""
    if abs(found - wanted) <= _TOLERANCE * wanted:
        return None
    return f"{wanted:g} {unit} can't be reached for this picture; {found:.3g} is the nearest"


def _nearest(
    rates: Sequence[int], value: Callable[[int], float], wanted: float, unit: str
) -> tuple[int, str | None]:
    """Return the rate whose value is nearest to the target, and a warning if it isn't near."""
    place = min(_first(rates, lambda rate: value(rate) >= wanted), len(rates) - 1)
    near = rates[max(place - 1, 0) : place + 1]
    rate = min(reversed(near), key=lambda rate: abs(value(rate) - wanted))
    return rate, _missed(value(rate), wanted, unit)


def _largest_within(rates: Sequence[int], trial: Trial, limit: int) -> int:
    within = rates[: _first(rates, lambda rate: trial.size(rate) > limit)]
    # Bytes do not always rise with the rate, so the result is checked.
    for rate in reversed(within):
        if trial.size(rate) <= limit:
            return rate
    least = trial.size(rates[0])
    if trial.metadata:
        raise TargetError(
            f"this picture needs at least {least} bytes, {limit} were allowed; metadata takes "
            f"{describe_metadata(trial.metadata)}: leave it out, allow more, or make the picture "
            "smaller",
            code="metadata",
        )
    raise TargetError(
        f"this picture needs at least {least} bytes, {limit} were allowed; allow more, or make "
        "the picture smaller"
    )


def describe_metadata(sizes: Mapping[str, int]) -> str:
    """Return the bytes of metadata as text.

    >>> describe_metadata({"exif": 40_000, "icc": 3_144})
    '43,144 bytes (EXIF 40,000, ICC 3,144)'
    """
    parts = ", ".join(f"{kind.upper()} {size:,}" for kind, size in sizes.items())
    return f"{sum(sizes.values()):,} bytes ({parts})"


def metadata_warning(trial: Trial, rate: int, target: Target) -> str | None:
    """Return a warning if metadata takes what a target of bytes or bits was meant for."""
    total, taken = trial.size(rate), sum(trial.metadata.values())
    if target.max_bytes is not None and 2 * taken > total:
        return (
            f"metadata takes {describe_metadata(trial.metadata)} of the {total:,}; the quality is "
            "higher without it, see strip"
        )
    if target.bpp is not None and taken > _TOLERANCE * (total - taken):
        return (
            f"metadata comes on top of {target.bpp:g} bits per pixel: "
            f"{describe_metadata(trial.metadata)}; strip leaves it out"
        )
    return None


def check_target(target: Target, codec: Codec) -> None:
    """Check that a codec can aim at a target.

    Raises:
        ArgumentError: If it can't, whatever the picture.
    """
    aims = [k for k, v in vars(target).items() if k != "quality" and v is not None]
    if not aims:
        codec.rate_of(target.quality)
    elif len(codec.rates) == 1:
        raise ArgumentError(
            f"{aims[0]} can't be aimed at: the weights of codec {codec.name!r} have a single rate; "
            "take others for another size"
        )


def choose_rate(trial: Trial, target: Target, codec: Codec) -> tuple[int, str | None]:
    """Return the rate of a codec that meets a target, and a warning if it is only approached.

    Args:
        trial: the picture.
        target: what to aim at.
        codec: codes it.

    Raises:
        ArgumentError: See check_target().
        TargetError: If max_bytes can't be kept to.
    """
    check_target(target, codec)
    if target.bpp is not None:
        return _nearest(codec.rates, trial.bpp, target.bpp, _BPP)
    if target.psnr is not None:
        # Every PSNR draws the picture, and the search asks for some rates again.
        return _nearest(codec.rates, cache(trial.psnr), target.psnr, _PSNR)
    if target.max_bytes is not None:
        return _largest_within(codec.rates, trial, target.max_bytes), None
    return codec.rate_of(target.quality), None


def check_effort(effort: int, codec: Codec) -> int:
    """Return an effort as an int.

    Raises:
        ArgumentError: If the codec does not have it.
    """
    effort = whole("effort", effort)
    efforts = codec.efforts if isinstance(codec, Searching) else (0,)
    if effort not in efforts:
        known = ", ".join(map(str, efforts))
        raise ArgumentError(f"codec {codec.name!r} has no effort {effort}; it has: {known}")
    return effort


def check_resilient(resilient: bool, effort: int, codec: Codec) -> None:
    """Check that a codec can write damage-resilient files if they are asked for.

    Raises:
        ArgumentError: If it can't.
    """
    resilient = flag("resilient", resilient)
    if resilient and not isinstance(codec, Resilient):
        raise ArgumentError(
            f"codec {codec.name!r} can't write damage-resilient files; choose one that can",
            code="resilient-codec",
        )
    if resilient and effort:
        raise ArgumentError("a damage-resilient file is coded without effort: leave one out")


def check_content(content: str, codec: Codec) -> None:
    """Check that a codec can code what a picture is said to show.

    Raises:
        ArgumentError: If it can't.
    """
    if content not in CONTENTS:
        raise ArgumentError(f"content {content!r} found, expected {', '.join(CONTENTS)}")
    if content == "screen" and not isinstance(codec, Mixed):
        raise ArgumentError(
            f"codec {codec.name!r} codes nothing as the content of a screen; leave that out, or "
            "choose a context codec"
        )


class _Forecast:
    """A trial of plain files, corrected by the result of one search."""

    def __init__(self, plain: Trial, searched: Trial, rate: int) -> None:
        self._plain, self._searched, self._rate = plain, searched, rate

    @property
    def metadata(self) -> Mapping[str, int]:
        return self._plain.metadata

    def _growth(self) -> float:
        return self._searched.size(self._rate) / self._plain.size(self._rate)

    def size(self, rate: int) -> int:
        return math.ceil(self._plain.size(rate) * self._growth())

    def bpp(self, rate: int) -> float:
        return self._plain.bpp(rate) * self._growth()

    def psnr(self, rate: int) -> float:
        if rate == self._rate:
            return self._searched.psnr(rate)
        gained = self._searched.psnr(self._rate) - self._plain.psnr(self._rate)
        return self._plain.psnr(rate) + gained


AnyTrial = TypeVar("AnyTrial", bound=Trial)


def choose_searched(
    plain: AnyTrial, searched: AnyTrial, target: Target, codec: Codec
) -> tuple[AnyTrial, int, str | None]:
    """Return the trial, the rate and a warning as choose_rate() does, with few searches.

    The trial is the plain one only if max_bytes leaves no other.

    Args:
        plain: codes without a search.
        searched: codes with a search, which is expensive.
        target: what to aim at.
        codec: codes it.
    """
    rate, warning = choose_rate(plain, target, codec)
    start, tried = rate, list[int]()
    if target.bpp is target.psnr is target.max_bytes is None:
        return searched, rate, warning
    while rate not in tried and len(tried) < _SEARCHES:
        tried.append(rate)
        with suppress(TargetError):  # what does not fit by the forecast may fit
            forecast = _Forecast(plain, searched, rate)
            rate, _ = choose_rate(forecast, target, codec)
    if target.max_bytes is not None:
        limit = target.max_bytes
        fitting = [rate for rate in tried if searched.size(rate) <= limit]
        return (searched, max(fitting), None) if fitting else (plain, start, None)
    if target.bpp is not None:
        found, wanted, unit = {rate: searched.bpp(rate) for rate in tried}, target.bpp, _BPP
    else:
        found, wanted, unit = {r: searched.psnr(r) for r in tried}, float(target.psnr or 0), _PSNR
    best = min(tried, key=lambda rate: abs(found[rate] - wanted))
    return searched, best, _missed(found[best], wanted, unit)
