"""Rates of the frames of a clip: offsets by their place, and controllers that meet a target.

A controller gives the base rate, that of most predicted frames, before each frame and hears what
the frame took. Rates are 0..252, quarters of a rate index.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from quantal.arguments import number, whole
from quantal.codecs.contract import Pixels
from quantal.codecs.video_contract import VideoCodec
from quantal.errors import ArgumentError
from quantal.files.clip_quality import psnr_of

__all__ = ["OFFSETS", "ClipTarget", "Controller", "Coded", "Plan", "controller"]

#: Frames that are coded on trial before the first one is, to find where to begin.
TRIAL_FRAMES = 4

_HIGHEST = 252
_TRIES = 5
#: Fractions of a doubling of the bits, and decibels, for a step of the rate, before it is measured.
_OCTAVES, _DECIBELS = 1 / 44, 0.06
_STEP = 6  # by which the base rate changes from frame to frame at most
_WEIGHT = 0.3  # of the last frame in running means
_LEAST = 8  # frames over which a deviation is spread
_HORIZON = 24  # frames over which a deviation of PSNR is spread
_TOLERANCE = 0.05
_LEAST_TARGET, _LARGEST_TARGET = 1e-6, 1e9  # of kbps, bpp and psnr; no clip comes near
_DECIBEL_TOLERANCE = 0.1


@dataclass(frozen=True)
class Offsets:
    """Steps by which frames are coded above the base rate, by their place in the group.

    Attributes:
        intra: Of the first frame, from which the whole group is predicted.
        raised: Of every so manieth predicted frame.
        every: See `raised`.
    """

    intra: int = 48
    raised: int = 32
    every: int = 8

    def rate(self, base: int, place: int) -> int:
        """Return the rate of the frame at a place of its group, 0 for the first."""
        offset = self.intra if place == 0 else 0 if place % self.every else self.raised
        return min(base + offset, _HIGHEST)


OFFSETS = Offsets()


@dataclass(frozen=True)
class ClipTarget:
    """What to aim at: at most one of these.

    Attributes:
        quality: 1..100.
        kbps: kilobits per second of the pictures, without what lies beside them.
        bpp: bits per pixel of the pictures.
        psnr: PSNR-RGB in dB, mean over frames.
    """

    quality: int | None = None
    kbps: float | None = None
    bpp: float | None = None
    psnr: float | None = None

    def __post_init__(self) -> None:
        asked = {name: value for name, value in vars(self).items() if value is not None}
        if len(asked) > 1:
            raise ArgumentError(f"only one target can be aimed at, not {' and '.join(asked)}")
        for name, value in asked.items():
            checked = whole(name, value, 1, 100) if name == "quality" else number(name, value)
            if not _LEAST_TARGET <= checked <= _LARGEST_TARGET:
                raise ArgumentError(
                    f"{name} must be {_LEAST_TARGET:g} to {_LARGEST_TARGET:g}, not {checked:g}"
                )
            object.__setattr__(self, name, checked)


@dataclass(frozen=True)
class Plan:
    """What is known of a clip before it is coded.

    Attributes:
        width: Of its frames in pixels.
        height: Of its frames in pixels.
        period: Frames of a group at most.
        rate: Frames per second.
        frames: Their number, if it is known; it may be wrong.
        raises: Whether the codec keeps what a raised frame adds.
    """

    width: int
    height: int
    period: int
    rate: float
    frames: int | None
    raises: bool = True

    @property
    def offsets(self) -> Offsets:
        """Of the rates of frames; none where no frame is predicted."""
        if self.period == 1 or self.frames == 1:
            return Offsets(0, 0)
        return OFFSETS if self.raises else replace(OFFSETS, raised=0)


@dataclass(frozen=True)
class Coded:
    """What a frame took.

    Attributes:
        place: Its place in its group.
        base: The base rate at which it was coded.
        bits: Of its payload.
        seconds: How long it is shown.
        psnr: Measures it; drawing a frame takes time.
    """

    place: int
    base: int
    bits: int
    seconds: float
    psnr: Callable[[], float]


class Controller(ABC):
    """Gives the base rate of each frame.

    Attributes:
        base: The base rate of the next frame.
    """

    def __init__(self, base: int) -> None:
        self.base = base

    @abstractmethod
    def begin(self, place: int) -> None:
        """Choose `base` for the next frame.

        Args:
            place: Its place in its group; 0 begins a group.
        """

    @abstractmethod
    def coded(self, frame: Coded) -> None:
        """Hear what it took."""

    @property
    def warning(self) -> str | None:
        """What was missed, after the last frame."""
        return None

    def _move(self, wanted: float, step: int) -> None:
        low, high = max(0, self.base - step), min(_HIGHEST, self.base + step)
        self.base = round(min(max(wanted, low), high))


class _Constant(Controller):
    """The same base rate for all frames."""

    def begin(self, place: int) -> None:
        pass

    def coded(self, frame: Coded) -> None:
        pass


class _Trial:
    """The first frames, coded at several base rates."""

    def __init__(self, codec: VideoCodec, pixels: list[Pixels], plan: Plan, base: int) -> None:
        group = codec.group(plan.width, plan.height, base)
        self._pixels, self._offsets = pixels, plan.offsets
        self._frames = [group.frame(each) for each in pixels]
        #: The share of the intra frame in a group.
        frames = plan.period if plan.frames is None else min(plan.period, max(plan.frames, 1))
        self.others = max(frames, len(pixels)) - 1

    def measure(self, base: int, draw: bool) -> tuple[float, float, float]:
        """Return bits of the intra frame, mean bits of the others, and the mean PSNR in dB."""
        bits, decibels = [], []
        reference = None
        for place, frame in enumerate(self._frames):
            rate = self._offsets.rate(base, place)
            coded = frame.predicted(reference, rate) if place else frame.intra(rate)
            reference = coded.reference
            bits.append(8.0 * len(coded.payload))
            if draw:
                decibels.append(psnr_of(reference.pixels(), self._pixels[place]))
        first, *rest = bits
        predicted = sum(rest) / len(rest) if rest else first
        if not draw:
            return first, predicted, 0.0
        mean = sum(decibels[1:]) / len(decibels[1:]) if rest else decibels[0]
        return first, predicted, (decibels[0] + self.others * mean) / (1 + self.others)


def _search(
    value: Callable[[int], float], wanted: float, base: int, slope: float
) -> tuple[int, float]:
    """Return the base rate at which a rising function is nearest to a value, and its slope.

    Args:
        value: The function, which is called a few times.
        wanted: The value.
        base: Where to begin.
        slope: Of the function, about.
    """
    known: dict[int, float] = {}
    for _ in range(_TRIES):
        known[base] = value(base)
        if len(known) > 1:
            low, high = sorted(sorted(known, key=lambda rate: abs(known[rate] - wanted))[:2])
            measured = (known[high] - known[low]) / (high - low)
            slope = min(max(measured, slope / 4), slope * 4)
        near = min(known, key=lambda rate: abs(known[rate] - wanted))
        base = round(min(max(near + (wanted - known[near]) / slope, 0), _HIGHEST))
        if base in known:
            break
    return base, slope


class _Bits(Controller):
    """Keeps to a number of bits: each group gets its share, and what those before left or owe.

    Args:
        trial: The first frames.
        plan: Of the clip.
        target: Has kbps or bpp.
    """

    def __init__(self, trial: _Trial, plan: Plan, target: ClipTarget, base: int) -> None:
        self._plan, self._kbps, self._bpp = plan, target.kbps, target.bpp
        self._share = self._allowance(1 / plan.rate)  # bits of a frame on average
        measured: dict[int, tuple[float, float]] = {}

        def octaves(rate: int) -> float:
            intra, predicted, _ = trial.measure(rate, draw=False)
            measured[rate] = intra, predicted
            return math.log2(max(intra + trial.others * predicted, 1))

        wanted = math.log2(self._share * (1 + trial.others))
        base, self._octaves = _search(octaves, wanted, base, _OCTAVES)
        near = min(measured, key=lambda rate: abs(rate - base))
        super().__init__(base)
        #: Bits of a frame at base rate 0, by the model.
        self._intra, self._predicted = (self._level(bits, near) for bits in measured[near])
        self._allowed = self._spent = self._budget = 0.0
        self._frames = self._left = 0

    def _allowance(self, seconds: float) -> float:
        if self._kbps is not None:
            return 1000 * self._kbps * seconds
        return (self._bpp or 0.0) * self._plan.width * self._plan.height

    def _level(self, bits: float, base: int) -> float:
        return max(bits, 1.0) * 2.0 ** (-self._octaves * base)

    def _rate_of(self, bits: float, level: float) -> float:
        """Return the base rate at which frames of a level sum up to so many bits."""
        return math.log2(max(bits, 1.0) / max(level, 1e-9)) / self._octaves

    def begin(self, place: int) -> None:
        if place == 0:
            frames = self._plan.period
            if self._plan.frames is not None and self._plan.frames > self._frames:
                frames = min(frames, self._plan.frames - self._frames)
            fair = frames * self._share
            self._budget = min(max(fair + self._allowed - self._spent, fair / 4), 4 * fair)
            self._left = frames
            level = self._intra + (frames - 1) * self._predicted
            wanted = self._rate_of(self._budget, level)
            self._move(wanted, 4 * _STEP if self._frames else 0)
            return
        left = max(self._left, 1)
        now = self._predicted * 2.0 ** (self._octaves * self.base)
        bits = now + (self._budget - left * now) / max(left, _LEAST)
        self._move(self._rate_of(max(bits, now / 4), self._predicted), _STEP)

    def coded(self, frame: Coded) -> None:
        level = self._level(frame.bits, frame.base)
        if frame.place == 0:
            self._intra = level
        else:
            self._predicted += _WEIGHT * (level - self._predicted)
        self._frames, self._left = self._frames + 1, self._left - 1
        self._budget -= frame.bits
        self._spent += frame.bits
        self._allowed += self._allowance(frame.seconds)

    @property
    def warning(self) -> str | None:
        if not self._allowed or abs(self._spent / self._allowed - 1) <= _TOLERANCE:
            return None
        asked, unit = (self._kbps, "kbit/s") if self._kbps is not None else (self._bpp, "bpp")
        found = (asked or 0.0) * self._spent / self._allowed
        return f"{asked:g} {unit} can't be reached for this clip; it has {found:.4g}"


class _Decibels(Controller):
    """Keeps to a mean PSNR: what frames missed is spread over those that follow."""

    def __init__(self, trial: _Trial, plan: Plan, wanted: float, base: int) -> None:
        self._wanted, self._plan = wanted, plan
        base, self._slope = _search(
            lambda rate: trial.measure(rate, draw=True)[2], wanted, base, _DECIBELS
        )
        super().__init__(base)
        #: PSNR at base rate 0 by the model.
        self._level = wanted - self._slope * base
        self._sum, self._frames = 0.0, 0

    def begin(self, place: int) -> None:
        if not self._frames:
            return
        horizon = _HORIZON
        if self._plan.frames is not None and self._plan.frames > self._frames:
            horizon = min(horizon, max(self._plan.frames - self._frames, _LEAST))
        owed = self._wanted * self._frames - self._sum
        self._move((self._wanted + owed / horizon - self._level) / self._slope, _STEP)

    def coded(self, frame: Coded) -> None:
        found = frame.psnr()
        self._sum, self._frames = self._sum + found, self._frames + 1
        if frame.place or self._frames == 1:
            self._level += _WEIGHT * (found - self._slope * frame.base - self._level)

    @property
    def warning(self) -> str | None:
        mean = self._sum / max(self._frames, 1)
        if abs(mean - self._wanted) <= _DECIBEL_TOLERANCE:
            return None
        return f"{self._wanted:g} dB can't be reached for this clip; it has {mean:.2f}"


def controller(
    target: ClipTarget, codec: VideoCodec, plan: Plan, pixels: list[Pixels]
) -> Controller:
    """Return a controller of the rate.

    Args:
        target: What to aim at.
        codec: Codes the clip.
        plan: Of the clip.
        pixels: Its first frames, `TRIAL_FRAMES` or fewer.
    """
    if target.kbps is None and target.bpp is None and target.psnr is None:
        return _Constant(codec.rate_of(target.quality))
    if len(codec.rates) == 1:
        raise ArgumentError(f"codec {codec.name!r} has a single rate: no target can be aimed at")
    if target.psnr is not None:
        base = round(min(max((target.psnr - 28) / _DECIBELS, 0), _HIGHEST))
        return _Decibels(_Trial(codec, pixels, plan, base), plan, target.psnr, base)
    bpp = target.bpp
    if bpp is None:
        bpp = 1000 * (target.kbps or 0.0) / (plan.rate * plan.width * plan.height)
    base = round(min(max(40 + math.log2(bpp / 0.05) / _OCTAVES, 0), _HIGHEST))
    return _Bits(_Trial(codec, pixels, plan, base), plan, target, base)
